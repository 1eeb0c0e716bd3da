# SPDX-License-Identifier: Apache-2.0
"""Futures of runs: `Signature.submit` and `Signature.run_async`."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from savedmodel._core import RunHandle, Signature

Results = dict[str, Any]
Done = Callable[[BaseException | None, Results | None], None]
Start = Callable[[Done], "RunHandle"]

_EXIT_SECONDS = 5.0  # for the runs that are in flight at exit, which are stopped


class _InFlight:
    """The runs that have not called back, so that none does while the interpreter ends."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Also in a forked child, which has none of its parent's runs."""
        self._handles: dict[int, RunHandle | None] = {}
        self._lock = threading.RLock()  # a signal's handler may start a run, too
        self._last = 0

    def start(self, start: Start, done: Done) -> RunHandle:
        with self._lock:
            self._last += 1
            number = self._last
            self._handles[number] = None

        def ended(error: BaseException | None, results: Results | None) -> None:
            try:
                done(error, results)
            finally:
                with self._lock:
                    self._handles.pop(number, None)

        try:
            handle = start(ended)
        except BaseException:
            with self._lock:
                self._handles.pop(number, None)
            raise
        with self._lock:
            if number in self._handles:  # it has not ended meanwhile
                self._handles[number] = handle
        return handle

    def stop(self) -> None:
        """At exit, when no run can start any more."""
        deadline = time.monotonic() + _EXIT_SECONDS
        while self._handles and time.monotonic() < deadline:
            with self._lock:
                handles = [handle for handle in self._handles.values() if handle is not None]
            for handle in handles:
                handle.cancel()
            time.sleep(0.001)


in_flight = _InFlight()
os.register_at_fork(after_in_child=in_flight.reset)


class _Future(concurrent.futures.Future[Results]):
    """Cancelling it stops the run, also while it runs."""

    _handle: RunHandle | None = None

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()  # tells those that wait for it
        if self._handle is not None:
            self._handle.cancel()
        return True


def submitted(start: Start) -> concurrent.futures.Future[Results]:
    """Start a run. Its future is done in a thread of the pool."""
    future = _Future()

    def done(error: BaseException | None, results: Results | None) -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # it was cancelled
            if error is not None:
                future.set_exception(error)
            else:
                assert results is not None
                future.set_result(results)

    future._handle = in_flight.start(start, done)
    return future


def awaited(start: Start) -> asyncio.Future[Results]:
    """Start a run. Its future belongs to the running event loop."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[Results] = loop.create_future()

    def settle(error: BaseException | None, results: Results | None) -> None:
        if future.done():  # cancelled
            return
        if error is not None:
            future.set_exception(error)
        else:
            assert results is not None
            future.set_result(results)

    def done(error: BaseException | None, results: Results | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, error, results)
        except RuntimeError:  # the loop is closed
            logging.getLogger("savedmodel").warning("a run ended after its event loop; its results are lost")

    handle = in_flight.start(start, done)

    def stop(future: asyncio.Future[Results]) -> None:
        if future.cancelled():
            handle.cancel()

    future.add_done_callback(stop)
    return future


def submit(signature: Signature, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Results]:
    """`Signature.submit`."""
    return submitted(lambda done: signature._start(done, *args, **kwargs))


async def run_async(signature: Signature, /, *args: Any, **kwargs: Any) -> Results:
    """`Signature.run_async`, which begins when it is awaited or becomes a task."""
    ready = signature._run_if_quick(*args, **kwargs)
    if ready is not None:
        return await ready
    return await awaited(lambda done: signature._start(done, *args, **kwargs))
