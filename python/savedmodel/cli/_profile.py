# SPDX-License-Identifier: Apache-2.0
"""`savedmodel profile DIR`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import click

import savedmodel as sm
from savedmodel._bench.machine import cpus
from savedmodel.cli import _arguments, _inputs, _machine
from savedmodel.cli._random import random_inputs
from savedmodel.cli._text import common_path, duration, plural


@dataclass(frozen=True)
class Row:
    """Nodes of one name, or of one kind of op: the mean of all runs."""

    name: str
    op: str
    nodes: int
    seconds: float
    share: float


@dataclass(frozen=True)
class Profile:
    """The results of the traced runs. Ops may run concurrently, so the sum of their times may exceed the
    run's."""

    runs: int
    wall_seconds: float
    by_op: list[Row]
    by_node: list[Row]


@click.command
@_arguments.directory
@_arguments.tags
@_arguments.signature
@click.option(
    "--runs", type=click.IntRange(1), metavar="N", default=10, show_default=True, help="Traced runs."
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="Batch size of generated inputs.",
)
@_inputs.options
@_arguments.device
@_arguments.threads
@_arguments.session_config
@click.option(
    "--top", type=click.IntRange(1), metavar="N", default=15, show_default=True, help="Rows of each table."
)
@_arguments.as_json
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE.png", help="Write a bar chart.")
@click.option(
    "--trace", type=click.Path(dir_okay=False), metavar="FILE.json", help="Write the last run for Perfetto."
)
def command(
    directory: str,
    tags: str | None,
    signature: str | None,
    runs: int,
    batch: int,
    sources: _inputs.Sources,
    seed: int,
    device: str | None,
    threads: int | None,
    session_config: str | None,
    top: int,
    as_json: bool,
    plot: str | None,
    trace: str | None,
) -> None:
    """Show the time of each op in a call, by kind of op and by node.

    A traced call runs in a TensorFlow session, on the graph as it was loaded: it shows the model's own ops,
    not savedmodel's optimized graph. Tracing itself costs some microseconds per op. Inputs that are not given
    are generated; the first two runs are not counted.
    """
    if plot is not None:
        _arguments.check_plot(plot)
    chosen = _arguments.choose_tags(directory, tags)
    values = sources.read()
    session = _arguments.session_options(session_config)
    settings: dict[str, Any] = {"device": device, "threads": threads, "session": session}
    with sm.load(directory, tags=chosen, optimize="none", **settings) as model:
        function = model.signatures[_arguments.choose_signature(list(model.signatures), signature)]
        given = _inputs.match(values, function.inputs)
        feeds = random_inputs(function.inputs, batch=batch, seed=seed, given=given)
        traces = [function.run(feeds, trace=True)[1] for _ in range(runs + 2)][2:]
    profile = _summarize(traces)
    if trace is not None:
        traces[-1].save(trace)
    if as_json:
        about = {"path": directory, "signature": function.name, "machine": _machine.describe()}
        click.echo(json.dumps({**about, **asdict(profile)}, indent=2))
    else:
        _print(f"{directory}: {function.name}", profile, top, threads)
    if plot is not None:
        from savedmodel.cli._profile_plot import write_plot

        write_plot(f"{directory}: {function.name}", profile, top, plot)
    for written in filter(None, (trace, plot)):
        click.echo(f"wrote {written}", err=True)


def _summarize(traces: list[sm.Trace]) -> Profile:
    events = [event for trace in traces for event in trace.events]
    walls = []
    for trace in traces:
        if trace.events:
            ends = max(event.start_ns + event.duration_ns for event in trace.events)
            walls.append(ends - min(event.start_ns for event in trace.events))

    def rows(key: Callable[[Any], tuple[str, str]]) -> list[Row]:
        return _rows(events, key, len(traces))

    return Profile(
        runs=len(traces),
        wall_seconds=sum(walls) / max(1, len(walls)) / 1e9,
        by_op=rows(lambda event: (event.op or "(none)", event.op or "(none)")),
        by_node=rows(lambda event: (event.node, event.op or "(none)")),
    )


def _rows(events: Iterable[Any], key: Callable[[Any], tuple[str, str]], runs: int) -> list[Row]:
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        seconds[key(event)] += event.duration_ns / 1e9 / runs
        counts[key(event)] += 1
    total = sum(seconds.values()) or 1.0
    found = [
        Row(name, op, round(counts[name, op] / runs), time, time / total)
        for (name, op), time in seconds.items()
    ]
    return sorted(found, key=lambda row: -row.seconds)


def _print(title: str, profile: Profile, top: int, threads: int | None) -> None:
    from savedmodel.cli._console import LEFT, RIGHT, console, heading, table

    out = console()
    total = sum(row.seconds for row in profile.by_op)
    heading(out, title)
    table(
        out,
        [
            ("machine", _machine.line(_machine.describe())),
            (
                "measured",
                f"mean of {plural(profile.runs, 'traced run')} of the graph as it was loaded, "
                f"{plural(threads or cpus(), 'thread')}; a run took "
                f"{duration(profile.wall_seconds)}, its ops {duration(total)} together",
            ),
        ],
        keep=[0],
    )
    out.print()
    justify = [LEFT, RIGHT, RIGHT, RIGHT]
    heading(out, "by kind of op")
    cells = [(r.name, str(r.nodes), duration(r.seconds), f"{r.share:.1%}") for r in profile.by_op]
    table(out, cells[:top], header=("op", "nodes", "time", "share"), justify=justify, keep=[1, 2, 3])
    out.print()
    common = common_path([row.name for row in profile.by_node[:top]])
    heading(out, "by node", f"below {common}" if common else "")
    cells = [(r.name[len(common) :], r.op, duration(r.seconds), f"{r.share:.1%}") for r in profile.by_node]
    table(
        out,
        cells[:top],
        header=("node", "op", "time", "share"),
        justify=[LEFT, LEFT, RIGHT, RIGHT],
        keep=[2, 3],
    )
    if len(profile.by_node) > top:
        out.print(f"  and {plural(len(profile.by_node) - top, 'more node')}; --top {top} cut the table")
