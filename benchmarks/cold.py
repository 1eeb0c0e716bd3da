"""Cold start: from the start of a process to its first result, and the memory that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from savedmodel._process import ProcessError

from .models import ModelSpec, input_files
from .paths import child_command
from .worker import Worker

COLD_MODELS = ("mlp", "resnet50")
COLD_PATHS = ("tf2", "session_run", "savedmodel", "cpp_floor")


@dataclass
class ColdResult:
    """Starts of one path with one model."""

    model: str
    path: str
    skipped: str | None = None
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    """After the first result; so is `private_mb`, which no other process shares. Not of C++ paths."""
    private_mb: list[float] = field(default_factory=list)

    @property
    def median_seconds(self) -> float:
        return median(self.seconds)

    @property
    def median_mb(self) -> float:
        return median(self.peak_mb)

    def as_json(self) -> dict[str, Any]:
        head = {"model": self.model, "path": self.path}
        if self.skipped is not None:
            return {**head, "skipped": self.skipped}
        memory = {"peak_rss_mb": self.peak_mb, "rss_mb": self.rss_mb, "private_mb": self.private_mb}
        return {**head, "seconds": self.seconds, **memory}


def start_once(path: str, model: ModelSpec, threads: int) -> tuple[float, dict[str, float]]:
    """Seconds until the first result (a warm file cache) and what the child says of its memory.

    The C++ program's peak starts at its parent's (Linux keeps it across exec): this process stays small.
    """
    command = child_command(path, model, threads, input_files(model, 1))
    with Worker(command) as worker:
        ready = worker.receive()
        seconds = time.perf_counter() - worker.started
    return seconds, ready


def measure_cold(
    models: Sequence[ModelSpec],
    paths: Sequence[str],
    skipped: dict[str, str],
    *,
    runs: int,
    threads: int,
    step: Callable[[str], None],
) -> list[ColdResult]:
    """`runs` starts of each path after one uncounted; the paths take turns."""
    results = [ColdResult(m.name, path, skipped.get(path)) for m in models for path in paths]
    by_name = {model.name: model for model in models}
    for run in range(runs + 1):
        for one in results:
            step(f"cold start: {one.model}, {one.path}")
            if one.skipped is not None:
                continue
            try:
                seconds, memory = start_once(one.path, by_name[one.model], threads)
            except ProcessError as error:
                one.skipped = str(error)
                continue
            if run > 0:
                one.seconds.append(seconds)
                one.peak_mb.append(memory["peak_rss_mb"])
                if "rss_mb" in memory:
                    one.rss_mb.append(memory["rss_mb"])
                    one.private_mb.append(memory["private_mb"])
    return results
