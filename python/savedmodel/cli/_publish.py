# SPDX-License-Identifier: Apache-2.0
"""`savedmodel publish SRC DIR`."""

from __future__ import annotations

import os
from typing import Any

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._text import duration, printable, size


@click.command
@click.argument("src", type=click.Path(file_okay=False))
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--version", type=click.IntRange(0), metavar="N", help="Version number. (one more than the highest)"
)
@_arguments.trial_options
@_arguments.as_json
def command(src: str, directory: str, version: int | None, as_json: bool, **trial: Any) -> None:
    """Publish the SavedModel SRC as a new version of the model in DIR: DIR/1, DIR/2, ...

    It is copied, flushed to disk, loaded in a separate process, given a manifest with a checksum of each
    file, and renamed: a server or watcher sees a whole version or none.
    """
    done = sm.publish(src, directory, version=version, **trial)
    if as_json:
        click.echo(_arguments.to_json(done))
        return
    path = printable(os.path.join(directory, str(done.version)))
    click.echo(f"{path}: published, {size(done.size_bytes)}, in {duration(done.seconds)}")
    _arguments.warn_unusable(done)
