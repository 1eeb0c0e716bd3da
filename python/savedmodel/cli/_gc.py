# SPDX-License-Identifier: Apache-2.0
"""`savedmodel gc DIR`."""

from __future__ import annotations

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._text import plural, printable, size


@click.command
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    default=3,
    show_default=True,
    help="Good versions to keep, the newest.",
)
@click.option("--dry-run", is_flag=True, help="Only report what would be removed.")
@_arguments.as_json
def command(directory: str, keep: int, dry_run: bool, as_json: bool) -> None:
    """Remove old versions of the model in DIR, and the remains of unfinished publications.

    Removes versions below the newest good ones. Versions that a watcher on this machine has open stay, and
    with a withdrawn version the one that withdraws it.
    """
    done = sm.remove_old_versions(directory, keep=keep, dry_run=dry_run)
    if as_json:
        click.echo(_arguments.to_json(done))
        return
    verb = "would remove" if dry_run else "removed"
    listed = ", ".join(map(str, done.removed))
    what = f" ({listed}; {size(done.size_bytes)})" if listed else ""
    click.echo(f"{printable(directory)}: {verb} {plural(len(done.removed), 'version')}{what}")
    if done.temporary:
        click.echo(f"{verb} {plural(len(done.temporary), 'unfinished folder')}")
    if done.in_use:
        listed = ", ".join(map(str, done.in_use))
        click.echo(f"kept, because a watcher uses them or a version that they withdraw: {listed}")
