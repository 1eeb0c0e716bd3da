"""`python -m benchmarks.pool`: parallel regions of our pool, of Eigen's, and of callers without one.

A region is as many chunks as threads, divided like oneDNN's. Each cell is a process of its own; rounds are
interleaved. Pools larger than the machine tell what they cost, not how they scale.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from savedmodel._bench.progress import progress

from .. import machine
from ..files import RESULTS, write_results
from ..models import SEED
from ..paths import build_program
from ..table import count, markdown, number, ratio

POOLS = ("alone", "eigen", "savedmodel")  # the last is compared with the others


class Cell(NamedTuple):
    pool: str
    threads: int
    callers: int
    chunk_us: float


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word.strip())


def measure(program: Path, cell: Cell, seconds: float) -> dict[str, float]:
    words = [cell.pool, cell.threads, cell.callers, cell.chunk_us * 1000, seconds]
    done = subprocess.run([str(program), *map(str, words)], capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def table(cells: Sequence[Cell], rounds: dict[Cell, list[dict[str, float]]]) -> str:
    rows = []
    for cell in cells:
        ours = cell._replace(pool=POOLS[-1])

        def middle(key: str, of: Cell = cell) -> float:
            return median(one[key] for one in rounds[of])

        rate = middle("regions_per_second")
        rows.append(
            [
                cell.pool,
                str(cell.threads),
                str(cell.callers),
                f"{cell.chunk_us:g}",
                number(middle("min_us")),
                number(middle("p50_us")),
                number(middle("p99_us")),
                number(rate),
                ratio(rate, middle("regions_per_second", ours)),
            ]
        )
    headers = ["Pool", "Threads", "Callers", "Chunk us", "min us", "p50 us", "p99 us", "regions/s", "x"]
    return markdown(headers, rows, left=1)


def report(
    about: dict[str, Any], cells: Sequence[Cell], rounds: dict[Cell, list[dict[str, float]]], round_ms: int
) -> str:
    lines = [
        "# Parallel regions\n",
        *machine.lines(about),
        f"- Settings: {count(len(rounds[cells[0]]), 'round')} of {round_ms} ms per cell, interleaved",
        "- Latency is a caller's; regions/s are those of all callers; x: over savedmodel's.\n",
        table(cells, rounds),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pool", description=__doc__)
    add = parser.add_argument
    add("--threads", type=numbers, default=(2, 8, 64), metavar="N,M", help="sizes of the pool (2,8,64)")
    add("--callers", type=numbers, default=(1, 8), metavar="N,M", help="threads that call at once (1,8)")
    add("--chunk-us", type=numbers, default=(0, 20), metavar="N,M", help="work of a chunk (0,20)")
    add("--rounds", type=int, default=5, help="rounds of each cell (5)")
    add("--round-ms", type=int, default=200, help="length of one round (200)")
    add("--output", type=Path, default=Path(os.path.relpath(RESULTS)), metavar="DIR")
    options = parser.parse_args()
    program, reason = build_program("pool")
    if program is None:
        print(f"There is nothing to time: {reason}", file=sys.stderr)
        return 1
    about = machine.describe()
    cells = [
        Cell(pool, threads, callers, chunk)
        for threads in options.threads
        for callers in options.callers
        for chunk in options.chunk_us
        for pool in POOLS
    ]
    rounds: dict[Cell, list[dict[str, float]]] = {cell: [] for cell in cells}
    order = random.Random(SEED)
    with progress(options.rounds) as step:
        for _ in range(options.rounds):
            step("parallel regions")
            for cell in order.sample(cells, len(cells)):
                rounds[cell].append(measure(program, cell, options.round_ms / 1000))
    text = report(about, cells, rounds, options.round_ms)
    print(text)
    results: list[dict[str, Any]] = [{**cell._asdict(), "rounds": rounds[cell]} for cell in cells]
    data = {"machine": about, "round_ms": options.round_ms, "pool": results}
    print(f"\nWritten: {write_results(options.output / 'pool', text, data)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
