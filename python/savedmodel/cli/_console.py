# SPDX-License-Identifier: Apache-2.0
"""Tables and headings on standard output: colours in a terminal, plain text of 80 columns in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from savedmodel.cli._text import printable

LEFT, RIGHT = "left", "right"


def console(*, stderr: bool = False) -> Console:
    """A console that prints text unchanged."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=False)


def heading(out: Console, text: str, rest: str = "") -> None:
    """Print a heading on its own line."""
    line = Text(printable(text), style="bold")
    if rest:
        line.append(f"  {printable(rest)}", style="not bold dim")
    out.print(line, soft_wrap=True)  # a path that is folded can't be copied


def table(
    out: Console,
    rows: Iterable[Sequence[str]],
    *,
    header: Sequence[str] = (),
    justify: Sequence[str] = (),
    keep: Iterable[int] = (),
    indent: int = 2,
) -> None:
    """Print rows. Cells that are too wide are folded, not cut; the columns to `keep` stay on one line."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if not rows:
        return
    kept = set(keep)
    grid = Table(box=None, show_header=bool(header), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index in range(len(rows[0])):
        grid.add_column(
            header[index] if header else "",
            justify="right" if index < len(justify) and justify[index] == RIGHT else "left",
            overflow="fold",
            no_wrap=index in kept,
            style="cyan" if index == 0 and header else "",
        )
    for row in rows:
        grid.add_row(*row)
    with out.capture() as captured:
        out.print(Padding(grid, (0, 0, 0, indent)))
    for line in captured.get().splitlines():
        out.file.write(line.rstrip() + "\n")  # a pipe has no use for padded cells
