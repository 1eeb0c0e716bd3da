# SPDX-License-Identifier: Apache-2.0
"""`savedmodel quantize SRC DST`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._array_files import read_samples


@click.command
@click.argument("src", type=click.Path(file_okay=False))
@click.argument("dst", type=click.Path())
@_arguments.tags
@_arguments.signature
@click.option(
    "--calibrate",
    "files",
    metavar="FILE.npz",
    multiple=True,
    required=True,
    help="Inputs by name, one set for each time this is given: what the model gets in production.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.01,
    show_default=True,
    help="The agreement with float32 (1 is equal) may be below 1 by this.",
)
@_arguments.threads
@_arguments.as_json
def command(
    src: str,
    dst: str,
    tags: str | None,
    signature: str | None,
    files: tuple[str, ...],
    tolerance: float,
    threads: int | None,
    as_json: bool,
) -> None:
    """Copy the SavedModel SRC to DST, and add a signature with dense layers and convolutions in int8.

    Layers go back to float32, those that disturb the results most first, until the agreement on the samples
    is as asked: 1 minus the squared error over the variance of float32's results, of the worst output. The
    copy is otherwise unchanged, and other programs load it as before.
    """
    done = sm.quantize(
        src,
        dst,
        read_samples("--calibrate", files),
        signature=signature,
        tolerance=tolerance,
        tags=_arguments.choose_tags(src, tags),
        threads=threads,
    )
    click.echo(json.dumps(asdict(done), indent=2) if as_json else done)
