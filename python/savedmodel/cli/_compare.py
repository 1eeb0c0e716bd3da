# SPDX-License-Identifier: Apache-2.0
"""`savedmodel compare DIR`."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

import savedmodel as sm
from savedmodel._bench.runtime import missing
from savedmodel.cli import _arguments, _inputs
from savedmodel.cli._array_files import read
from savedmodel.cli._bench_inputs import write_inputs
from savedmodel.cli._child import Child
from savedmodel.cli._difference import Difference, Tolerance, difference


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
    with sm.load(directory, tags=chosen, threads=threads, optimize=level, session=session) as model:
        names = list(model.signatures)
        if signature is not None or sources.any():
            names = [_arguments.choose_signature(names, signature)]
        differences: list[Difference] = []
        skipped: dict[str, str] = {}
        request = {"path": model.path, "tags": list(model.tags), "session": True}
        with Child("tf", request) as reference:
            for name in names:
                try:
                    differences += _compare(model, name, reference, make, Tolerance(rtol, atol))
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


def _compare(
    model: sm.Model, name: str, reference: Child, make: Callable[[Path, Any], dict[str, str]], near: Tolerance
) -> list[Difference]:
    function = model.signatures[name]
    if not function.outputs:
        raise ValueError("it has no outputs")
    found = []
    with tempfile.TemporaryDirectory(prefix="savedmodel-compare-") as scratch:
        files = make(Path(scratch), function)
        reference.ask("select", signature=name, batches=files)
        for batch, file in files.items():
            target = Path(scratch) / f"outputs-{batch}.npz"
            reference.ask("outputs", batch=batch, file=str(target))
            theirs = read(target)
            ours = function.run(read(Path(file)))
            for key in sorted(ours.keys() | theirs.keys()):
                found.append(difference((name, int(batch), key), ours.get(key), theirs.get(key), near))
    return found


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
    heading(out, verdict, f"rtol {rtol:g}, atol {atol:g}")
