# SPDX-License-Identifier: Apache-2.0
"""`Model.metrics`: what a signature's calls came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from savedmodel import _core


@dataclass(frozen=True)
class SignatureMetrics:
    """The calls of a signature with one choice of outputs, since the model was loaded.

    Durations are those of the runs, in seconds, without the conversion of arrays.
    """

    signature: str
    outputs: tuple[str, ...]
    successes: int
    errors: Mapping[str, int]
    """Failed calls by status code, such as "INVALID_ARGUMENT"."""
    seconds: float
    """Of all successes."""
    latency: Mapping[float, int]
    """Successes by duration: at most so many seconds, and more than the bound before. Four bounds for each
    doubling, from 128 ns; those without calls are left out."""
    error_seconds: Mapping[str, float]
    """Of the failed calls, by status code."""
    error_latency: Mapping[str, Mapping[float, int]]
    """Failed calls by status code and duration, as `latency`."""
    queued: int
    """Runs of `submit` and `run_async` that left the queue."""
    queue_seconds: float
    """That they were in it."""

    @property
    def calls(self) -> int:
        return self.successes + sum(self.errors.values())

    def quantile(self, fraction: float) -> float:
        """The duration within which so many of the successes ended (0.99: the 99th percentile), to within a
        fifth; 0 without successes."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction must be 0 to 1, got {fraction!r}")
        left = fraction * self.successes
        for bound, count in self.latency.items():
            left -= count
            if left <= 0:
                return bound
        return 0.0


def read(core: _core.Model) -> tuple[SignatureMetrics, ...]:
    """Raises FailedPreconditionError for a model that does not count."""
    counters = core.counters()
    if counters is None:
        raise _core.FailedPreconditionError(f"{core.path!r} counts no calls: load it with metrics=True")
    return tuple(SignatureMetrics(**one) for one in counters)
