# SPDX-License-Identifier: Apache-2.0
"""Common parts of the plots. matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# By Okabe and Ito: colour-blind readers can distinguish them, too.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, YELLOW, SKY = "#E69F00", "#F0E442", "#56B4E9"
GREY, PALE, EDGE = "#555555", "#A9CBE2", "#333333"


def pyplot() -> Any:
    """matplotlib's pyplot, without windows. Raises ImportError."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot


def open_frame(axis: Any) -> None:
    """Remove the lines above and to the right."""
    axis.spines[["top", "right"]].set_visible(False)


def horizontal_grid(axis: Any) -> None:
    """Draw faint lines behind bars."""
    axis.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axis.set_axisbelow(True)


def save_bars(
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    colours: Mapping[str, str],
    label: str,
    file: Path,
) -> None:
    """Save a plot with a bar of each series in each group, and a line at 1."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(9, 4))
    width = 0.8 / max(len(series), 1)
    for i, (name, heights) in enumerate(series.items()):
        places = [k + (i - (len(series) - 1) / 2) * width for k in range(len(groups))]
        axis.bar(places, heights, width, label=name, color=colours[name])
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set_xticks(range(len(groups)), groups)
    axis.set_ylabel(label)
    horizontal_grid(axis)
    open_frame(axis)
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series))
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    plt.close(figure)
