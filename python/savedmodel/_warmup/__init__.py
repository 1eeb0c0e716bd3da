# SPDX-License-Identifier: Apache-2.0
"""Requests that a model is warmed up with: a file that TensorFlow Serving reads, too."""

from savedmodel._warmup.recording import record_warmup
from savedmodel._warmup.replay import replay

__all__ = ["record_warmup", "replay"]
