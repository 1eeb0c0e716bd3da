# SPDX-License-Identifier: Apache-2.0
"""The part of a watched model that its thread knows: the handle itself can be collected."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from savedmodel import _core
from savedmodel._core import FailedPreconditionError, NotFoundError
from savedmodel._load_arguments import LoadArguments
from savedmodel._model import Model, load_options
from savedmodel._watch.status import VersionChange, WatchStatus

_log = logging.getLogger("savedmodel.watch")


@dataclass(frozen=True)
class _Serving:
    version: int
    path: str
    since: datetime


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    """The method, called as long as its object is there: C++ would keep it for good."""
    weak = weakref.WeakMethod(method)

    def call(*args: Any) -> None:
        found = weak()
        if found is not None:
            found(*args)

    return call


class Switcher:
    """What is Python's of the C++ `Watched`, which looks for versions, loads, switches and closes them."""

    model: Model
    """The one that serves: read by every call, without a lock."""

    def __init__(
        self,
        directory: Path,
        warm_up: Callable[[Model], object],
        on_change: Callable[[VersionChange], object] | None,
        options: LoadArguments,
    ) -> None:
        self.exiting = False  # then nothing waits for running calls
        self._directory = directory
        self._warm_up = warm_up
        self._on_change = on_change
        self._arguments, self._load_options = load_options(options)
        self._pid = os.getpid()
        self._warm: Model | None = None  # not in place yet
        self._serving: _Serving | None = None
        self._failures: list[Exception] = []  # of the first look; the newest version's is the first
        self._error = ""
        self._closed = False

    def start(self, poll: float) -> None:
        """Put a first version in place. Raises why there is none."""
        self._core = _core.Watched(
            str(self._directory),
            poll,
            self._load_options,
            _weakly(self._make_ready),
            _weakly(self._switch),
            _weakly(self._report),
        )
        self._warn_of_listing()
        if self._serving is None:
            for failure in self._failures:
                raise failure
            raise NotFoundError(self._error or f"{str(self._directory)!r} has no versions")

    def run(self) -> None:
        """What the thread does until it is told to stop."""
        try:
            while self._core.wait():
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
                f"this process was forked, and the thread that watches {str(self._directory)!r} does not run "
                "in the child: watch in the child only, after the fork, or start processes with 'spawn'"
            )
        self._core.refresh()
        self._warn_of_listing()

    def _warn_of_listing(self) -> None:
        before, self._error = self._error, self._core.status()[3]
        if self._error and not before:
            _log.warning("%s: %s", self._directory, self._error)

    def _make_ready(self, core: _core.Model) -> None:
        model = Model._of(core, self._arguments)
        try:
            model._check()
            self._warm_up(model)
        except BaseException:
            model.close()
            raise
        self._warm = model

    def _switch(self, version: int) -> None:
        model = self._warm or self.model  # an interrupt may come at any line: then this is called again
        self._serving = _Serving(version, model.path, datetime.now(timezone.utc))
        self.model = model  # from here on, calls take it
        self._warm = None

    def _report(self, version: int, previous: int | None, error: Exception | None, seconds: float) -> None:
        if error is None:
            _log.info("%s: version %d after %s", self._directory, version, previous)
        else:
            if self._serving is None:
                self._failures.append(error)
            _log.warning(
                "%s: version %d can't be used, %s stays: %s", self._directory, version, previous, error
            )
        if self._on_change is not None:
            try:
                self._on_change(VersionChange(version, previous, error, seconds))
            except Exception:
                _log.exception("%s: on_change failed", self._directory)

    def status(self) -> WatchStatus:
        serving = self._serving
        assert serving is not None
        none: tuple[Any, ...] = (None, (), {}, self._error, 0)
        loading, draining, failed, error, switches = none if self._forked() else self._core.status()
        return WatchStatus(
            version=serving.version,
            path=serving.path,
            since=serving.since,
            loading=loading,
            draining=tuple(sorted(draining)),
            failed=failed,
            error=error,
            switches=switches,
            closed=self._closed,
        )

    def end(self) -> None:
        """Have the thread end, which closes all."""
        if not self._forked():
            self._core.stop()

    def close(self) -> None:
        """Wait for running calls, and free all. In a forked child there is nothing to wait for."""
        self._closed = True
        if not self._forked():
            self._core.close()
