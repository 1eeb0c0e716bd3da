# SPDX-License-Identifier: Apache-2.0
"""`savedmodel bench DIR`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

import savedmodel as sm
from savedmodel._bench.machine import cpus
from savedmodel._bench.runtime import ADAPTERS, missing
from savedmodel.cli import _arguments, _inputs
from savedmodel.cli._bench_inputs import write_inputs
from savedmodel.cli._bench_report import Plan, Report
from savedmodel.cli._bench_rounds import measure


def _contenders(against: str) -> tuple[list[str], dict[str, str]]:
    """The contenders that take part, and why the others don't."""
    names = [name for name in (part.strip() for part in against.split(",")) if name]
    for name in names:
        if name not in ADAPTERS:
            raise click.UsageError(
                f"--against: no runtime {name!r}; there are: {', '.join(list(ADAPTERS)[1:])}"
            )
    left_out = {
        name: f"not installed: pip install {' '.join(packages)}"
        for name in names
        if (packages := missing(name))
    }
    return ["savedmodel", *(n for n in names if n not in left_out and n != "savedmodel")], left_out


@click.command
@_arguments.directory
@_arguments.tags
@_arguments.signature
@click.option(
    "--batch", type=_arguments.Numbers(), metavar="N,N", default="1", show_default=True, help="Batch sizes."
)
@click.option(
    "--threads", type=_arguments.Numbers(), metavar="N,N", help="Intra-op threads. (as many as CPUs)"
)
@click.option(
    "--concurrency",
    type=_arguments.Numbers(),
    metavar="N,N",
    default="1",
    show_default=True,
    help="Concurrent callers.",
)
@click.option("--against", default="", metavar="A,B", help="Other runtimes: tf, onnxruntime, openvino.")
@click.option(
    "--onnx", type=click.Path(dir_okay=False), help="The model for onnxruntime. (converted by tf2onnx)"
)
@_arguments.level
@click.option(
    "--rounds",
    type=click.IntRange(1),
    metavar="N",
    default=5,
    show_default=True,
    help="Rounds of each contender.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.001),
    metavar="X",
    default=0.5,
    show_default=True,
    help="Length of each round, in seconds.",
)
@click.option(
    "--warmup",
    type=click.FloatRange(0),
    metavar="X",
    default=0.5,
    show_default=True,
    help="Warm-up before that, in seconds; not counted.",
)
@_inputs.options
@_arguments.as_json
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE.png", help="Write a plot.")
def command(
    directory: str,
    tags: str | None,
    signature: str | None,
    batch: tuple[int, ...],
    threads: tuple[int, ...] | None,
    concurrency: tuple[int, ...],
    against: str,
    onnx: str | None,
    level: str,
    rounds: int,
    seconds: float,
    warmup: float,
    sources: _inputs.Sources,
    seed: int,
    as_json: bool,
    plot: str | None,
) -> None:
    """Measure latency and throughput of a signature of the SavedModel in DIR.

    Each contender runs in its own process. Rounds are interleaved, so that other load on the machine affects
    all alike. Inputs that are not given are generated. Load time starts once the runtime is imported; cold
    start is the time from process start to the first result.
    """
    if plot is not None:
        _arguments.check_plot(plot)
    contenders, left_out = _contenders(against)
    chosen = _arguments.choose_tags(directory, tags)
    (graph,) = (graph for graph in sm.inspect(directory).meta_graphs if graph.tags == frozenset(chosen))
    name = _arguments.choose_signature(list(graph.signatures), signature)
    with tempfile.TemporaryDirectory(prefix="savedmodel-bench-") as scratch:
        files = write_inputs(Path(scratch), graph.signatures[name], sources, batch, seed)
        plan = Plan(
            path=directory,
            tags=list(chosen),
            signature=name,
            batches=files,
            threads=threads or (cpus(),),
            concurrency=concurrency,
            contenders=contenders,
            onnx=onnx,
            optimize=level,
            rounds=rounds,
            seconds=seconds,
            warmup=warmup,
            seed=seed,
            scratch=Path(scratch),
        )
        report = measure(plan, left_out)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        from savedmodel.cli._bench_table import print_report

        print_report(report)
    if plot is not None:
        _write_plot(report, plot)


def _write_plot(report: Report, plot: str) -> None:
    from savedmodel.cli._bench_plot import write_plot

    write_plot(report, plot)
    click.echo(f"wrote {plot}", err=True)
