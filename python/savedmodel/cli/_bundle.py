# SPDX-License-Identifier: Apache-2.0
"""`savedmodel bundle SRC DST`."""

from __future__ import annotations

import click

import savedmodel as sm


@click.command
@click.argument("src", type=click.Path(file_okay=False))
@click.argument("dst", type=click.Path())
@click.option("--cpp", is_flag=True, help="Shared libraries only, for C++ programs.")
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME",
    help="Another installed package, without what it depends on.",
)
@click.option("--link", is_flag=True, help="Make hard links instead of copies where possible.")
def command(src: str, dst: str, cpp: bool, packages: tuple[str, ...], link: bool) -> None:
    """Write a folder with the SavedModel SRC and all that runs it, for a slim image.

    DST/model is the SavedModel, DST/site has savedmodel, the two libraries of TensorFlow that it opens, NumPy
    and ml_dtypes: run Python with PYTHONPATH=DST/site. DST must not exist, and may be moved.
    """
    if cpp and packages:
        raise click.UsageError("--package is for Python; leave out --cpp")
    click.echo(sm.bundle(src, dst, python=not cpp, packages=packages, link=link))
