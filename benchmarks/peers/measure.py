"""Measures case by case; the results file has every finished case, whatever stops the run."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from savedmodel._bench.progress import progress
from savedmodel._process import ProcessError

from .. import machine
from ..cold import measure_cold
from ..convert import ensure_converted
from ..files import data_file
from ..latency import measure_case
from ..models import MODELS, ModelSpec, ensure_model, input_files
from ..paths import ALL_PATHS, START_PATHS, Case, child_command, package_version, unavailable
from ..worker import Worker
from . import plot, report
from .results import Results

PACKAGES = (*machine.PACKAGES, "onnxruntime", "onnxruntime-extensions", "tf2onnx", "onnx", "openvino")
COLD_START_THREADS = 1
CONVERTERS = {"ONNX": "ort", "IR": "openvino", "optimized SavedModel": "savedmodel"}  # of what is opened


@dataclass(frozen=True)
class PeerSettings:
    models: tuple[str, ...]
    paths: tuple[str, ...]
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    rounds: int
    seconds: float  # the length of one round
    cold_runs: int  # 0: no cold start
    missing: bool  # leave out what the results have already
    stem: Path  # of the table and the plot

    @property
    def file(self) -> Path:
        return data_file(self.stem)

    @property
    def cold_paths(self) -> tuple[str, ...]:
        plain = [name for name in self.paths if ALL_PATHS[name].precision == "float32"]
        return (*plain, *(name for name in START_PATHS if name.rpartition("_")[0] in plain))


def missing_paths(model: ModelSpec, paths: tuple[str, ...]) -> dict[str, str]:
    """Why some of them, or all, cannot run this model. Makes and converts what is not cached."""
    reason = ensure_model(model)
    if reason is not None:
        return dict.fromkeys(paths, reason)
    reasons = {path: unavailable(path) for path in paths}
    for path in paths:
        kind = CONVERTERS.get(ALL_PATHS[path].opens)
        if kind and reasons[path] is None:
            reasons[path] = ensure_converted(kind, model)
    return {path: reason for path, reason in reasons.items() if reason is not None}


def reference(case: Case) -> dict[str, Any] | None:
    """What tf.saved_model computes in float32, cached beside the model; None if it cannot run."""
    file = case.model.folder / f"answer-batch{case.batch}-tensorflow{package_version('tensorflow')}.npz"
    if not file.is_file():
        try:
            with Worker(child_command("tf2", case.model, 1, input_files(case.model, case.batch))) as worker:
                worker.receive()
                np.savez(file, **worker.outputs())  # type: ignore[arg-type]
        except ProcessError:
            return None
    with np.load(file) as stored:
        return dict(stored)


def _plan(settings: PeerSettings, known: Results, about: dict[str, Any]) -> Iterator[tuple[Case, int]]:
    for name, batch, threads in itertools.product(settings.models, settings.batches, settings.threads):
        if not (settings.missing and known.has_latency(name, batch, threads, settings.paths, about)):
            yield Case(MODELS[name], batch), threads


def _latency(
    case: Case,
    threads: int,
    settings: PeerSettings,
    missing: dict[str, str],
    step: Callable[[str], None],
) -> list[dict[str, Any]]:
    found = measure_case(
        case,
        settings.paths,
        missing,
        rounds=settings.rounds,
        seconds=settings.seconds,
        threads=threads,
        step=step,
        reference=reference(case),
    )
    records = []
    for one in found:
        head = {"model": case.model.name, "batch": case.batch, "threads": threads, "path": one.path}
        if one.skipped is not None:
            records.append({**head, "skipped": one.skipped})
            continue
        records.append(
            {
                **head,
                "p50_us": round(one.p50_us, 3),
                "min_us": round(one.min_us, 3),
                "items_per_second": round(one.calls_per_second * case.batch, 3),
                "relative_difference": one.difference,
                "rounds_p50_us": [round(each["p50_us"], 3) for each in one.rounds],
            }
        )
    return records


def _cold(
    model: ModelSpec, settings: PeerSettings, missing: dict[str, str], step: Callable[[str], None]
) -> list[dict[str, Any]]:
    found = measure_cold(
        [model],
        settings.cold_paths,
        missing,
        runs=settings.cold_runs,
        threads=COLD_START_THREADS,
        step=step,
    )
    return [one.as_json() for one in found]


def peers(settings: PeerSettings) -> int:
    """Measure, merge into the results, print the table, draw the plot. Returns the exit status."""
    if not settings.file.is_file():
        print(f"There is no {settings.file} to go on with: the table gets this run alone.", file=sys.stderr)
    results = Results.read(settings.file)
    about = machine.describe(PACKAGES)
    about["versions"]["savedmodel build"] = machine.build_of()
    about["rounds"] = settings.rounds
    about["round_seconds"] = settings.seconds
    about["cold_runs"] = settings.cold_runs
    run = results.add_run(about)
    plan = list(_plan(settings, results, about))
    cold_models = []
    if settings.cold_runs:
        for name in settings.models:
            if not (settings.missing and results.has_cold(name, settings.cold_paths, about)):
                cold_models.append(MODELS[name])
    steps = len(plan) * (len(settings.paths) + settings.rounds)
    steps += len(cold_models) * (settings.cold_runs + 1) * len(settings.cold_paths)

    every_path = tuple(dict.fromkeys((*settings.paths, *settings.cold_paths)))
    missing: dict[str, dict[str, str]] = {}
    measured = False
    with ExitStack() as stack:
        step = stack.enter_context(progress(steps))

        def why_not(model: ModelSpec) -> dict[str, str]:
            if model.name not in missing:
                step(f"making {model.name} and what the peers load")
                missing[model.name] = missing_paths(model, every_path)
            return missing[model.name]

        for case, threads in plan:
            records = _latency(case, threads, settings, why_not(case.model), step)
            results.merge_latency(records, run)
            results.write(settings.file)
            measured |= any("skipped" not in record for record in records)
        for model in cold_models:
            results.merge_cold(_cold(model, settings, why_not(model), step), run)
            results.write(settings.file)
            measured = True

    text = report.markdown_text(results)
    print(text)
    table, picture = settings.stem.with_suffix(".md"), settings.stem.with_suffix(".png")
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(text + "\n", encoding="utf-8")
    reason = plot.draw(picture, results)
    print(f"\nWritten: {table}, {settings.file}", end="")
    print(f", {picture}" if reason is None else f"\nNo plot: {reason}")
    return 0 if measured or not (plan or cold_models) else 1
