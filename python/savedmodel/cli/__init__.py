# SPDX-License-Identifier: Apache-2.0
"""The command `savedmodel`."""

from __future__ import annotations

from savedmodel.cli._main import main

__all__ = ["main"]
