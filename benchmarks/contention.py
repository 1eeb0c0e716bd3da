"""`python -m benchmarks.contention`: one caller while other processes keep the cores busy.

Every path has its own process; rounds are interleaved over paths and numbers of neighbours. A pool that
spins loses its core in the middle of a kernel; one that sleeps pays for each wake.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from savedmodel._bench.progress import progress
from savedmodel._bench.turns import Contenders
from savedmodel._process import ProcessError

from . import machine
from .files import RESULTS, write_results
from .models import MODELS, SEED, ensure_model, input_files
from .neighbours import neighbours
from .paths import Case, child_command, unavailable
from .table import count, markdown
from .worker import Worker

SETTLE = 0.3  # seconds from the start of the neighbours to the first call


@dataclass(frozen=True)
class Contender:
    """A path of runners.py. `one_thread`: it gets one thread, whatever the others get."""

    name: str
    about: str
    path: str
    one_thread: bool = False


CONTENDERS = (
    Contender("one thread", "savedmodel, threads=1", "savedmodel", one_thread=True),
    Contender("tensorflow", "savedmodel on TensorFlow's own pool", "savedmodel_shared"),
    Contender("savedmodel", "savedmodel, threads=N", "savedmodel"),
)
OURS = "savedmodel"  # judged against the better of the others


@dataclass
class Cell:
    """One model and contender with one number of neighbours."""

    model: str
    contender: str
    neighbours: int
    rounds: list[dict[str, float]] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        return median(one["p50_us"] for one in self.rounds) / 1000

    def as_json(self) -> dict[str, Any]:
        head = {"model": self.model, "contender": self.contender, "neighbours": self.neighbours}
        if not self.rounds:
            return head
        return {**head, "p50_ms": self.p50_ms, "rounds": self.rounds}


@dataclass(frozen=True)
class Settings:
    models: tuple[str, ...]
    contenders: tuple[Contender, ...]
    neighbours: tuple[int, ...]
    threads: int
    rounds: int
    seconds: float


def measure(
    name: str, settings: Settings, skipped: dict[str, str], step: Callable[[str], None]
) -> list[Cell]:
    """All contenders and numbers of neighbours on one model, in a random order each round."""
    case = Case(MODELS[name], 1)
    cells = [Cell(name, one.name, amount) for one in settings.contenders for amount in settings.neighbours]
    no_model = ensure_model(case.model)

    def failed(contender: str, error: Exception) -> None:
        skipped[f"{contender} ({name})"] = str(error)

    def warm_up(worker: Worker) -> None:
        worker.receive()
        worker.ask("round", seconds=settings.seconds / 4)  # uncounted

    def one_round(cell: Cell, worker: Worker) -> None:
        cell.rounds.append(worker.ask("round", seconds=settings.seconds))

    with Contenders[Worker](SEED, ProcessError, failed) as contenders:
        for one in settings.contenders:
            step(f"{case.label}: starting {one.name}")
            reason = no_model or unavailable(OURS)
            if reason is not None:
                failed(one.name, ProcessError(reason))
                continue
            threads = 1 if one.one_thread else settings.threads
            command = child_command(one.path, case.model, threads, input_files(case.model, 1))
            contenders.start(one.name, partial(Worker, command), warm_up)
        for _ in range(settings.rounds):
            step(case.label)
            for amount in contenders.shuffled(settings.neighbours):
                with neighbours(amount):
                    time.sleep(SETTLE)
                    for cell in contenders.shuffled(cell for cell in cells if cell.neighbours == amount):
                        contenders.turn(cell.contender, partial(one_round, cell))
    return cells


def table(cells: Sequence[Cell], amounts: Sequence[int]) -> str:
    """p50 in ms; under ours, how it compares with the better of the others."""
    rows = []
    found = {(cell.model, cell.contender, cell.neighbours): cell for cell in cells if cell.rounds}
    for model in dict.fromkeys(cell.model for cell in cells):
        names = list(dict.fromkeys(cell.contender for cell in cells if cell.model == model and cell.rounds))
        for name in names:
            row = [model, name]
            for amount in amounts:
                row.append(f"{found[model, name, amount].p50_ms:.2f}")
                others = [found[model, one, amount].p50_ms for one in names if one != OURS]
                best = min(others, default=0.0)
                row.append(f"{found[model, name, amount].p50_ms / best:.2f}x" if best else "-")
            rows.append(row)
    headers = ["Model", "Threads", *(word for n in amounts for word in (count(n, "neighbour"), "x"))]
    return markdown(headers, rows, left=2)


def report(cells: Sequence[Cell], settings: Settings, about: dict[str, Any], skipped: dict[str, str]) -> str:
    length = f"{count(settings.rounds, 'round')} of {settings.seconds * 1000:.0f} ms"
    lines = [
        "# One caller among busy processes\n",
        *machine.lines(about),
        f"- Settings: batch 1, {count(settings.threads, 'thread')}, {length} per cell, interleaved; CPU only",
        *(f"- `{one.name}`: {one.about}" for one in settings.contenders),
        *(f"- Skipped: {name}: {reason}" for name, reason in skipped.items()),
        "\np50 in ms: the median over the rounds. x: over the better of the two others.\n",
        table(cells, settings.neighbours),
    ]
    return "\n".join(lines) + "\n"


def contention(settings: Settings, folder: Path) -> int:
    """Measure, print a table, write JSON and Markdown. Returns the exit status."""
    about = machine.describe()
    skipped: dict[str, str] = {}
    cells: list[Cell] = []
    with progress(len(settings.models) * (len(settings.contenders) + settings.rounds)) as step:
        for name in settings.models:
            cells += measure(name, settings, skipped, step)
    text = report(cells, settings, about, skipped)
    print(text)
    data = {
        "machine": about,
        "threads": settings.threads,
        "round_seconds": settings.seconds,
        "skipped": skipped,
        "contention": [cell.as_json() for cell in cells],
    }
    print(f"Written: {write_results(folder / 'contention', text, data)}")
    return 0 if any(cell.rounds for cell in cells) else 1


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contention", description=__doc__)
    add = parser.add_argument
    add("--models", type=words, default=("mobilenet_v2", "resnet50"), metavar="A,B")
    add("--neighbours", type=words, default=("0", "1", "2"), metavar="N,M", help="busy processes (0,1,2)")
    add("--threads", type=int, default=2, help="intra-op threads (2)")
    add("--rounds", type=int, default=8, help="rounds of each cell (8)")
    add("--round-ms", type=int, default=1000, help="length of one round (1000)")
    add("--output", type=Path, default=Path(os.path.relpath(RESULTS)), metavar="DIR")
    options = parser.parse_args()
    for name in options.models:
        if name not in MODELS:
            parser.error(f"there is no {name!r}; choose from {', '.join(MODELS)}")
    settings = Settings(
        models=options.models,
        contenders=CONTENDERS,
        neighbours=tuple(int(word) for word in options.neighbours),
        threads=options.threads,
        rounds=options.rounds,
        seconds=options.round_ms / 1000,
    )
    return contention(settings, options.output)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
