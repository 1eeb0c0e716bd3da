# SPDX-License-Identifier: Apache-2.0
"""The plot of `bench`: the distribution of latencies for each setting, and throughput against batch size."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel._bench import plots
from savedmodel.cli._bench_report import Case, Report
from savedmodel.cli._machine import line
from savedmodel.cli._text import plural, printable

COLOURS = (plots.BLUE, plots.VERMILION, plots.GREEN, plots.PURPLE)
_LINES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D")
_POINTS = 500


def write_plot(report: Report, path: str) -> None:
    """Write a PNG."""
    plt = plots.pyplot()
    settings = sorted({(case.threads, case.concurrency) for case in report.cases})
    panels = len(settings) + 1
    rows = -(-panels // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(11, 4.9 * rows), layout="constrained", squeeze=False)
    names = list(dict.fromkeys(case.contender for case in report.cases))
    colours = dict(zip(names, COLOURS, strict=False))
    axes = list(grid.flat)
    for panel, setting in zip(axes, settings, strict=False):
        _distribution(panel, report, colours, setting)
    _throughput(axes[len(settings)], report, colours, settings)
    for unused in axes[panels:]:
        unused.set_axis_off()
    plan = report.plan
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    figure.suptitle(f"{printable(Path(plan.path).resolve().name)}: {printable(plan.signature)}")
    notes = (
        f"{line(report.machine)}; {versions}; {plural(plan.rounds, 'round')} of {plan.seconds:g} s, "
        f"interleaved, after {plan.warmup:g} s of warm-up; optimize={plan.optimize}"
    )
    figure.supxlabel(textwrap.fill(notes, 150), fontsize=7, color=plots.GREY)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _label(case: Case, settings: list[tuple[int, int]]) -> str:
    if len(settings) == 1:
        return case.contender
    return f"{case.contender}, {plural(case.threads, 'thread')}, {plural(case.concurrency, 'caller')}"


def _distribution(axes: Any, report: Report, colours: dict[str, str], setting: tuple[int, int]) -> None:
    """For one setting, a line per batch and contender: the share of calls that took at most this long."""
    chosen = [case for case in report.cases if (case.threads, case.concurrency) == setting]
    from matplotlib.lines import Line2D

    batches = list(dict.fromkeys(case.batch for case in chosen))
    top = max(float(np.percentile(case.latencies, 99.9)) for case in chosen)
    unit, factor = ("ms", 1e3) if top > 2e-3 else ("us", 1e6)
    shares = np.linspace(0, 100, _POINTS)
    for case in chosen:
        axes.plot(
            np.percentile(case.latencies, shares) * factor,
            shares,
            color=colours[case.contender],
            linestyle=_LINES[batches.index(case.batch) % len(_LINES)],
        )
    axes.set_xscale("log")
    axes.set_xlim(right=top * factor * 1.1)
    axes.set_xlabel(f"latency of a call [{unit}]")
    axes.set_ylabel("calls that took at most so long [%]")
    axes.set_title(f"Latency: {plural(setting[0], 'thread')}, {plural(setting[1], 'caller')}")
    _readable(axes.xaxis)
    handles = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    handles += [
        Line2D([], [], color="black", linestyle=_LINES[number % len(_LINES)], label=f"batch {batch}")
        for number, batch in enumerate(batches)
    ]
    _finish(axes, handles)


def _throughput(axes: Any, report: Report, colours: dict[str, str], settings: list[tuple[int, int]]) -> None:
    for name in colours:
        for number, (threads, concurrency) in enumerate(settings):
            chosen = [
                case
                for case in report.cases
                if (case.contender, case.threads, case.concurrency) == (name, threads, concurrency)
            ]
            if not chosen:
                continue
            axes.plot(
                [case.batch for case in chosen],
                [case.as_dict()["items_per_second"] for case in chosen],
                color=colours[name],
                linestyle=_LINES[number % len(_LINES)],
                marker=_MARKERS[number % len(_MARKERS)],
                label=_label(chosen[0], settings),
            )
    batches = sorted({case.batch for case in report.cases})
    if len(batches) > 1:
        axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.minorticks_off()
    axes.set_yscale("log")
    _readable(axes.yaxis)
    axes.set_xlabel("batch size")
    axes.set_ylabel("items per second")
    axes.set_title("Throughput")
    _finish(axes)


def _readable(axis: Any) -> None:
    """Plain numbers, even if a logarithmic axis spans less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _finish(axes: Any, handles: list[Any] | None = None) -> None:
    """Put the legend below, where it hides nothing."""
    axes.grid(True, alpha=0.3)
    axes.legend(
        handles=handles, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False
    )
    plots.open_frame(axes)
