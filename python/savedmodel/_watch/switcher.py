# SPDX-License-Identifier: Apache-2.0
"""Looks for a newer version, loads and warms it up, puts it in place, and closes the old one."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from savedmodel._core import DataLossError, Error, FailedPreconditionError, NotFoundError
from savedmodel._load_arguments import LoadArguments
from savedmodel._model import Model, load
from savedmodel._publish import files, inventory, layout
from savedmodel._publish.layout import FolderLock
from savedmodel._watch.status import VersionChange, WatchStatus

_log = logging.getLogger("savedmodel.watch")


@dataclass(frozen=True)
class _Serving:
    version: int
    path: Path
    model: Model
    lock: FolderLock
    since: datetime

    def close(self) -> None:
        """Waits for running calls."""
        self.model.close()
        self.lock.close()


@dataclass(frozen=True)
class _Failure:
    stamp: dict[str, files.Stamp]
    """Empty if the files can't be listed: that is tried at every look."""
    error: Exception

    def is_like(self, other: _Failure) -> bool:
        return (self.stamp, str(self.error)) == (other.stamp, str(other.error))


class Switcher:
    """The part of a watched model that its thread knows: the handle itself can be collected."""

    model: Model
    """The one that serves: read by every call, without a lock."""

    def __init__(
        self,
        directory: Path,
        warm_up: Callable[[Model], object],
        on_change: Callable[[VersionChange], object] | None,
        options: LoadArguments,
    ) -> None:
        self.stop = threading.Event()
        self.exiting = False  # then nothing waits for running calls
        self._directory = directory
        self._warm_up = warm_up
        self._on_change = on_change
        self._options = options
        self._pid = os.getpid()
        self._looking = threading.Lock()
        self._serving: _Serving | None = None
        self._failed: dict[int, _Failure] = {}
        self._changes: deque[VersionChange] = deque()  # that nobody was told of yet
        self._reporting = threading.Lock()
        self._draining: dict[_Serving, threading.Thread] = {}
        self._loading: int | None = None
        self._error = ""
        self._switches = 0
        self._closed = False

    def start(self) -> None:
        """Put a first version in place. Raises why there is none."""
        self.look()
        if self._serving is None:
            for failure in self._failed.values():  # the newest is the first
                raise failure.error
            raise NotFoundError(self._error or f"{str(self._directory)!r} has no versions")

    def run(self, poll: float) -> None:
        """What the thread does until it is told to stop."""
        try:
            while not self.stop.wait(min(poll, threading.TIMEOUT_MAX)):
                try:
                    self.look()
                except Exception:
                    _log.exception("%s: looking for a newer version failed", self._directory)
        finally:
            if not self.exiting:
                self.close()

    def _forked(self) -> bool:
        """Whether this is a child, where locks may be held by threads that it does not have."""
        return os.getpid() != self._pid

    def look(self) -> None:
        """Look for another version, and put it in place. Raises FailedPreconditionError in a forked child."""
        if self._forked():
            raise FailedPreconditionError(
                f"this process was forked, and what watches {str(self._directory)!r} did not come along: "
                "watch in the child only, after the fork, or start processes with 'spawn'"
            )
        with self._looking:
            if not self._closed:
                self._look()
        # One thread at a time tells of changes, those of others too: else an older one could come last.
        while self._changes and self._reporting.acquire(blocking=False):
            try:
                while self._changes:
                    self._report(self._changes.popleft())
            finally:
                self._reporting.release()

    def _look(self) -> None:
        try:
            found = layout.list_versions(self._directory)
        except (Error, OSError) as error:
            if not self._error:
                _log.warning("%s: %s", self._directory, error)
            self._error = str(error)
            return
        self._error = ""
        self._failed = {version: one for version, one in self._failed.items() if version in found}
        for version, path in reversed(found.items()):
            if self._serving is not None and version <= self._serving.version in found:
                return
            if self._replace(version, path):
                return

    def _replace(self, version: int, path: Path) -> bool:
        """Try to put a version in place."""
        started = time.monotonic()
        previous = self._serving.version if self._serving is not None else None
        stamp: dict[str, files.Stamp] = {}
        lock = None
        try:
            if not layout.is_saved_model(path):  # being copied, perhaps
                return False
            lock = layout.hold(path)
            if lock is None:  # being removed
                return False
            stamp = files.list_files(path)
            if version in self._failed and self._failed[version].stamp == stamp:
                lock.close()
                return False
            self._loading = version
            model = self._load(version, path)
            if files.list_files(path) != stamp:  # a copy goes on: next time
                model.close()
                lock.close()
                return False
        except Exception as error:
            if lock is not None:
                lock.close()
            error.__traceback__ = None  # its frames would keep what they hold
            before, now = self._failed.get(version), _Failure(stamp, error)
            self._failed[version] = now
            if before is None or not before.is_like(now):
                self._changes.append(VersionChange(version, previous, error, time.monotonic() - started))
            return False
        finally:
            self._loading = None
        self._failed.pop(version, None)
        self._switch(_Serving(version, path, model, lock, datetime.now(timezone.utc)))
        self._changes.append(VersionChange(version, previous, None, time.monotonic() - started))
        return True

    def _load(self, version: int, path: Path) -> Model:
        if problem := inventory.look_at(version, path).problem:
            raise DataLossError(f"{str(path)!r} is not what was published: {problem}")
        model = load(path, **self._options)
        try:
            self._warm_up(model)
        except BaseException:
            model.close()
            raise
        return model

    def _switch(self, new: _Serving) -> None:
        old, self._serving = self._serving, new
        self.model = new.model  # from here on, calls take it
        if old is not None:
            self._switches += 1
            # A call may last: newer versions don't wait for it.
            thread = threading.Thread(target=self._drain, args=(old,), name="savedmodel drain", daemon=True)
            self._draining[old] = thread
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads: then they do wait
                self._drain(old)

    def _drain(self, old: _Serving) -> None:
        old.close()
        self._draining.pop(old, None)

    def _report(self, change: VersionChange) -> None:
        if change.error is None:
            _log.info("%s: version %d after %s", self._directory, change.version, change.previous)
        else:
            _log.warning(
                "%s: version %d can't be used, %s stays: %s",
                self._directory,
                change.version,
                change.previous,
                change.error,
            )
        if self._on_change is not None:
            try:
                self._on_change(change)
            except Exception:
                _log.exception("%s: on_change failed", self._directory)

    def status(self) -> WatchStatus:
        serving = self._serving
        assert serving is not None
        return WatchStatus(
            version=serving.version,
            path=str(serving.path),
            since=serving.since,
            loading=self._loading,
            draining=tuple(sorted(one.version for one in [*self._draining])),
            failed={version: str(one.error) for version, one in sorted(self._failed.items())},
            error=self._error,
            switches=self._switches,
            closed=self._closed,
        )

    def end(self) -> None:
        """Have the thread end, which closes all."""
        if not self._forked():
            self.stop.set()

    def close(self) -> None:
        """Wait for running calls, and free all. In a forked child there is nothing to wait for."""
        if self._forked():
            self._closed = True
            return
        self.stop.set()
        with self._looking:
            self._closed = True
            if self._serving is not None:
                self._serving.close()
        for thread in [*self._draining.values()]:
            thread.join()
