# SPDX-License-Identifier: Apache-2.0
"""`savedmodel scan DIR`."""

from __future__ import annotations

import dataclasses
import json
import textwrap

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._text import plural, tag_set


def _names(text: str | None) -> list[str]:
    return [name for name in (part.strip() for part in (text or "").split(",")) if name]


@click.command
@_arguments.directory
@click.option("--tag-set", "tags", metavar="A,B", help="Only the MetaGraph with these tags; '' has none.")
@click.option("--deny", metavar="A,B", help="Ops or categories to find as well.")
@click.option("--allow", metavar="A,B", help="Ops or categories to allow.")
@click.option("--op-denylist", metavar="A,B", help="Find these ops, and nothing else.")
@_arguments.as_json
@click.pass_context
def command(
    ctx: click.Context,
    directory: str,
    tags: str | None,
    deny: str | None,
    allow: str | None,
    op_denylist: str | None,
    as_json: bool,
) -> None:
    """List ops that reach beyond the computation, in the graph and in its functions.

    The exit status is 1 if any is found. Categories: files, network, processes, python, memory, code (that is
    not in the graph), unknown (ops that are in no list) and loader (ops that only a load uses: the saver,
    tables made from assets; found only with --deny loader). An op's name takes precedence over its category.
    sm.load(..., ops="safe") uses the same list. No part of the model is run.
    """
    if op_denylist is not None and (deny is not None or allow is not None):
        raise click.UsageError("give --op-denylist, or --deny and --allow, not both")
    findings = sm.scan(
        directory,
        tags=None if tags is None else _arguments.split_tags(tags),
        deny=_names(deny) + _names(op_denylist),
        allow=_names(allow),
    )
    if op_denylist is not None:
        findings = [one for one in findings if one.op in _names(op_denylist)]
    found = [one for one in findings if one.denied]
    if as_json:
        rows = [dataclasses.asdict(one) for one in findings]
        click.echo(json.dumps({"path": directory, "found": bool(found), "ops": rows}, indent=2))
    else:
        _print(directory, findings)
    ctx.exit(1 if found else 0)


def _print(directory: str, findings: list[sm.Finding]) -> None:
    from savedmodel.cli._console import RIGHT, console, heading, table

    out = console()
    ordered = sorted(findings, key=lambda one: (not one.denied, one.tags, one.category, one.op))
    several = len({one.tags for one in findings}) > 1
    for denied, title in ((True, "found"), (False, "allowed")):
        chosen = [one for one in ordered if one.denied == denied]
        if not chosen:
            continue
        heading(out, title)
        rows = []
        for one in chosen:
            where = textwrap.shorten(", ".join(one.nodes), 200, placeholder=" ...")
            what = one.reason + (f"; at {where}" if where else "")
            if several:
                what += f" (MetaGraph {tag_set(one.tags)})"
            rows.append((one.op, one.category, str(one.count), what))
        table(
            out,
            rows,
            header=("op", "category", "nodes", "what it does, and where"),
            justify=["left", "left", RIGHT],
            keep=[1, 2],
        )
        out.print()
    count = sum(one.denied for one in findings)
    verdict = "nothing" if count == 0 else plural(count, "op")
    heading(out, f"{directory}: {verdict} found")
