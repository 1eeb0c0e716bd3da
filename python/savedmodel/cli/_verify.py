# SPDX-License-Identifier: Apache-2.0
"""`savedmodel verify DIR`."""

from __future__ import annotations

import dataclasses
import json
import os

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._text import plural, printable

NO_MANIFEST = "no manifest: not published by savedmodel"


@click.command
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@_arguments.as_json
@click.pass_context
def command(ctx: click.Context, directory: str, as_json: bool) -> None:
    """Compare every byte of a version, or of all versions of a model, with what was published.

    DIR is a version (models/mlp/3) or a model (models/mlp). The exit status is 1 if a file was changed, is
    missing or was added. A version without a manifest is an error, unless there are others.
    """
    listed = sm.versions(directory)
    paths = [os.path.join(directory, os.path.basename(one.path)) for one in listed] or [directory]
    found: dict[str, list[sm.Problem] | None] = {}
    for path in paths:
        try:
            found[path] = sm.verify(path)
        except sm.NotFoundError:  # removed meanwhile
            if not listed:
                raise
        except sm.FailedPreconditionError:
            if len(paths) == 1:
                raise
            found[path] = None
    if as_json:
        rows = {
            path: None if problems is None else [dataclasses.asdict(one) for one in problems]
            for path, problems in found.items()
        }
        click.echo(json.dumps(rows, indent=2))
    else:
        for path, problems in found.items():
            _print(path, problems)
    ctx.exit(1 if any(found.values()) else 0)


def _print(path: str, problems: list[sm.Problem] | None) -> None:
    if problems is None:
        verdict = NO_MANIFEST
    else:
        verdict = plural(len(problems), "problem") if problems else "as it was published"
    click.echo(f"{printable(path)}: {verdict}")
    for one in problems or []:
        click.echo(f"  {printable(one.file)}: {printable(one.what)}")
