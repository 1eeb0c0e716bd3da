# SPDX-License-Identifier: Apache-2.0
"""`savedmodel compare DIR`."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click

import savedmodel as sm
from savedmodel._bench.runtime import missing
from savedmodel.cli import _arguments, _inputs
from savedmodel.cli._array_files import read
from savedmodel.cli._bench_inputs import write_inputs
from savedmodel.cli._child import Child
from savedmodel.cli._difference import Difference, Tolerance, difference
from savedmodel.cli._text import plural


class _Result(NamedTuple):
    batch: int
    inputs: str  # a file
    outputs: dict[str, Any]


@click.command
@_arguments.directory
@_arguments.tags
@click.option("--signature-def", "signature", metavar="KEY", help="One signature. (all)")
@click.option(
    "--batch", type=_arguments.Numbers(), metavar="N,N", default="1,3", show_default=True, help="Batch sizes."
)
@click.option(
    "--rtol",
    type=click.FloatRange(0),
    metavar="X",
    default=1e-4,
    show_default=True,
    help="Relative tolerance.",
)
@click.option(
    "--atol",
    type=click.FloatRange(0),
    metavar="X",
    default=1e-5,
    show_default=True,
    help="Absolute tolerance.",
)
@_arguments.level
@_arguments.threads
@_inputs.options
@_arguments.as_json
@click.pass_context
def command(
    ctx: click.Context,
    directory: str,
    tags: str | None,
    signature: str | None,
    batch: tuple[int, ...],
    rtol: float,
    atol: float,
    level: Literal["none", "default", "bf16", "int8"],
    threads: int | None,
    sources: _inputs.Sources,
    seed: int,
    as_json: bool,
) -> None:
    """Run the same inputs through TensorFlow's Python, in a separate process, and through savedmodel.

    Inputs that are not given are generated. An output is the same if |ours - theirs| <= atol + rtol *
    |theirs| for every element; strings and integers have to be equal. The exit status is 1 if one is not.
    """
    if lacking := missing("tf"):
        raise ValueError(f"compare needs TensorFlow's Python: pip install {' '.join(lacking)}")
    chosen = _arguments.choose_tags(directory, tags)

    def make(folder: Path, function: sm.Signature) -> dict[str, str]:
        return write_inputs(folder, function, sources, batch, seed)

    session = _arguments.session_options(None)
    with (
        tempfile.TemporaryDirectory(prefix="savedmodel-compare-") as scratch,
        sm.load(directory, tags=chosen, threads=threads, optimize=level, session=session) as model,
    ):
        names = list(model.signatures)
        if signature is not None or sources.any():
            names = [_arguments.choose_signature(names, signature)]
        differences: list[Difference] = []
        skipped: dict[str, str] = {}
        # Ours first: its errors name what is missing.
        ours: dict[str, list[_Result]] = {}
        for number, name in enumerate(names):
            try:
                ours[name] = _run(model.signatures[name], Path(scratch) / str(number), make)
            except (ValueError, TypeError, sm.Error) as error:
                if len(names) == 1:
                    raise
                skipped[name] = " ".join(str(error).split())
        request = {"path": model.path, "tags": list(model.tags), "session": True}
        with Child("tf", request) as reference:
            for name, results in ours.items():
                try:
                    differences += _compare(name, results, reference, Tolerance(rtol, atol))
                except (ValueError, TypeError, sm.Error) as error:
                    if len(names) == 1:
                        raise
                    skipped[name] = " ".join(str(error).split())
    if not differences:
        raise click.ClickException(
            f"no signature could be compared: {next(iter(skipped.values()), 'there is none')}"
        )
    same = all(one.same for one in differences)
    if as_json:
        rows = [dataclasses.asdict(one) for one in differences]
        report = {"path": directory, "same": same, "outputs": rows, "not_compared": skipped}
        click.echo(json.dumps({**report, "rtol": rtol, "atol": atol, "seed": seed}, indent=2))
    else:
        _print(differences, skipped, rtol, atol)
    ctx.exit(0 if same else 1)


def _run(
    function: sm.Signature, folder: Path, make: Callable[[Path, sm.Signature], dict[str, str]]
) -> list[_Result]:
    if not function.outputs:
        raise ValueError("it has no outputs")
    folder.mkdir()
    files = make(folder, function)
    return [_Result(int(batch), file, function.run(read(Path(file)))) for batch, file in files.items()]


def _compare(
    name: str, results: list[_Result], reference: Child, tolerance: Tolerance
) -> Iterator[Difference]:
    reference.ask("select", signature=name, batches={str(one.batch): one.inputs for one in results})
    for one in results:
        target = f"{one.inputs}-outputs.npz"
        reference.ask("outputs", batch=str(one.batch), file=target)
        theirs = read(Path(target))
        for key in sorted(one.outputs.keys() | theirs.keys()):
            yield difference((name, one.batch, key), one.outputs.get(key), theirs.get(key), tolerance)


def _print(differences: list[Difference], skipped: dict[str, str], rtol: float, atol: float) -> None:
    from savedmodel.cli._console import LEFT, RIGHT, console, heading, table

    out = console()
    rows = [
        (
            one.signature,
            str(one.batch),
            one.output,
            f"{one.dtype} {one.shape}",
            "-" if one.max_abs_error is None else f"{one.max_abs_error:.2g}",
            "-" if one.max_rel_error is None else f"{one.max_rel_error:.2g}",
            "same" if one.same else f"DIFFERENT {one.note}".strip(),
        )
        for one in differences
    ]
    header = ("signature", "batch", "output", "type", "abs error", "rel error", "")
    table(out, rows, header=header, justify=[LEFT, RIGHT, LEFT, LEFT, RIGHT, RIGHT], keep=[1, 4, 5], indent=0)
    for name, why in skipped.items():
        heading(out, name, f"not compared: {why}")
    wrong = sum(not one.same for one in differences)
    verdict = f"{wrong} of {len(differences)} outputs differ" if wrong else "all outputs are the same"
    if skipped and not wrong:
        verdict = f"the outputs that were compared are the same; {plural(len(skipped), 'signature')} left out"
    heading(out, verdict, f"rtol {rtol:g}, atol {atol:g}")
