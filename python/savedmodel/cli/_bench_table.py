# SPDX-License-Identifier: Apache-2.0
"""The text output of `bench`."""

from __future__ import annotations

from typing import Any

from savedmodel.cli._bench_report import Report
from savedmodel.cli._console import LEFT, RIGHT, console, heading, table
from savedmodel.cli._machine import line
from savedmodel.cli._text import duration, plural, rate, size, tag_set


def print_report(report: Report) -> None:
    """Print the report; the machine and the settings come first, because the numbers depend on them."""
    out, plan = console(), report.plan
    heading(out, plan.path, f"{tag_set(plan.tags)}: {plan.signature}")
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    table(
        out,
        [
            ("machine", line(report.machine)),
            ("versions", versions),
            (
                "measured",
                f"{plural(plan.rounds, 'round')} of {plan.seconds:g} s each, interleaved, after "
                f"{plan.warmup:g} s of warm-up; generated inputs have the seed {plan.seed}; "
                f"optimize={plan.optimize}",
            ),
        ],
        keep=[0],
    )
    for name, why in report.left_out.items():
        table(out, [(name, f"left out: {why}")], keep=[0])
    for name, how in report.differ.items():
        table(out, [(name, f"ATTENTION: its results are not savedmodel's: {how}")], keep=[0])
    out.print()
    cases = [case.as_dict() for case in report.cases]
    for threads, concurrency in sorted({(one["threads"], one["concurrency"]) for one in cases}):
        heading(out, f"{plural(threads, 'thread')}, {plural(concurrency, 'caller')}")
        rows = [_row(one) for one in cases if (one["threads"], one["concurrency"]) == (threads, concurrency)]
        table(
            out,
            rows,
            header=("", "batch", "p50", "p90", "p99", "min", "calls/s", "items/s"),
            justify=[LEFT] + [RIGHT] * 7,
            keep=range(8),
        )
        out.print()
    heading(out, "start")
    table(
        out,
        [
            (
                one["contender"],
                str(one["threads"]),
                duration(one["load_seconds"]),
                duration(one["cold_start_seconds"]),
                size(one["peak_bytes"]) if "peak_bytes" in one else "-",
            )
            for one in report.starts
        ],
        header=("", "threads", "load", "cold start", "peak memory"),
        justify=[LEFT] + [RIGHT] * 4,
    )


def _row(case: dict[str, Any]) -> tuple[str, ...]:
    return (
        case["contender"],
        str(case["batch"]),
        *(duration(case[f"{name}_seconds"]) for name in ("p50", "p90", "p99", "min")),
        rate(case["calls_per_second"]),
        rate(case["items_per_second"]),
    )
