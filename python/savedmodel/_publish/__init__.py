# SPDX-License-Identifier: Apache-2.0
"""Versions of a model in TensorFlow Serving's layout: published, listed, verified, removed."""

from savedmodel._publish.inventory import Problem, Version, verify, versions
from savedmodel._publish.publication import Published
from savedmodel._publish.publisher import publish, rollback
from savedmodel._publish.removal import Removal, remove_old_versions

__all__ = [
    "Problem",
    "Published",
    "Removal",
    "Version",
    "publish",
    "remove_old_versions",
    "rollback",
    "verify",
    "versions",
]
