"""The comparison of all paths: latency, throughput and cold start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from savedmodel._bench.progress import progress

from . import machine, plot, report
from .cold import COLD_MODELS, COLD_PATHS, measure_cold
from .files import write_results
from .latency import PathResult, measure_case
from .models import MODELS, ensure_model
from .paths import REFERENCE, Case, unavailable
from .table import count


@dataclass(frozen=True)
class Settings:
    models: tuple[str, ...]
    paths: tuple[str, ...]
    batches: tuple[int, ...]  # empty: each model's own
    threads: int
    rounds: int
    seconds: float  # the length of one round
    cold_runs: int  # 0: no cold start
    results: Path
    name: str  # of the result files


def _say(settings: Settings) -> str:
    rounds = f"{count(settings.rounds, 'round')} of {settings.seconds * 1000:.0f} ms"
    cold = f", {count(settings.cold_runs, 'cold start')}" if settings.cold_runs else ""
    return f"{count(settings.threads, 'thread')}, {rounds} per path, interleaved{cold}; CPU only"


def compare(settings: Settings) -> int:
    """Measure, print the tables, write JSON, Markdown and PNG. Returns the exit status."""
    about = machine.describe()
    skipped: dict[str, str] = {}
    results: list[PathResult] = []
    cases = [
        Case(MODELS[name], batch)
        for name in settings.models
        for batch in settings.batches or MODELS[name].batches or (1,)
    ]
    cold_models = [MODELS[name] for name in COLD_MODELS if name in settings.models]
    cold_paths = [name for name in settings.paths if name in COLD_PATHS]
    starts = (settings.cold_runs + 1) * len(cold_models) * len(cold_paths)
    steps = len(settings.paths) + len(settings.models)
    steps += len(cases) * (len(settings.paths) + settings.rounds)
    steps += starts if settings.cold_runs else 0

    with progress(steps) as step:
        for path in settings.paths:
            step(f"looking for {path}")
            reason = unavailable(path)
            if reason is not None:
                skipped[path] = reason
        no_model: dict[str, str] = {}
        for name in settings.models:
            step(f"making the model {name}")
            reason = ensure_model(MODELS[name])
            if reason is not None:
                no_model[name] = reason
        for case in cases:
            reason = no_model.get(case.model.name)
            missing = dict.fromkeys(settings.paths, reason) if reason is not None else skipped
            if not case.model.only_float32:
                missing = {"cpp_floor": "the C++ program takes only float32", **missing}
            results += measure_case(
                case,
                settings.paths,
                missing,
                rounds=settings.rounds,
                seconds=settings.seconds,
                threads=settings.threads,
                step=step,
            )
        cold = []
        if settings.cold_runs:
            cold = measure_cold(
                [model for model in cold_models if model.name not in no_model],
                cold_paths,
                skipped,
                runs=settings.cold_runs,
                threads=settings.threads,
                step=step,
            )

    text = ["# Paths to a SavedModel, compared", "", *machine.lines(about)]
    text += [f"- Settings: {_say(settings)}", *report.difference_lines(results)]
    text += report.skipped_lines(results, cold)
    text += ["", f"Each `x` is the number before it over that of `{REFERENCE}`.", ""]
    text += [report.latency_table(results), ""]
    if cold:
        text += ["Cold start: process start to first result, and peak memory by then.", ""]
        text += [report.cold_table(cold), ""]
    text += report.path_lines(settings.paths)
    print("\n".join(text))

    data = {
        "machine": about,
        "settings": {
            "threads": settings.threads,
            "rounds": settings.rounds,
            "round_seconds": settings.seconds,
            "cold_runs": settings.cold_runs,
        },
        "latency": [one.as_json() for one in results],
        "cold_start": [one.as_json() for one in cold],
    }
    stem = settings.results / settings.name
    written = write_results(stem, "\n".join(text), data)
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items() if v)
    where = f"{about['cpu']}, {about['cores']} cores; {versions}; {about['date'][:10]}"
    reason = plot.draw(stem.with_suffix(".png"), results, cold, f"{where}; {_say(settings)}")
    print(f"\nWritten: {written}" + (f", {stem}.png" if reason is None else ""))
    if reason is not None:
        print(f"No plot: {reason}")
    return 0 if any(one.skipped is None for one in results) else 1
