# SPDX-License-Identifier: Apache-2.0
"""What a watched model tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class VersionChange:
    """A version was put in place, or could not be."""

    version: int
    """The one that was tried."""
    previous: int | None
    """The one that served before; it still does if there is an error."""
    error: Exception | None
    """Why it could not be loaded or warmed up."""
    seconds: float
    """What the load and the warm-up took."""


@dataclass(frozen=True)
class WatchStatus:
    """What a watched model does at the moment."""

    version: int
    """The one that serves."""
    path: str
    since: datetime
    """UTC: when it was put in place."""
    loading: int | None
    """The version that is being loaded and warmed up."""
    draining: tuple[int, ...]
    """Versions that were replaced, and finish the calls that they had begun."""
    failed: Mapping[int, str]
    """Versions that could not be loaded or warmed up, and why; tried again when their files change."""
    error: str
    """Why the directory could not be read at the last look, if it could not."""
    switches: int
    """How often a version was replaced."""
    closed: bool
