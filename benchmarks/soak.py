"""Does memory grow? Many calls of a model, load/close cycles of another, requests for batches of a third."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from savedmodel._bench.progress import progress
from savedmodel._process import ProcessError

from . import machine
from .files import write_results
from .models import MODELS, ensure_model
from .paths import REFERENCE, unavailable
from .table import markdown
from .worker import Worker

POINTS = 20
MODEL_OF = {"calls": "xy", "cycles": "mlp", "requests": "gru"}
TITLES = {
    "calls": "Calls of xy",
    "cycles": "Load, call and close of mlp",
    "requests": "Requests of 64 coroutines for batches of gru; some are late, some are cancelled",
}


def measure(what: str, total: int, step: Callable[[str], None]) -> dict[str, Any]:
    """Resident MB after the first call or cycle, then at POINTS points; or why there is none."""
    reason = unavailable(REFERENCE) or ensure_model(MODELS[MODEL_OF[what]])
    if reason is not None:
        return {"skipped": reason}
    done, samples = 1, []
    try:
        with Worker([sys.executable, "-m", "benchmarks.soak_child", what]) as worker:
            samples.append({"done": 1, "rss_mb": worker.ask(what, count=1)["rss_mb"]})
            for point in range(1, POINTS + 1):
                step(f"{what} of {MODEL_OF[what]}")
                aim = max(done, total * point // POINTS)
                samples.append({"done": aim, **worker.ask(what, count=aim - done)})
                done = aim
    except ProcessError as error:
        return {"skipped": str(error), "samples": samples}
    return {"samples": samples}


def _section(what: str, result: dict[str, Any]) -> list[str]:
    lines = [f"\n## {TITLES[what]}\n"]
    samples = result.get("samples", [])
    if samples:
        first = samples[0]["rss_mb"]
        rows = [
            [f"{one['done']:,}", f"{one['rss_mb']:.1f}", f"{one['rss_mb'] - first:+.1f}"] for one in samples
        ]
        lines.append(markdown([what, "resident MB", "since the first"], rows, left=0))
    if "skipped" in result:
        return [*lines, f"Skipped: {result['skipped']}"]
    # The first quarter is warm-up: allocators and caches fill.
    settled = samples[len(samples) // 4]
    growth = samples[-1]["rss_mb"] - settled["rss_mb"]
    count = samples[-1]["done"] - settled["done"]
    each = f", {growth * 1e6 / count:+.2f} bytes each." if count else "."
    return [*lines, f"\nAfter the first quarter: {growth:+.2f} MB in {count:,} {what}{each}"]


def report(about: dict[str, Any], results: dict[str, dict[str, Any]]) -> str:
    lines = ["# Resident memory over many calls and loads\n", *machine.lines(about)]
    return "\n".join([*lines, *(line for item in results.items() for line in _section(*item))])


def soak(totals: dict[str, int], stem: Path) -> int:
    """Measure, print tables, write them and JSON. Returns the exit status."""
    about = machine.describe()
    with progress(len(totals) * POINTS) as step:
        results = {what: measure(what, total, step) for what, total in totals.items()}
    text = report(about, results)
    print(text)
    print(f"\nWritten: {write_results(stem, text, {'machine': about, **results})}")
    return 1 if any("skipped" in result for result in results.values()) else 0
