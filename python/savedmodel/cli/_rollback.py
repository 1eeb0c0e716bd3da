# SPDX-License-Identifier: Apache-2.0
"""`savedmodel rollback DIR`."""

from __future__ import annotations

import os
from typing import Any

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._text import duration, printable


@click.command
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--to", type=click.IntRange(0), metavar="N", help="The version. (the newest other good one)")
@_arguments.trial_options
@_arguments.as_json
def command(directory: str, to: int | None, as_json: bool, **trial: Any) -> None:
    """Publish an older version of the model in DIR again, under a new highest number.

    Servers and watchers switch to it as to any other new version. Its files are hard links. The versions
    above the older one are withdrawn: `versions` shows it, and the next rollback skips them.
    """
    done = sm.rollback(directory, to, **trial)
    if as_json:
        click.echo(_arguments.to_json(done))
        return
    withdrawn = ", ".join(map(str, done.withdrawn))
    path = printable(os.path.join(directory, str(done.version)))
    click.echo(f"{path}: published, in {duration(done.seconds)}; withdrawn: {withdrawn}")
    _arguments.warn_unusable(done)
