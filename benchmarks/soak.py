"""Does memory grow? Many calls of one model, then many load/close cycles of another."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from savedmodel._bench.progress import progress
from savedmodel._process import ProcessError

from . import machine
from .models import MODELS, ensure_model
from .paths import REFERENCE, unavailable
from .table import markdown
from .worker import Worker

POINTS = 20
MODEL_OF = {"calls": "xy", "cycles": "mlp"}


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


def _show(what: str, result: dict[str, Any]) -> None:
    title = "Calls of xy" if what == "calls" else "Load, call and close of mlp"
    print(f"\n## {title}\n")
    samples = result.get("samples", [])
    if samples:
        first = samples[0]["rss_mb"]
        rows = [
            [f"{one['done']:,}", f"{one['rss_mb']:.1f}", f"{one['rss_mb'] - first:+.1f}"] for one in samples
        ]
        print(markdown([what, "resident MB", "since the first"], rows, left=0))
    if "skipped" in result:
        print(f"Skipped: {result['skipped']}")
        return
    # The first quarter is warm-up: allocators and caches fill.
    settled = samples[len(samples) // 4]
    growth = samples[-1]["rss_mb"] - settled["rss_mb"]
    count = samples[-1]["done"] - settled["done"]
    print(f"\nAfter the first quarter: {growth:+.2f} MB in {count:,} {what}", end="")
    print(f", {growth * 1e6 / count:+.2f} bytes each." if count else ".")


def soak(calls: int, cycles: int, file: Path) -> int:
    """Measure, print tables, write JSON. Returns the exit status."""
    about = machine.describe()
    with progress(2 * POINTS) as step:
        results = {
            "calls": measure("calls", calls, step),
            "cycles": measure("cycles", cycles, step),
        }
    print("# Resident memory over many calls and loads\n")
    print("\n".join(machine.lines(about)))
    for what, result in results.items():
        _show(what, result)
    file.parent.mkdir(parents=True, exist_ok=True)
    data = {"machine": about, **results}
    file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(f"\nWritten: {file}")
    return 1 if any("skipped" in result for result in results.values()) else 0
