"""Throughput of several Python threads that call one model together."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from savedmodel._process import ProcessError

from . import machine
from .models import MODELS, SEED, ensure_model, input_files
from .paths import Case, child_command, unavailable
from .progress import progress
from .table import count, markdown, number
from .worker import Worker

THREADS = (1, 2, 4, 8)
CASES = (Case(MODELS["mlp"], 64), Case(MODELS["xy"], 1))
SCALING_PATHS = ("tf2", "make_callable", "savedmodel", "savedmodel_out")


def _start(stack: ExitStack, case: Case, path: str) -> Worker:
    command = child_command(path, case.model, 1, input_files(case.model, case.batch))
    # One thread per kernel, but TensorFlow's own pool as it comes: a pool of one would
    # make callers of tf2 and the session wait for one another.
    worker = stack.enter_context(Worker([*command, "--inter-op", "0"]))
    worker.receive()
    for threads in THREADS:
        worker.ask("threads", threads=threads, seconds=0.05)  # uncounted
    return worker


def measure(
    case: Case, paths: Sequence[str], rounds: int, seconds: float, step: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Rounds of every path and thread count, in a random order each time."""
    order = random.Random(SEED)
    rates: dict[tuple[str, int], list[float]] = {(p, n): [] for p in paths for n in THREADS}
    skipped: dict[str, str] = {}
    no_model = ensure_model(case.model)
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for path in paths:
            step(f"{case.label}: starting {path}")
            reason = no_model or unavailable(path)
            if reason is not None:
                skipped[path] = reason
                continue
            try:
                workers[path] = _start(stack, case, path)
            except ProcessError as error:
                skipped[path] = str(error)
        for _ in range(rounds):
            step(case.label)
            turn = [key for key in rates if key[0] in workers]
            order.shuffle(turn)
            for path, threads in turn:
                if path not in workers:
                    continue
                try:
                    answer = workers[path].ask("threads", threads=threads, seconds=seconds)
                except ProcessError as error:
                    skipped[path] = str(error)
                    del workers[path]
                    continue
                rates[path, threads].append(answer["calls"] / answer["seconds"])
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


def scaling(paths: Sequence[str], rounds: int, seconds: float, file: Path) -> int:
    """Measure, print a table, write JSON. Returns the exit status."""
    about = machine.describe()
    results = []
    with progress(len(CASES) * (len(paths) + rounds)) as step:
        for case in CASES:
            results += measure(case, paths, rounds, seconds, step)
    print("# Python threads that call one model together\n")
    print("\n".join(machine.lines(about)))
    length = f"{count(rounds, 'round')} of {seconds * 1000:.0f} ms"
    print(f"- Settings: 1 thread per kernel, {length} per path, interleaved; CPU only")
    for one in results:
        if "skipped" in one:
            print(f"- Skipped: {one['path']} ({one['model']}): {one['skipped']}")
    print(f"\nThroughput relative to one thread; more than {about['cores']}x cannot be had here.\n")
    more = [f"{n} threads" for n in THREADS[1:]]
    headers = ["Model", "Batch", "Path", "1 thread, calls/s", *more]
    print(markdown(headers, [_row(one) for one in results], left=3))
    file.parent.mkdir(parents=True, exist_ok=True)
    data = {"machine": about, "rounds": rounds, "round_seconds": seconds, "scaling": results}
    file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(f"\nWritten: {file}")
    return 0 if any("skipped" not in one for one in results) else 1
