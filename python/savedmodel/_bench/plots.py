# SPDX-License-Identifier: Apache-2.0
"""Common parts of the plots. matplotlib is imported when one is drawn."""

from __future__ import annotations

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
