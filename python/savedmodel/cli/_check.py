# SPDX-License-Identifier: Apache-2.0
"""`savedmodel check DIR`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

import click

from savedmodel.cli import _arguments
from savedmodel.cli._check_steps import Step, steps
from savedmodel.cli._isolated import isolated_steps
from savedmodel.cli._text import printable

OUTCOMES = ("done", "refused", "unusable", "crashed", "hung")


@click.command
@_arguments.directory
@_arguments.tags
@click.option("--isolated", is_flag=True, help="Run in a child process with limits, which may crash or hang.")
@click.option(
    "--run/--no-run",
    "run",
    default=True,
    help="Also call each signature, or __call__, once, on generated inputs. (default)",
)
@click.option(
    "--ops", type=click.Choice(["any", "safe"]), default="any", show_default=True, help="load's ops="
)
@_arguments.level
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    default=120.0,
    show_default=True,
    help="Time limit of the child, in total.",
)
@click.option(
    "--memory",
    type=click.FloatRange(0, min_open=True),
    metavar="GB",
    help="Memory that the child may write to. (three quarters of the machine's)",
)
@_arguments.as_json
@click.pass_context
def command(
    ctx: click.Context,
    directory: str,
    tags: str | None,
    isolated: bool,
    run: bool,
    ops: str,
    level: str,
    timeout: float,
    memory: float | None,
    as_json: bool,
) -> None:
    """Load the SavedModel in DIR, call its signatures, and report whether this works.

    The exit status is 0 if it does, and 1 if the load is refused, or something crashes or hangs. It is no
    failure if a signature refuses its generated inputs. It is one if no inputs could work: an op is missing,
    or the signature reads a variable without a value. Without --isolated, a model that makes TensorFlow abort
    also ends this command. The child has all rights of its user: it is no sandbox.
    """
    if "://" not in directory and not os.path.isdir(directory):
        raise click.UsageError(f"no such directory: '{directory}'")
    request = {
        "path": directory if "://" in directory else os.path.abspath(directory),
        "tags": tags,
        "level": level,
        "ops": ops,
        "run": run,
        "memory": int(memory * 1e9) if memory is not None else _most_memory(),
    }
    results = _pair(isolated_steps(request, timeout) if isolated else steps(request))
    if as_json:
        click.echo(json.dumps({"path": directory, "steps": results}, indent=2))
    else:
        _print(directory, results)
    load_failed = results[0]["outcome"] != "done"
    failed = any(one["outcome"] in ("unusable", "crashed", "hung") for one in results)
    ctx.exit(1 if load_failed or failed else 0)


def _most_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 * 3


def _pair(said: Iterable[Step]) -> list[Step]:
    """Each step with its outcome: {"at", "outcome", "text"}, with "signature" and "lines" if there."""
    results: list[Step] = []
    at: Step = {"at": "load"}
    for step in said:
        if "at" in step:
            at = step
            continue
        (outcome,) = (name for name in OUTCOMES if name in step)
        rest = {"lines": step["lines"]} if "lines" in step else {}
        results.append({**at, "outcome": outcome, "text": step[outcome], **rest})
    return results


def _print(title: str, results: list[Step]) -> None:
    from savedmodel.cli._console import console, heading

    out = console()
    for one in results:
        text = one["text"] if one["outcome"] == "done" else f"{one['outcome']}: {one['text']}"
        if "signature" in one:
            heading(out, f"  {one['signature']}: {text}")
        else:
            heading(out, f"{title}: {text}")
        for line in one.get("lines", ()):
            out.print("    " + printable(line), soft_wrap=True, style="dim")
