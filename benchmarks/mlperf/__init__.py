"""`python -m benchmarks mlperf`: MLCommons' LoadGen issues the queries, and judges them.

Every path has its own process, and they take turns. `child.py` is what LoadGen drives. Samples are synthetic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from savedmodel._bench.progress import progress
from savedmodel._bench.turns import Contenders
from savedmodel._process import ProcessError

from .. import machine
from ..convert import ensure_converted
from ..files import write_results
from ..models import MODELS, SEED, ModelSpec, ensure_model
from ..paths import ALL_PATHS, unavailable
from ..table import markdown, number
from ..worker import Worker

PATHS = ("savedmodel", "savedmodel_int8", "ort", "openvino")
LATENCY_MS = {"resnet50": 250.0, "bert_base": 1000.0}
DEFAULT_LATENCY_MS = 100.0
# Of the offline rate, tried from the first on until a run is valid.
FRACTIONS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
Row = dict[str, Any]


@dataclass(frozen=True)
class MlperfSettings:
    models: tuple[str, ...]
    paths: tuple[str, ...]
    threads: int
    seconds: float  # the shortest run
    stem: Path


def _start(model: ModelSpec, path: str, threads: int) -> Worker:
    command = [sys.executable, "-m", "benchmarks.mlperf.child", path]
    return Worker([*command, "--model", model.name, "--threads", str(threads)])


def _estimate(row: Row, worker: Worker) -> None:
    """How many samples a second it does, which LoadGen must know to make long enough runs."""
    row["about"] = worker.receive()


def _scenarios(row: Row, seconds: float, latency: float) -> Sequence[Callable[[Worker], None]]:
    """The runs of one path, each a turn of its own."""

    def ask(worker: Worker, scenario: str, rate: float) -> Row:
        return worker.ask("run", scenario=scenario, rate=rate, seconds=seconds, latency_ms=latency)

    def single(worker: Worker) -> None:
        row["single stream"] = ask(worker, "single stream", row["about"]["single"])

    def offline(worker: Worker) -> None:
        row["offline"] = ask(worker, "offline", 1.2 * row["about"]["offline"])

    def server(worker: Worker) -> None:
        best = row["offline"]["rate"]
        for fraction in FRACTIONS:
            done = ask(worker, "server", fraction * best)
            if done["valid"]:
                row["server"] = done
                return

    return single, offline, server


def measure(
    name: str, settings: MlperfSettings, skipped: dict[str, str], step: Callable[[str], None]
) -> list[Row]:
    model = MODELS[name]
    rows: dict[str, Row] = {path: {"model": name, "path": path} for path in settings.paths}
    no_model = ensure_model(model)
    with Contenders[Worker](
        SEED, ProcessError, lambda path, error: skipped.update({path: str(error)})
    ) as all_paths:
        for path in settings.paths:
            step(f"{name}: starting {path}")
            reason = no_model or unavailable(path)
            if reason is None and ALL_PATHS[path].opens == "ONNX":
                reason = ensure_converted("ort", model)
            if reason is not None:
                skipped[path] = reason
                continue
            all_paths.start(
                path, partial(_start, model, path, settings.threads), partial(_estimate, rows[path])
            )
        latency = LATENCY_MS.get(name, DEFAULT_LATENCY_MS)
        turns = {path: _scenarios(row, settings.seconds, latency) for path, row in rows.items()}
        for number_of_turn, scenario in enumerate(("single stream", "offline", "server")):
            for path in all_paths.shuffled(list(all_paths.running)):
                step(f"{name}: {path}, {scenario}")
                all_paths.turn(path, turns[path][number_of_turn])
    return [row for path, row in rows.items() if path in all_paths.running]


def _cells(row: Row) -> list[str]:
    single, offline, server = (row.get(name) for name in ("single stream", "offline", "server"))
    cells = [row["model"], row["path"]]
    for done, key in ((single, "p90_ms"), (offline, "rate"), (server, "rate"), (server, "p99_ms")):
        cells.append("-" if done is None else number(done[key]) + ("" if done["valid"] else " (invalid)"))
    both = offline and server and server["rate"] / offline["rate"]
    return [*cells, f"{both:.2f}" if both else "-"]


def report(about: Row, rows: Sequence[Row], skipped: Sequence[str], settings: MlperfSettings) -> str:
    headers = [
        "Model",
        "Path",
        "single stream, p90 ms",
        "offline, samples/s",
        "server, samples/s",
        "its p99 ms",
    ]
    bounds = ", ".join(
        f"{name} {LATENCY_MS.get(name, DEFAULT_LATENCY_MS):.0f} ms" for name in settings.models
    )
    lines = [
        "# MLCommons' LoadGen\n",
        *machine.lines(about),
        f"- Instruction sets: {', '.join(about['instructions'])}",
        f"- {settings.threads} threads, runs of {settings.seconds:g} s and more, synthetic samples, "
        f"batches of 1, 2, 4 and 8; 99 % of the server's queries within: {bounds}",
        *(f"- Skipped: {text}" for text in skipped),
        "\nLoadGen judged all runs: what is not marked is VALID. The server's rate is the highest tried one "
        "that was. Bounds and lengths are not those of a submission, which are for larger machines.\n",
        markdown([*headers, "server/offline"], [_cells(row) for row in rows], left=2),
    ]
    return "\n".join(lines)


def mlperf(settings: MlperfSettings) -> int:
    """Measure, print a table, write it and JSON. Returns the exit status."""
    if find_spec("mlperf_loadgen") is None:
        print("pip install mlcommons-loadgen", file=sys.stderr)
        return 1
    about = machine.describe((*machine.PACKAGES, "mlcommons-loadgen", "onnxruntime", "openvino"))
    rows, skipped = [], []
    with progress(4 * len(settings.models) * len(settings.paths)) as step:
        for name in settings.models:
            reasons: dict[str, str] = {}
            rows += measure(name, settings, reasons, step)
            skipped += [f"{path} ({name}): {reason}" for path, reason in reasons.items()]
    text = report(about, rows, skipped, settings)
    print(text)
    print(f"\nWritten: {write_results(settings.stem, text, {'machine': about, 'mlperf': rows})}")
    return 0 if rows else 1
