# SPDX-License-Identifier: Apache-2.0
"""The command `savedmodel`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit status: 0, 1 if a check found something, or 2 after an error.

    arguments: None means those of the program, which then exits here if the status is not 0.
    """
    status = _call(arguments)
    if arguments is None and status != 0:
        sys.exit(status)
    return status


def _call(arguments: Sequence[str] | None) -> int:
    try:
        from savedmodel.cli._main import run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            "savedmodel: the command line needs click and rich; install them with: pip install click rich",
            file=sys.stderr,
        )
        return 2
    return run(arguments)
