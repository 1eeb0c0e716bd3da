# SPDX-License-Identifier: Apache-2.0
"""Futures of runs: `Signature.submit` and `Signature.run_async`."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from savedmodel._core import RunHandle

Results = dict[str, Any]
Done = Callable[[BaseException | None, Results | None], None]
Start = Callable[[Done], "RunHandle"]

_EXIT_SECONDS = 5.0  # for the runs that are in flight at exit, which are stopped


class _InFlight:
    """The runs that have not called back, so that none does while the interpreter ends."""

    def __init__(self) -> None:
        self._handles: dict[int, RunHandle | None] = {}
        self._lock = threading.Lock()
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
        deadline = time.monotonic() + _EXIT_SECONDS
        with self._lock:
            handles = [handle for handle in self._handles.values() if handle is not None]
        for handle in handles:
            handle.cancel()
        while self._handles and time.monotonic() < deadline:
            time.sleep(0.001)


_in_flight = _InFlight()
atexit.register(_in_flight.stop)


class _Future(concurrent.futures.Future[Results]):
    """Cancelling it stops the run, also while it runs."""

    _handle: RunHandle | None = None

    def cancel(self) -> bool:
        if not super().cancel():
            return False
        if self._handle is not None:
            self._handle.cancel()
        return True


def submitted(start: Start) -> concurrent.futures.Future[Results]:
    """Start a run. Its future is done in a thread of the pool."""
    future = _Future()

    def done(error: BaseException | None, results: Results | None) -> None:
        try:
            if error is not None:
                future.set_exception(error)
            else:
                assert results is not None
                future.set_result(results)
        except concurrent.futures.InvalidStateError:
            pass  # it was cancelled

    future._handle = _in_flight.start(start, done)
    if future.cancelled():  # before it had the handle
        future._handle.cancel()
    return future


def awaited(start: Start) -> asyncio.Future[Results]:
    """Start a run. Its future belongs to the running event loop."""
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

    handle = _in_flight.start(start, done)

    def stop(future: asyncio.Future[Results]) -> None:
        if future.cancelled():
            handle.cancel()

    future.add_done_callback(stop)
    return future
