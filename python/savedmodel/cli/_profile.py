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
    from_ops: list[str]
    """What it computes, as ops of the graph as loaded; empty for such an op itself."""
    from_nodes: list[str]
    """Their nodes, of a row that is one node."""


@dataclass(frozen=True)
class Profile:
    """The results of the traced runs. In a session ops may run concurrently, so the sum of their times may
    exceed the run's. Elsewhere shares are of the run's time."""

    runs: int
    session: bool
    wall_seconds: float
    outside_seconds: float
    """Of a run, what is no op's: its inputs and results, and starting it. 0 in a session."""
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
@_arguments.level
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
    level: str,
    device: str | None,
    threads: int | None,
    session_config: str | None,
    top: int,
    as_json: bool,
    plot: str | None,
    trace: str | None,
) -> None:
    """Show the time of each op in a call, by kind of op and by node.

    The ops are those that run: the optimized graph's, with the model's own ops that each computes. --level
    none shows the graph as it was loaded. Tracing itself costs less than a microsecond per op, and some in a
    session, which several devices and some of TensorFlow's options need. Inputs that are not given are
    generated; the first two runs are not counted.
    """
    if plot is not None:
        _arguments.check_plot(plot)
    chosen = _arguments.choose_tags(directory, tags)
    values = sources.read()
    session = _arguments.session_options(session_config)
    settings: dict[str, Any] = {"optimize": level, "device": device, "threads": threads, "session": session}
    with sm.load(directory, tags=chosen, **settings) as model:
        function = model.signatures[_arguments.choose_signature(list(model.signatures), signature)]
        given = _inputs.match(values, function.inputs)
        feeds = random_inputs(function.inputs, batch=batch, seed=seed, given=given)
        traces = [function.run(feeds, trace=True)[1] for _ in range(runs + 2)][2:]
    profile = _summarize(traces)
    graph = _what_ran(profile, level)
    if trace is not None:
        traces[-1].save(trace)
    if as_json:
        about = {"path": directory, "signature": function.name, "machine": _machine.describe()}
        click.echo(json.dumps({**about, **asdict(profile)}, indent=2))
    else:
        _print(f"{directory}: {function.name}", profile, top, threads, graph)
    if plot is not None:
        from savedmodel.cli._profile_plot import write_plot

        write_plot(f"{directory}: {function.name}", profile, top, graph, plot)
    for written in filter(None, (trace, plot)):
        click.echo(f"wrote {written}", err=True)


def _what_ran(profile: Profile, level: str) -> str:
    """The graph that the runs were of."""
    if profile.session:
        return "the graph as it was loaded, in a session"
    return "the graph as it was loaded" if level == "none" else "the optimized graph"


def _summarize(traces: list[sm.Trace]) -> Profile:
    runs = len(traces)
    session = traces[0].session
    events = [event for trace in traces for event in trace.events if not event.part]
    wall = sum(trace.duration for trace in traces) / runs
    ops = sum(event.duration_ns for event in events) / 1e9 / runs
    whole = (ops if session else wall) or 1.0

    def rows(key: Callable[[Any], tuple[str, str]], nodes: bool) -> list[Row]:
        return _rows(events, key, runs, whole, nodes)

    return Profile(
        runs=runs,
        session=session,
        wall_seconds=wall,
        outside_seconds=0.0 if session else max(0.0, wall - ops),
        by_op=rows(lambda event: (event.op or "(none)", event.op or "(none)"), False),
        by_node=rows(lambda event: (event.node, event.op or "(none)"), True),
    )


def _rows(
    events: Iterable[Any], key: Callable[[Any], tuple[str, str]], runs: int, whole: float, nodes: bool
) -> list[Row]:
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    origins: dict[tuple[str, str], dict[tuple[str, str], None]] = defaultdict(dict)
    for event in events:
        seconds[key(event)] += event.duration_ns / 1e9 / runs
        counts[key(event)] += 1
        origins[key(event)].update(dict.fromkeys(event.origins))
    found = []
    for at, time in seconds.items():
        ops = [op for _, op in origins[at]]
        found.append(
            Row(
                *at,
                round(counts[at] / runs),
                time,
                time / whole,
                from_ops=ops if nodes else list(dict.fromkeys(ops)),
                from_nodes=[node for node, _ in origins[at]] if nodes else [],
            )
        )
    return sorted(found, key=lambda row: -row.seconds)


def _origins(row: Row) -> str:
    """The ops that a row computes, in one line: repeated ones once, with their number."""
    counts: dict[str, int] = defaultdict(int)
    for op in row.from_ops:
        counts[op] += 1
    return ", ".join(op if count == 1 else f"{count} {op}" for op, count in counts.items())


def _print(title: str, profile: Profile, top: int, threads: int | None, graph: str) -> None:
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
                f"mean of {plural(profile.runs, 'traced run')} of {graph}, "
                f"{plural(threads or cpus(), 'thread')}; a run took "
                f"{duration(profile.wall_seconds)}, its ops {duration(total)} together",
            ),
        ],
        keep=[0],
    )
    out.print()
    fused = any(row.from_ops for row in profile.by_op)
    last = ["from"] if fused else []
    heading(out, "by kind of op")
    cells = [
        (r.name, str(r.nodes), duration(r.seconds), f"{r.share:.1%}", *([_origins(r)] if fused else []))
        for r in profile.by_op[:top]
    ]
    if not profile.session:
        outside = profile.outside_seconds
        share = outside / (profile.wall_seconds or 1.0)
        cells.append(("(outside ops)", "", duration(outside), f"{share:.1%}", *([""] if fused else [])))
    justify = [LEFT, RIGHT, RIGHT, RIGHT, *([LEFT] if fused else [])]
    table(out, cells, header=("op", "nodes", "time", "share", *last), justify=justify, keep=[1, 2, 3])
    out.print()
    common = common_path([row.name for row in profile.by_node[:top]])
    heading(out, "by node", f"below {common}" if common else "")
    nodes = [
        (
            r.name[len(common) :],
            r.op,
            duration(r.seconds),
            f"{r.share:.1%}",
            *([_origins(r)] if fused else []),
        )
        for r in profile.by_node[:top]
    ]
    table(
        out,
        nodes,
        header=("node", "op", "time", "share", *last),
        justify=[LEFT, LEFT, RIGHT, RIGHT, *([LEFT] if fused else [])],
        keep=[2, 3],
    )
    if len(profile.by_node) > top:
        out.print(f"  and {plural(len(profile.by_node) - top, 'more node')}; --top {top} cut the table")
