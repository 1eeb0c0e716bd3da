"""`python -m benchmarks batching`: requests of one row from many callers, alone and in shared runs.

Every path has its own process, and they take turns. `child.py` has the callers in Python, `callers.cc` those
in C++.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import savedmodel
from savedmodel._bench.plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    YELLOW,
    save_bars,
)
from savedmodel._bench.progress import progress
from savedmodel._bench.turns import Contenders
from savedmodel._process import ProcessError

from .. import machine
from ..files import write_results
from ..models import CACHE, MODELS, SEED, ModelSpec, ensure_model
from ..table import count, markdown, number, ratio
from ..worker import Worker

CALLERS = 32
HERE = Path(__file__).resolve().parent

# By path: what it is, what it is compared with, and the package that it needs.
PATHS: dict[str, tuple[str, str, str]] = {
    "asyncio": ("32 coroutines, `await f.run_async(x)`", "asyncio", ""),
    "asyncio_batched": ("32 coroutines, `await batcher.run_async(x)`", "asyncio", ""),
    "asyncio_ray": ("32 coroutines, Ray Serve's `@serve.batch` around `f`", "asyncio", "ray"),
    "threads": ("32 Python threads, `f(x)`", "threads", ""),
    "threads_batched": ("32 Python threads, `batcher(x)`", "threads", ""),
    "tf_batched": ("32 Python threads, TensorFlow's BatchFunction op", "threads", "tensorflow"),
    "cpp_async": ("32 requests in flight, C++ `Function::RunAsync`", "cpp_async", ""),
    "cpp_async_batched": ("32 requests in flight, C++ `Batcher::RunAsync`", "cpp_async", ""),
    "cpp_threads": ("32 C++ threads, `Function::Run`", "cpp_threads", ""),
    "cpp_threads_batched": ("32 C++ threads, `Batcher::Run`", "cpp_threads", ""),
}
COLOURS = {
    "asyncio_batched": BLUE,
    "asyncio_ray": GREY,
    "threads_batched": GREEN,
    "tf_batched": YELLOW,
    "cpp_async_batched": ORANGE,
    "cpp_threads_batched": PURPLE,
}
BATCHED = tuple(name for name, (_, alone, _) in PATHS.items() if name != alone)


@dataclass(frozen=True)
class BatchingSettings:
    models: tuple[str, ...]
    paths: tuple[str, ...]
    threads: int
    rounds: int
    seconds: float
    stem: Path


@cache
def cpp_program() -> Path:
    """The C++ callers, built against the installed package. Raises ProcessError."""
    package = Path(savedmodel.__file__).resolve().parent
    key = hashlib.sha256((str(package) + (HERE / "callers.cc").read_text()).encode()).hexdigest()[:12]
    build = CACHE / f"callers-{key}"
    program = build / "callers"
    for command in (
        ["cmake", "-S", str(HERE), "-B", str(build), f"-DCMAKE_PREFIX_PATH={package}"],
        ["cmake", "--build", str(build)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ProcessError(f"can't build the C++ callers: {(done.stderr or done.stdout).strip()[-500:]}")
    return program


def _start(model: ModelSpec, path: str, threads: int) -> Worker:
    arguments = [path, "--model", model.name, "--threads", str(threads)]
    if path.startswith("cpp"):
        arguments += ["--program", str(cpp_program())]
    return Worker([sys.executable, "-m", "benchmarks.batching.child", *arguments])


def _wait(worker: Worker) -> None:
    worker.receive()


def measure(settings: BatchingSettings, name: str, step: Any) -> list[dict[str, Any]]:
    model = MODELS[name]
    rates: dict[str, list[dict[str, float]]] = {path: [] for path in settings.paths}
    alone: dict[str, list[dict[str, float]]] = {path: [] for path in settings.paths}
    skipped: dict[str, str] = {}
    no_model = ensure_model(model)

    def turn(path: str, callers: int, worker: Worker) -> None:
        answer = worker.ask("round", callers=callers, seconds=settings.seconds)
        (rates if callers == CALLERS else alone)[path].append(answer)

    def failed(path: str, error: Exception) -> None:
        skipped[path] = str(error)

    with Contenders[Worker](SEED, ProcessError, failed) as contenders:
        for path in settings.paths:
            step(f"{name}: starting {path}")
            needs = PATHS[path][2]
            reason = no_model or (f"{needs} is not installed" if needs and find_spec(needs) is None else None)
            if reason is not None:
                skipped[path] = reason
            else:
                contenders.start(path, partial(_start, model, path, settings.threads), _wait)
        for _ in range(settings.rounds):
            step(name)
            for path in contenders.shuffled(contenders.running):
                contenders.turn(path, partial(turn, path, CALLERS))
                contenders.turn(path, partial(turn, path, 1))
    results: list[dict[str, Any]] = []
    for path in settings.paths:
        if path in skipped or not rates[path]:
            results.append({"model": name, "path": path, "skipped": skipped.get(path, "no round")})
            continue
        results.append(
            {
                "model": name,
                "path": path,
                "rate": median(one["calls"] / one["seconds"] for one in rates[path]),
                "best_rate": max(one["calls"] / one["seconds"] for one in rates[path]),
                "p99_us": median(one["p99_us"] for one in rates[path]),
                "alone_p50_us": median(one["p50_us"] for one in alone[path]),
                "alone_p99_us": median(one["p99_us"] for one in alone[path]),
                "rows": rates[path][-1].get("rows_per_run", 1.0),
            }
        )
    return results


def report(about: dict[str, Any], results: Sequence[dict[str, Any]], settings: BatchingSettings) -> str:
    by_key = {(one["model"], one["path"]): one for one in results}
    length = f"{count(settings.rounds, 'round')} of {settings.seconds * 1000:.0f} ms"
    rows, skipped = [], []
    for one in results:
        if "skipped" in one:
            skipped.append(f"- Skipped: {one['path']} ({one['model']}): {one['skipped']}")
            continue
        base = by_key.get((one["model"], PATHS[one["path"]][1]), {})
        rows.append(
            [
                one["model"],
                one["path"],
                number(one["rate"]),
                ratio(one["rate"], base.get("rate")),
                ratio(one["best_rate"], base.get("best_rate")),
                f"{one['rows']:.1f}",
                number(one["p99_us"]),
                number(one["alone_p99_us"]),
                ratio(one["alone_p99_us"], base.get("alone_p99_us")),
            ]
        )
    headers = [
        "Model", "Path", "requests/s", "of unbatched", "best of best", "rows a run", "p99, us",
        "alone: p99, us", "of unbatched",
    ]  # fmt: skip
    return "\n".join(
        [
            "# Requests of one row from 32 callers\n",
            *machine.lines(about),
            f"- Settings: models loaded with threads={settings.threads}, {length} of each path, interleaved, "
            "each in a process of its own; medians of rounds; `best of best`: of the best rounds; CPU only",
            *skipped,
            "",
            *(f"- `{path}`: {PATHS[path][0]}" for path in settings.paths),
            f"\n{markdown(headers, rows, left=2)}",
        ]
    )


def plot(results: Sequence[dict[str, Any]], file: Path) -> None:
    """Requests a second of each batched path, over the same callers without batches."""
    by_key = {(one["model"], one["path"]): one for one in results if "skipped" not in one}
    models = list(dict.fromkeys(one["model"] for one in results))
    kinds = [path for path in BATCHED if any((name, path) in by_key for name in models)]
    series = {}
    for path in kinds:
        pairs = [(by_key.get((name, path)), by_key.get((name, PATHS[path][1]))) for name in models]
        series[path] = [one["rate"] / base["rate"] if one and base else 0.0 for one, base in pairs]
    save_bars(models, series, COLOURS, "requests/s, of unbatched", file)


def batching(settings: BatchingSettings) -> int:
    """Measure, print a table, write it, a plot and JSON. Returns the exit status."""
    about = machine.describe()
    results: list[dict[str, Any]] = []
    with progress(len(settings.models) * (len(settings.paths) + settings.rounds)) as step:
        for name in settings.models:
            results += measure(settings, name, step)
    text = report(about, results, settings)
    print(text)
    data = {"machine": about, "batching": results}
    written = write_results(settings.stem, text, data)
    picture = settings.stem.with_suffix(".png")
    plot(results, picture)
    print(f"\nWritten: {written}, {picture}")
    return 0 if any("skipped" not in one for one in results) else 1
