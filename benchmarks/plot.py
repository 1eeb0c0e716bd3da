"""One PNG: latency per path and model on a log scale, and cold start in seconds and megabytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from savedmodel._bench import plots

from .cold import ColdResult
from .latency import PathResult
from .paths import PATHS
from .table import number

# Our own paths are the blues.
COLOURS = {
    "tf2": plots.VERMILION,
    "session_run": plots.ORANGE,
    "make_callable": plots.YELLOW,
    "savedmodel": plots.BLUE,
    "savedmodel_out": plots.SKY,
    "savedmodel_unaligned": plots.PALE,
    "cpp_floor": plots.EDGE,
}


def _bars(
    axis: Any,
    groups: Sequence[str],
    paths: Sequence[str],
    value: Callable[[str, str], float | None],
    form: Callable[[float], str],
    upright: bool,
) -> None:
    width = 0.84 / max(1, len(paths))
    for index, path in enumerate(paths):
        offset = (index - (len(paths) - 1) / 2) * width
        known = [(at, value(group, path)) for at, group in enumerate(groups)]
        drawn = [(at + offset, height) for at, height in known if height is not None]
        if not drawn:
            continue
        bars = axis.bar(
            [at for at, _ in drawn],
            [height for _, height in drawn],
            width,
            color=COLOURS[path],
            edgecolor=plots.EDGE,
            linewidth=0.4,
        )
        axis.bar_label(
            bars,
            labels=[form(height) for _, height in drawn],
            rotation=90 if upright else 0,
            fontsize=7.5,
            padding=2,
        )
    axis.set_xticks(range(len(groups)), groups)
    axis.set_xlim(-0.5, len(groups) - 0.5)
    plots.horizontal_grid(axis)
    plots.open_frame(axis)


def _latency_axis(axis: Any, results: Sequence[PathResult], paths: Sequence[str]) -> None:
    table = {(one.case.label, one.path): one.p50_us for one in results if one.skipped is None}
    groups = list(dict.fromkeys(one.case.label for one in results))
    axis.set_yscale("log")
    _bars(axis, groups, paths, lambda group, path: table.get((group, path)), number, upright=True)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    low, high = axis.get_ylim()
    axis.set_ylim(low, high * (high / low) ** 0.12)  # room for the numbers on the highest bars
    axis.set_ylabel("latency, p50 (microseconds, log scale)")
    axis.set_title("Time of one call, one caller (lower is better)", loc="left")


def _cold_axes(axes: Sequence[Any], results: Sequence[ColdResult], paths: Sequence[str]) -> None:
    groups = list(dict.fromkeys(one.model for one in results))
    seconds = {(one.model, one.path): one.median_seconds for one in results if one.seconds}
    memory = {(one.model, one.path): one.median_mb for one in results if one.peak_mb}
    for axis, table, label, form in (
        (axes[0], seconds, "seconds", lambda value: f"{value:.2f}"),
        (axes[1], memory, "peak resident memory (MB)", lambda value: f"{value:,.0f}"),
    ):

        def value(group: str, path: str, table: Any = table) -> float | None:
            found: float | None = table.get((group, path))
            return found

        _bars(axis, groups, paths, value, form, upright=False)
        axis.set_ylabel(label)
        axis.margins(y=0.12)
    axes[0].set_title("Cold start to the first result", loc="left")
    axes[1].set_title("Memory by then", loc="left")


def draw(file: Path, latency: Sequence[PathResult], cold: Sequence[ColdResult], caption: str) -> str | None:
    """Write the PNG. Returns why there is none, or None."""
    try:
        pyplot = plots.pyplot()
    except ImportError:
        return "matplotlib is not installed"
    from matplotlib.patches import Patch

    measured = {one.path for one in latency if one.skipped is None}
    measured |= {start.path for start in cold if start.seconds}
    if not measured:
        return "nothing was measured"
    wanted = {one.path for one in latency} | {start.path for start in cold}
    paths = [name for name in PATHS if name in measured]
    cold_paths = [name for name in paths if any(one.path == name for one in cold)]

    figure = pyplot.figure(figsize=(15, 10 if cold else 5.8), layout="constrained")
    if cold:
        grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
        _latency_axis(figure.add_subplot(grid[0, :]), latency, paths)
        bottom = [figure.add_subplot(grid[1, column]) for column in range(2)]
        _cold_axes(bottom, cold, cold_paths)
    else:
        _latency_axis(figure.add_subplot(), latency, paths)

    handles = [
        Patch(facecolor=COLOURS[name], edgecolor=plots.EDGE, label=f"{name}\n{PATHS[name].about}")
        for name in paths
    ]
    handles += [
        Patch(facecolor="none", label=f"{name}\nskipped") for name in PATHS if name in wanted - measured
    ]
    figure.legend(
        handles=handles,
        loc="outside right upper",
        title="Path",
        alignment="left",
        frameon=False,
        labelspacing=0.9,
    )
    figure.text(0.005, -0.005, caption, fontsize=8.5, color=plots.GREY, va="top")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120, bbox_inches="tight", pad_inches=0.2)
    pyplot.close(figure)
    return None
