# SPDX-License-Identifier: Apache-2.0
"""The settings and results of `bench`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Json = dict[str, Any]
Samples = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Plan:
    """The settings of a measurement."""

    path: str
    tags: list[str]
    signature: str
    batches: dict[str, str]
    threads: tuple[int, ...]
    concurrency: tuple[int, ...]
    contenders: list[str]
    onnx: str | None
    optimize: str
    rounds: int
    seconds: float
    warmup: float
    seed: int
    scratch: Path

    def settings(self) -> Json:
        """All settings that a reader of the numbers has to know."""
        chosen = asdict(self)
        for name in ("batches", "scratch", "contenders"):
            del chosen[name]
        return chosen


@dataclass
class Case:
    """One contender with one batch size, number of threads and number of callers."""

    contender: str
    threads: int
    batch: int
    concurrency: int
    samples: list[Samples] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def latencies(self) -> Samples:
        return np.concatenate(self.samples)

    def as_dict(self) -> Json:
        p50, p90, p99 = np.percentile(self.latencies, [50, 90, 99])
        calls = len(self.latencies)
        return {
            "contender": self.contender,
            "threads": self.threads,
            "batch": self.batch,
            "concurrency": self.concurrency,
            "p50_seconds": float(p50),
            "p90_seconds": float(p90),
            "p99_seconds": float(p99),
            "min_seconds": float(self.latencies.min()),
            "calls": calls,
            "calls_per_second": calls / self.seconds,
            "items_per_second": calls * self.batch / self.seconds,
        }


@dataclass
class Report:
    """The results. `starts` has load times, cold starts and peak memory; `left_out` says why."""

    plan: Plan
    machine: Json
    left_out: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)
    differ: dict[str, str] = field(default_factory=dict)  # contenders whose results differ from savedmodel's
    starts: list[Json] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    def as_dict(self) -> Json:
        return {
            "machine": self.machine,
            "versions": self.versions,
            "settings": self.plan.settings(),
            "left_out": self.left_out,
            "results_differ": self.differ,
            "starts": self.starts,
            "cases": [case.as_dict() for case in self.cases],
        }
