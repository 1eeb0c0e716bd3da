# SPDX-License-Identifier: Apache-2.0
"""`savedmodel versions DIR`."""

from __future__ import annotations

import os

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._text import printable, size


@click.command
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@_arguments.as_json
def command(directory: str, as_json: bool) -> None:
    """List the versions of the model in DIR, the newest first: servers take that one.

    good: the files of its manifest are there, with their sizes (`verify` compares each byte). withdrawn: a
        rollback replaced it. no manifest: not published by savedmodel. incomplete, broken manifest: not
        usable.
    """
    found = sm.versions(directory)
    if as_json:
        click.echo(_arguments.to_json(found))
        return
    if not found:
        click.echo(f"{printable(directory)}: no versions")
        return
    from savedmodel.cli._console import RIGHT, console, table

    table(
        console(),
        [_row(one) for one in reversed(found)],
        header=("version", "state", "published (UTC)", "size", "fingerprint", "from"),
        justify=[RIGHT, "left", "left", RIGHT],
        keep=[0, 1, 2, 3, 4],
        indent=0,
    )
    for one in reversed(found):
        if one.problem:
            click.echo(f"version {one.version}: {printable(one.problem)}")


def _row(one: sm.Version) -> tuple[str, ...]:
    return (
        str(one.version),
        one.state,
        one.published.strftime("%Y-%m-%d %H:%M:%S") if one.published else "-",
        size(one.size_bytes),
        one.fingerprint[:10] if one.fingerprint else "-",
        _source(one),
    )


def _source(one: sm.Version) -> str:
    if one.source is None:
        return "-"
    above, name = os.path.split(one.source)
    return f"version {name}" if above == os.path.dirname(one.path) else one.source
