# SPDX-License-Identifier: Apache-2.0
"""`savedmodel optimize SRC DST`."""

from __future__ import annotations

from typing import Literal

import click

import savedmodel as sm
from savedmodel.cli import _arguments


@click.command
@click.argument("src", type=click.Path(file_okay=False))
@click.argument("dst", type=click.Path())
@_arguments.tags
@click.option(
    "--level",
    type=click.Choice(["default", "bf16", "int8"]),
    default="default",
    show_default=True,
    help="load's optimize=",
)
@click.option(
    "--function",
    "functions",
    multiple=True,
    help="A function to save besides the signatures; by default all of them, or those of the object itself.",
)
@click.option("--verify", is_flag=True, help="First compare its results with the original's.")
def command(
    src: str,
    dst: str,
    tags: str | None,
    level: Literal["default", "bf16", "int8"],
    functions: tuple[str, ...],
    verify: bool,
) -> None:
    """Copy the SavedModel SRC to DST, and add its optimized signatures and functions.

    The copy is otherwise unchanged, and other programs load it as before. A load through savedmodel with the
    same TensorFlow on the same kind of CPU uses the optimized graphs. DST must not exist, or be SRC: then the
    graphs are added to it.
    """
    chosen = _arguments.choose_tags(src, tags)
    with sm.load(src, tags=chosen, optimize=level, verify=verify) as model:
        model.save_optimized(dst, functions=functions or None)
        for name, why_not in model.verified.items():
            click.echo(f"{name}: {'not compared: ' + why_not if why_not else 'same results'}")
    with sm.load(dst, tags=chosen, optimize=level) as model:
        for report in model.prepare():
            click.echo(report)
