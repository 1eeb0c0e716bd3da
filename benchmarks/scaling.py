"""Throughput of several Python threads that call one model together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from savedmodel._bench.progress import progress
from savedmodel._bench.turns import Contenders
from savedmodel._process import ProcessError

from . import machine
from .files import write_results
from .models import MODELS, SEED, ensure_model, input_files
from .paths import Case, child_command, unavailable
from .table import count, markdown, number
from .worker import Worker

THREADS = (1, 2, 4, 8)
CASES = (Case(MODELS["mlp"], 64), Case(MODELS["xy"], 1))
SCALING_PATHS = ("tf2", "make_callable", "savedmodel", "savedmodel_out")


def _start(case: Case, path: str) -> Worker:
    command = child_command(path, case.model, 1, input_files(case.model, case.batch))
    # One thread per kernel, but TensorFlow's own pool as it comes: a pool of one would
    # make callers of tf2 and the session wait for one another.
    return Worker([*command, "--inter-op", "0"])


def _warm_up(worker: Worker) -> None:
    worker.receive()
    for threads in THREADS:
        worker.ask("threads", threads=threads, seconds=0.05)  # uncounted


def measure(
    case: Case, paths: Sequence[str], rounds: int, seconds: float, step: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Rounds of every path and thread count, in a random order each time."""
    rates: dict[tuple[str, int], list[float]] = {(p, n): [] for p in paths for n in THREADS}
    skipped: dict[str, str] = {}
    no_model = ensure_model(case.model)

    def failed(path: str, error: Exception) -> None:
        skipped[path] = str(error)

    def one_round(key: tuple[str, int], worker: Worker) -> None:
        answer = worker.ask("threads", threads=key[1], seconds=seconds)
        rates[key].append(answer["calls"] / answer["seconds"])

    with Contenders[Worker](SEED, ProcessError, failed) as contenders:
        for path in paths:
            step(f"{case.label}: starting {path}")
            reason = no_model or unavailable(path)
            if reason is not None:
                skipped[path] = reason
            else:
                contenders.start(path, partial(_start, case, path), _warm_up)
        for _ in range(rounds):
            step(case.label)
            for key in contenders.shuffled(key for key in rates if key[0] in contenders.running):
                contenders.turn(key[0], partial(one_round, key))
    results = []
    for path in paths:
        head = {"model": case.model.name, "batch": case.batch, "path": path}
        if path in skipped:
            results.append({**head, "skipped": skipped[path]})
        else:
            rate = {str(n): median(rates[path, n]) for n in THREADS}
            results.append({**head, "calls_per_second": rate})
    return results


def _row(one: dict[str, Any]) -> list[str]:
    head = [one["model"], str(one["batch"]), one["path"]]
    if "skipped" in one:
        return [*head, "skipped", *("-" for _ in THREADS[1:])]
    rate = one["calls_per_second"]
    relative = [f"{rate[str(n)] / rate['1']:.2f}x" for n in THREADS[1:]]
    return [*head, number(rate["1"]), *relative]


def report(about: dict[str, Any], results: Sequence[dict[str, Any]], rounds: int, seconds: float) -> str:
    length = f"{count(rounds, 'round')} of {seconds * 1000:.0f} ms"
    more = [f"{n} threads" for n in THREADS[1:]]
    headers = ["Model", "Batch", "Path", "1 thread, calls/s", *more]
    lines = [
        "# Python threads that call one model together\n",
        *machine.lines(about),
        f"- Settings: 1 thread per kernel, {length} per path, interleaved; CPU only",
        *(
            f"- Skipped: {one['path']} ({one['model']}): {one['skipped']}"
            for one in results
            if "skipped" in one
        ),
        f"\nThroughput relative to one thread; more than {about['cores']}x cannot be had here.\n",
        markdown(headers, [_row(one) for one in results], left=3),
    ]
    return "\n".join(lines)


def scaling(paths: Sequence[str], rounds: int, seconds: float, stem: Path) -> int:
    """Measure, print a table, write it and JSON. Returns the exit status."""
    about = machine.describe()
    results = []
    with progress(len(CASES) * (len(paths) + rounds)) as step:
        for case in CASES:
            results += measure(case, paths, rounds, seconds, step)
    text = report(about, results, rounds, seconds)
    print(text)
    data = {"machine": about, "rounds": rounds, "round_seconds": seconds, "scaling": results}
    print(f"\nWritten: {write_results(stem, text, data)}")
    return 0 if any("skipped" not in one for one in results) else 1
