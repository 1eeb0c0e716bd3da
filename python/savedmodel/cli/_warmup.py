# SPDX-License-Identifier: Apache-2.0
"""`savedmodel warmup DIR`."""

from __future__ import annotations

import time
from typing import Any

import click

import savedmodel as sm
from savedmodel.cli import _arguments, _inputs
from savedmodel.cli._random import needs_batch, random_inputs
from savedmodel.cli._text import duration, plural, printable


@click.command
@_arguments.directory
@_arguments.tags
@_arguments.signature
@_inputs.options
@click.option("--random", "made_up", is_flag=True, help="Generate the inputs that are not given.")
@click.option(
    "--batch",
    type=_arguments.Numbers(),
    metavar="N,M",
    default="1",
    show_default=True,
    help="Batch sizes of generated inputs; a request for each.",
)
@click.option("--append", is_flag=True, help="Add to the existing requests.")
def command(
    directory: str,
    tags: str | None,
    signature: str | None,
    sources: _inputs.Sources,
    seed: int,
    made_up: bool,
    batch: tuple[int, ...],
    append: bool,
) -> None:
    """Record requests that the SavedModel in DIR is warmed up with; without inputs, replay those there are.

    They are kept in assets.extra/tf_serving_warmup_requests, where TensorFlow Serving looks for them, too.
    Inputs are given as for `run`. A request that the model does not answer is not recorded.
    """
    chosen = _arguments.choose_tags(directory, tags)
    if not sources.any() and not made_up:
        _replay(directory, chosen)
        return
    values = sources.read()
    with sm.load(directory, tags=chosen) as model:
        function = model.signatures[_arguments.choose_signature(list(model.signatures), signature)]
        given = _inputs.match(values, function.inputs)
        requests: list[dict[str, Any]] = [given]
        if made_up:
            sizes = batch if needs_batch(function.inputs) else batch[:1]
            requests = [random_inputs(function.inputs, batch=n, seed=seed, given=given) for n in sizes]
        for request in requests:
            function.run(request)
    sm.record_warmup(directory, requests, signature=function.name, tags=chosen, append=append)
    what = plural(len(requests), "request")
    click.echo(f"{printable(directory)}: recorded {what} of {printable(function.name)}")


def _replay(directory: str, tags: tuple[str, ...]) -> None:
    started = time.perf_counter()
    with sm.load(directory, tags=tags, warmup=True) as model:
        if model.warmed_up == 0:
            raise FileNotFoundError(f"{directory} has no warm-up requests; give inputs to record one")
        taken = duration(time.perf_counter() - started)
        click.echo(f"loaded, and replayed {plural(model.warmed_up, 'request')}, in {taken}")
