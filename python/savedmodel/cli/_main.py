# SPDX-License-Identifier: Apache-2.0
"""Arguments, errors and exit codes of the command `savedmodel`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import savedmodel as sm
from savedmodel.cli import _optimize


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="savedmodel", description="Work with TensorFlow SavedModels.")
    parser.add_argument("--version", action="version", version=f"savedmodel {sm.__version__}")
    parser.add_argument("--debug", action="store_true", help="tracebacks instead of one-line errors")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _optimize.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit status: 0, or 2 after an error, which is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (sm.Error, OSError, TypeError, ValueError) as error:
        if options.debug:
            raise
        print(f"savedmodel: {error}", file=sys.stderr)
        return 2
    return 0
