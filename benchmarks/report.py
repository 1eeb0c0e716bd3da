"""The tables of a comparison, as Markdown for stdout and the results folder."""

from __future__ import annotations

from collections.abc import Sequence

from .cold import ColdResult
from .latency import PathResult
from .paths import PATHS, REFERENCE, Case
from .table import markdown, number, ratio

SAME = 1e-3  # rounding in float32, after a deep network


def latency_table(results: Sequence[PathResult]) -> str:
    """One row per case and path; each `x` column is the one before it over the reference's."""
    reference: dict[Case, PathResult] = {
        one.case: one for one in results if one.path == REFERENCE and one.skipped is None
    }
    rows = []
    for one in results:
        head = [one.case.model.name, str(one.case.batch), one.path]
        if one.skipped is not None:
            rows.append([*head, "skipped", *"-----"])
            continue
        base = reference.get(one.case)
        row = head
        for mine, other in (
            (one.p50_us, base.p50_us if base else None),
            (one.min_us, base.min_us if base else None),
            (one.calls_per_second, base.calls_per_second if base else None),
        ):
            row += [number(mine), ratio(mine, other)]
        rows.append(row)
    headers = ["Model", "Batch", "Path", "p50 us", "x", "min us", "x", "calls/s", "x"]
    return markdown(headers, rows, left=3)


def cold_table(results: Sequence[ColdResult]) -> str:
    """Medians of several starts."""
    reference = {one.model: one for one in results if one.path == REFERENCE and one.seconds}
    rows = []
    for one in results:
        if one.skipped is not None:
            rows.append([one.model, one.path, "skipped", *"---"])
            continue
        base = reference.get(one.model)
        rows.append(
            [
                one.model,
                one.path,
                f"{one.median_seconds:.2f}",
                ratio(one.median_seconds, base.median_seconds if base else None),
                number(one.median_mb),
                ratio(one.median_mb, base.median_mb if base else None),
            ]
        )
    return markdown(["Model", "Path", "seconds", "x", "peak MB", "x"], rows, left=2)


def skipped_lines(latency: Sequence[PathResult], cold: Sequence[ColdResult]) -> list[str]:
    """Each reason once, with the places it holds for."""
    reasons: dict[tuple[str, str], list[str]] = {}
    everywhere: dict[str, int] = {}
    for name in [*(one.path for one in latency), *(start.path for start in cold)]:
        everywhere[name] = everywhere.get(name, 0) + 1
    for one in latency:
        if one.skipped is not None:
            reasons.setdefault((one.path, one.skipped), []).append(one.case.label)
    for start in cold:
        if start.skipped is not None:
            places = reasons.setdefault((start.path, start.skipped), [])
            places.append(f"{start.model}, cold start")
    return [
        f"- Skipped: {path}"
        + ("" if len(places) == everywhere[path] else f" ({'; '.join(places)})")
        + f": {reason}"
        for (path, reason), places in reasons.items()
    ]


def difference_lines(results: Sequence[PathResult]) -> list[str]:
    """How far the answers are apart, so that nobody times two different models unawares."""
    known = [one for one in results if one.difference is not None]
    if not known:
        return []
    worst = max(known, key=lambda one: one.difference or 0.0)
    found = f"{worst.difference:.1e} ({worst.case.label}, {worst.path})"
    if (worst.difference or 0.0) > SAME:
        return [f"- WARNING: the answers are not the same, relative difference {found}"]
    return [f"- All paths gave the same answers: largest relative difference {found}"]


def path_lines(paths: Sequence[str]) -> list[str]:
    return [f"- `{name}`: {PATHS[name].about}" for name in paths]
