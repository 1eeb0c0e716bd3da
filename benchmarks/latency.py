"""Latency and throughput of one caller: every path in its own process, rounds interleaved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from savedmodel._bench.turns import Contenders
from savedmodel._process import ProcessError

from .models import SEED, input_files
from .paths import REFERENCE, Case, child_command
from .worker import Worker


@dataclass
class PathResult:
    """What one path did on one case. Empty rounds and a reason: it was skipped."""

    case: Case
    path: str
    skipped: str | None = None
    rounds: list[dict[str, float]] = field(default_factory=list)
    outputs: dict[str, Any] | None = None
    difference: float | None = None  # of the answer from the reference path's

    @property
    def p50_us(self) -> float:
        return median(one["p50_us"] for one in self.rounds)

    @property
    def min_us(self) -> float:
        return min(one["min_us"] for one in self.rounds)

    @property
    def calls_per_second(self) -> float:
        return median(one["calls"] / one["seconds"] for one in self.rounds)

    def as_json(self) -> dict[str, Any]:
        head = {"model": self.case.model.name, "batch": self.case.batch, "path": self.path}
        if self.skipped is not None:
            return {**head, "skipped": self.skipped}
        return {
            **head,
            "p50_us": self.p50_us,
            "min_us": self.min_us,
            "calls_per_second": self.calls_per_second,
            "relative_difference": self.difference,
            "rounds": self.rounds,
        }


def relative_difference(mine: dict[str, Any], reference: dict[str, Any]) -> float:
    """Over the reference's largest value. Infinite where the outputs have other names or sizes, or NaN."""
    if {k: len(v) for k, v in mine.items()} != {k: len(v) for k, v in reference.items()}:
        return float("inf")
    pairs = [(np.asarray(mine[name]), np.asarray(reference[name])) for name in mine]
    worst = [float(np.abs(a - b).max() / (np.abs(b).max() or 1.0)) for a, b in pairs]
    return max(worst) if np.isfinite(worst).all() else float("inf")


def measure_case(
    case: Case,
    paths: Sequence[str],
    skipped: dict[str, str],
    *,
    rounds: int,
    seconds: float,
    threads: int,
    step: Callable[[str], None],
    reference: dict[str, Any] | None = None,
) -> list[PathResult]:
    """All paths on one model and batch. `step` is told of each child started and each round.

    The answers are compared with `reference`, or else with those of the path REFERENCE.
    """
    results = {name: PathResult(case, name, skipped.get(name)) for name in paths}
    inputs = input_files(case.model, case.batch)

    def failed(name: str, error: Exception) -> None:
        results[name].skipped = str(error)

    def ready(name: str, worker: Worker) -> None:
        worker.receive()
        results[name].outputs = worker.outputs()
        worker.ask("round", seconds=seconds / 4)  # uncounted

    def one_round(name: str, worker: Worker) -> None:
        results[name].rounds.append(worker.ask("round", seconds=seconds))

    with Contenders[Worker](SEED, ProcessError, failed) as contenders:
        for name in paths:
            step(f"{case.label}: starting {name}")
            if results[name].skipped is None:
                command = child_command(name, case.model, threads, inputs)
                contenders.start(name, partial(Worker, command), partial(ready, name))
        for _ in range(rounds):
            step(case.label)
            for name in contenders.shuffled(contenders.running):
                contenders.turn(name, partial(one_round, name))
    _compare_answers(list(results.values()), reference)
    return list(results.values())


def _compare_answers(results: list[PathResult], reference: dict[str, Any] | None) -> None:
    answered = [one for one in results if one.outputs is not None]
    if reference is None:
        chosen = [one for one in answered if one.path == REFERENCE] or answered[:1]
        reference = chosen[0].outputs if chosen else None
    for one in answered:
        if one.outputs is not None and reference is not None:
            one.difference = relative_difference(one.outputs, reference)
            one.outputs = None  # large, and of no use any more
