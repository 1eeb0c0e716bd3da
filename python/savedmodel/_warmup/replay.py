# SPDX-License-Identifier: Apache-2.0
"""Recorded requests, sent to a model."""

from __future__ import annotations

import logging

from savedmodel import _core

_log = logging.getLogger("savedmodel.warmup")


def replay(model: _core.Model) -> int:
    """Send a model its recorded requests. Returns how many there were: 0 without a file.

    Records that no signature can answer are skipped, with a warning. Raises DataLossError for a damaged file,
    and what a request raises, with its number.
    """
    return _core.replay_warmup(model, _log.warning)
