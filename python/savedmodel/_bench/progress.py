# SPDX-License-Identifier: Apache-2.0
"""A progress bar on stderr, only in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar of this many steps. Yields a function to call for each step."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        yield lambda text: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    out = Console(stderr=True, markup=False, highlight=False, emoji=False)
    # A bar that redraws itself would disturb the measurement.
    with Progress(
        *columns, console=out, transient=True, auto_refresh=False, disable=not out.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)

        def step(text: str) -> None:
            bar.update(task, advance=1, description=text, refresh=True)

        yield step
