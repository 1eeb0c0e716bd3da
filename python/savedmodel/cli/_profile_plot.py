# SPDX-License-Identifier: Apache-2.0
"""The bar chart of `profile`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from savedmodel._bench import plots
from savedmodel.cli import _machine
from savedmodel.cli._text import common_path, duration, plural, printable

if TYPE_CHECKING:
    from savedmodel.cli._profile import Profile, Row

_NAME = 40


def write_plot(title: str, profile: Profile, top: int, graph: str, path: str) -> None:
    """Write a PNG with the time of the `top` kinds of op and nodes."""
    plt = plots.pyplot()
    height = 2 + 0.28 * min(top, max(len(profile.by_op), len(profile.by_node)))
    figure, axes = plt.subplots(1, 2, figsize=(12, height), layout="constrained")
    for axis, rows, what in zip(
        axes, (profile.by_op, profile.by_node), ("by kind of op", "by node"), strict=True
    ):
        shown: list[Row] = rows[:top]
        common = common_path([row.name for row in shown])
        names = [
            _short(row.name[len(common) :]) + (f" x{row.nodes}" if row.nodes > 1 else "") for row in shown
        ]
        bars = axis.barh(range(len(shown)), [row.share * 100 for row in shown], color=plots.BLUE)
        axis.bar_label(bars, [duration(row.seconds) for row in shown], padding=3, fontsize=8)
        axis.set_yticks(range(len(shown)), names, fontsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.18)
        axis.set_xlabel("share of all ops' time [%]" if profile.session else "share of the run's time [%]")
        axis.set_title(what)
        plots.open_frame(axis)
    figure.suptitle(printable(title))
    notes = (
        f"Mean of {plural(profile.runs, 'traced run')} of {graph}, "
        f"{duration(profile.wall_seconds)} each; {_machine.line(_machine.describe())}"
    )
    figure.supxlabel(textwrap.fill(notes, 150), fontsize=7, color=plots.GREY)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _short(name: str) -> str:
    """The end of a long name, which says more than its beginning."""
    name = printable(name)
    return name if len(name) <= _NAME else "..." + name[3 - _NAME :]
