# SPDX-License-Identifier: Apache-2.0
"""The newest version of a model, whichever that is: loaded beside the old one, and put in its place."""

from savedmodel._watch.handle import Watched, WatchedFunction, WatchedSignature, watch
from savedmodel._watch.status import VersionChange, WatchStatus

__all__ = ["VersionChange", "WatchStatus", "Watched", "WatchedFunction", "WatchedSignature", "watch"]
