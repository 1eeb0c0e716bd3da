"""One PNG: for every model, the time of each path over that of savedmodel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from savedmodel._bench import plots

from .report import duration
from .results import Results, Row, setup

# Our own paths are the blues.
SERIES = {
    ("tf2", "float32"): ("tf.saved_model", plots.VERMILION, ""),
    ("ort", "float32"): ("ONNX Runtime", plots.ORANGE, ""),
    ("openvino", "float32"): ("OpenVINO", plots.GREEN, ""),
    ("savedmodel_none", "float32"): ("savedmodel, optimize='none'", plots.PALE, ""),
    ("openvino", "bf16"): ("OpenVINO, bf16", plots.GREEN, "////"),
    ("savedmodel", "bf16"): ("savedmodel, bf16", plots.SKY, "////"),
    ("savedmodel", "int8"): ("savedmodel, int8", plots.SKY, "...."),
}
OURS = plots.BLUE


def _panel(axis: Any, title: str, rows: list[Row]) -> None:
    """Bars start at savedmodel's line: upwards is slower, downwards faster."""
    base = {row.model: row.value("savedmodel") for row in rows if row.precision == "float32"}
    models = [model for model, value in base.items() if value]
    drawn = []
    for key in SERIES:
        values = {row.model: row.value(key[0]) for row in rows if row.precision == key[1]}
        if any(values.get(model) for model in models):
            drawn.append((key, values))
    width = 0.84 / max(1, len(drawn))
    axis.set_yscale("log")
    for index, (key, values) in enumerate(drawn):
        _, colour, hatch = SERIES[key]
        for at, model in enumerate(models):
            value, ours = values.get(model), base[model]
            if not value or not ours:
                continue
            ratio = value / ours
            place = at + (index - (len(drawn) - 1) / 2) * width
            axis.bar(
                place,
                ratio - 1,
                width,
                bottom=1,
                color=colour,
                hatch=hatch,
                edgecolor=plots.EDGE,
                linewidth=0.4,
            )
            axis.annotate(
                f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1.95 else f"{ratio:.2f}",
                (place, ratio),
                (0, 2 if ratio >= 1 else -2),
                textcoords="offset points",
                ha="center",
                va="bottom" if ratio >= 1 else "top",
                rotation=90,
                fontsize=7.5,
            )
    axis.axhline(1, color=OURS, linewidth=2)
    axis.set_xticks(range(len(models)), [f"{model}\n{duration(base[model] or 0)}" for model in models])
    axis.set_xlim(-0.5, len(models) - 0.5)
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, 0.8) / 1.8, max(high, 1.25) * 1.8)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axis.yaxis.set_minor_formatter(lambda value, _: "")
    plots.horizontal_grid(axis)
    plots.open_frame(axis)
    axis.set_ylabel("time over savedmodel's\n(p50, log scale)")
    axis.set_title(f"{title}: above the line is slower than savedmodel, below is faster", loc="left")


def draw(file: Path, results: Results) -> str | None:
    """Write the PNG. Returns why there is none, or None."""
    try:
        pyplot = plots.pyplot()
    except ImportError:
        return "matplotlib is not installed"
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    panels: dict[tuple[int, int], list[Row]] = {}
    for row in results.rows():
        panels.setdefault((row.batch, row.threads), []).append(row)
    panels = {
        key: panels[key]
        for key in sorted(panels)
        if any(row.precision == "float32" and row.value("savedmodel") for row in panels[key])
    }
    if not panels:
        return "savedmodel was not measured"

    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(15, 0.8 + 3.4 * len(panels)), layout="constrained", squeeze=False
    )
    for axis, ((batch, threads), rows) in zip(axes[:, 0], panels.items(), strict=True):
        plural = "thread" if threads == 1 else "threads"
        _panel(axis, f"batch {batch}, {threads} {plural}", rows)
    seen = {
        (name, row.precision) for rows in panels.values() for row in rows for name in row.records
        if row.value(name)
    }  # fmt: skip
    handles: list[Any] = [Line2D([], [], color=OURS, linewidth=2, label="savedmodel (time under its name)")]
    handles += [
        Patch(facecolor=colour, hatch=hatch, edgecolor=plots.EDGE, label=label)
        for key, (label, colour, hatch) in SERIES.items()
        if key in seen
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    runs = results.used_runs()
    first = runs[-1]
    kept = {name: text for name, text in first["versions"].items() if text and name not in ("onnx", "numpy")}
    caption = f"{first['cpu']}, {first['cores']} cores; {', '.join(map(' '.join, kept.items()))}"
    caption += f"; {first['date'][:10]}" + ("; and others" if len(set(map(setup, runs))) > 1 else "")
    figure.text(0.005, -0.005, caption, fontsize=8.5, color=plots.GREY, va="top")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, bbox_inches="tight", pad_inches=0.2)
    pyplot.close(figure)
    return None
