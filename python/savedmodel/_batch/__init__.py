# SPDX-License-Identifier: Apache-2.0
"""`savedmodel.batch`: requests that come together share runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from savedmodel import _async, _core
from savedmodel._core import Signature
from savedmodel._load_arguments import check_type
from savedmodel._model import Model
from savedmodel._watch.handle import Watched, WatchedSignature

Results = dict[str, Any]


@dataclass(frozen=True)
class BatchStatistics:
    """The requests and runs of a `Batcher` since it was made."""

    requests: int
    """That came in, with those refused."""
    refused: int
    """At the door: of wrong shape, or the queue was full."""
    failed: int
    """After it."""
    batches: int
    """Runs."""
    rows: int
    """In them, without padding."""
    padded_rows: int
    retries: int
    """Runs of a part of a batch that failed."""
    waiting: int
    """Requests in the queue now."""
    queue_seconds: float
    """That requests waited, in all."""
    sizes: Mapping[float, int]
    """Batches by rows, padding included: those of at most so many rows, and of more than half of it."""
    seconds: Mapping[int, float]
    """Measured duration of a run, by rows."""


class Batcher(_core.Batcher):
    """Joins requests that come at the same time into batches: made by `batch`, called like a signature.

    Call it from any number of threads, or `run_async` from any number of coroutines. A request has one row or
    more, and gets its own rows of the results, as views on those of the batch. Use it in a `with` block, call
    `close`, or let it be collected.
    """

    def submit(
        self, inputs: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> concurrent.futures.Future[Results]:
        """Start a request and return a concurrent.futures.Future of its results, as `Signature.submit`."""
        return _async.submitted(lambda done: self._start(done, inputs, timeout=timeout))

    async def run_async(
        self, inputs: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Results:
        """The results of a request, for asyncio's event loops.

        Requests that coroutines make in one turn of the loop join; a batch that is known to take less than
        200 us runs in the loop's thread. Don't change arrays that are borrowed before it has ended.
        Cancelling the task that awaits it takes the request back.
        """
        joined = self._join(inputs, timeout=timeout)
        try:
            return await joined
        except asyncio.CancelledError:
            self._leave(joined)
            raise

    def statistics(self) -> BatchStatistics:
        return BatchStatistics(**self._statistics())

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _whole(name: str, value: Any) -> int:
    if not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    number = operator.index(value)
    if not 1 <= number < 2**31:
        raise ValueError(f"{name} must be 1 or more, got {value!r}")
    return number


def _by_name(name: str, value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict by input name, got {value!r}")
    return None if value is None else dict(value)


def batch(
    source: Model | Signature | Watched | WatchedSignature,
    /,
    *,
    signature: str | None = None,
    outputs: str | Iterable[str] | None = None,
    max_batch_size: int | None = None,
    max_delay: float = 0.0,
    pad_to: Iterable[int] = (),
    pad_value: Mapping[str, Any] | None = None,
    batch_axis: Mapping[str, int] | None = None,
    max_queue: int = 4096,
    max_concurrent: int | None = None,
    warm_up: bool = True,
    sample: Mapping[str, Any] | None = None,
) -> Batcher:
    """Share the runs of a signature among requests that come at the same time.

    No knob is needed. A request that comes while a run could begin runs at once. Those that come while all
    runs are busy make the next batch, as many of them as make a row cheaper: that is measured. Where rows are
    no cheaper together, or too quick for a thread to wait for another, each request runs by itself.

    The signature has to compute each row from the same row of its inputs alone, and to write no variable. A
    batch that fails is run again in parts, so that only the request at fault fails.

    source: a model, one of its signatures, or what `watch` returns: then requests run on the newest version.
    signature: of a model; the default one, if it is not given.
    outputs: names of the results wanted (default: all).
    max_batch_size: rows; a larger request is run in parts. Default: measured, where a row gets no cheaper.
    max_delay: seconds that requests wait for others to join them although a run could begin.
    pad_to: the sizes that batches have; one is filled up to the next with copies of its last row.
    pad_value: by input, a number: shorter requests are filled up with it along all axes but that of the rows,
        so that requests of different shapes join. An axis of a result that got the size of a padded one is
        cut back, if the signature leaves its size open.
    batch_axis: by input and output, the axis of the rows (default: 0).
    max_queue: requests that wait; one more raises ResourceExhaustedError.
    max_concurrent: runs at a time (default: one for each CPU that the process may use).
    warm_up: measure batches of 1, 2, 4, ... rows now, of `sample` (inputs of one row or more, by name) or of
        made-up rows. What is not measured is learned from the requests.

    Raises ValueError or TypeError for wrong arguments, KeyError for an unknown name, and
    FailedPreconditionError for a signature whose results have no rows.
    """
    if isinstance(max_delay, bool) or not isinstance(max_delay, int | float):
        raise TypeError(f"max_delay must be a number of seconds, got {max_delay!r}")
    if not isinstance(pad_to, Iterable):
        raise TypeError(f"pad_to must be a list of sizes, got {pad_to!r}")
    axes = _by_name("batch_axis", batch_axis)
    for key, axis in (axes or {}).items():
        if not hasattr(axis, "__index__"):
            raise TypeError(f"batch_axis: {key!r} must have the number of an axis, got {axis!r}")
    check_type("warm_up", warm_up, bool)
    options = {
        "max_batch_size": None if max_batch_size is None else _whole("max_batch_size", max_batch_size),
        "max_delay": float(max_delay),
        "pad_to": [_whole("pad_to", size) for size in pad_to],
        "pad_value": _by_name("pad_value", pad_value),
        "batch_axis": axes,
        "max_queue": _whole("max_queue", max_queue),
        "max_concurrent": None if max_concurrent is None else _whole("max_concurrent", max_concurrent),
        "warm_up": bool(warm_up),
        "sample": _by_name("sample", sample),
    }
    if isinstance(source, (Signature, WatchedSignature)) and signature is not None:
        raise TypeError(f"signature= chooses one of a model; {source!r} is one")
    if isinstance(source, WatchedSignature):
        return Batcher(source._switcher._core, source.name, outputs, options)
    if isinstance(source, Watched):
        name = signature or source._switcher.model._core.default_signature
        if not name:
            raise ValueError("the model has several signatures; choose one with signature=")
        return Batcher(source._switcher._core, name, outputs, options)
    if isinstance(source, Model):
        name = signature or source._core.default_signature
        if not name:
            raise ValueError(f"{source!r} has no default signature; choose one with signature=")
        return Batcher(source.signatures[name], outputs, options)
    if isinstance(source, Signature):
        return Batcher(source, outputs, options)
    raise TypeError(f"batch() takes a model, a signature or a watched model, got {type(source).__name__}")
