# SPDX-License-Identifier: Apache-2.0
"""`savedmodel convert keras|checkpoint|frozen-graph|function SRC DST`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import click

import savedmodel as sm
from savedmodel.cli import _convert_options as options
from savedmodel.cli._array_files import read_samples
from savedmodel.cli._stderr import native_messages_dropped


class _Sources(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "tensorrt" in args:
            raise click.UsageError(
                "there is no conversion to TensorRT; saved_model_cli of the tensorflow package has one", ctx
            )
        return super().parse_args(ctx, args)


@click.group(cls=_Sources)
def command() -> None:
    """Write a SavedModel, and compare it with its source.

    It is loaded through savedmodel and called on samples, like its source. If the results differ, nothing is
    written. DST appears as a whole or not at all.
    """


def _conversion(example: str, src: str = "SRC") -> Callable[[Callable[..., Any]], click.Command]:
    """A subcommand: the common options, the report, and the example in its help."""

    def decorate(function: Callable[..., sm.export.Conversion]) -> click.Command:
        @functools.wraps(function)
        def wrapped(
            input_shape: tuple[str, ...],
            samples: tuple[str, ...],
            tolerance: float | None,
            batch: int | None,
            overwrite: bool,
            imports: tuple[str, ...],
            **rest: Any,
        ) -> None:
            with native_messages_dropped():
                for module in imports:
                    options.imported(module)
                report = function(
                    common={
                        "input_shapes": options.shapes(input_shape),
                        "samples": read_samples("--samples", samples) or None,
                        "tolerance": tolerance,
                        "batch": batch,
                        "overwrite": overwrite,
                    },
                    **rest,
                )
            click.echo(report)

        for option in reversed(_COMMON):
            option(wrapped)
        click.argument("dst", type=click.Path(), metavar="DST")(wrapped)
        click.argument("src", metavar=src)(wrapped)
        name = function.__name__.strip("_").replace("_", "-")
        return command.command(name, epilog=f"\b\nexample:\n  {example}")(wrapped)

    return decorate


_COMMON = [
    click.option("--batch", type=click.IntRange(1), metavar="N", help="Fix the first dimension."),
    click.option(
        "--input-shape",
        multiple=True,
        metavar="NAME=SHAPE",
        help="Fix a shape, or free its batch: image=?,224,224,3.",
    ),
    click.option(
        "--samples",
        multiple=True,
        type=click.Path(dir_okay=False, exists=True),
        metavar="FILE.npz",
        help="Inputs to compare on. (generated)",
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="T",
        help="Largest difference, relative to the output's largest value; inf for any. (1e-4)",
    ),
    click.option("--overwrite", is_flag=True, help="Replace a SavedModel at DST."),
    click.option(
        "--import",
        "imports",
        multiple=True,
        metavar="MODULE",
        help="Import a Python module first: custom layers, custom ops.",
    ),
]
_specs = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=DTYPE[SHAPE]",
    help="An input, if the model does not declare it: x=float32[?,64].",
)
_tensor_options = [
    click.option("--input", "inputs", multiple=True, metavar="[KEY=]TENSOR", help="An input: image=x:0."),
    click.option("--output", "outputs", multiple=True, metavar="[KEY=]TENSOR", help="An output."),
    click.option(
        "--signature",
        "signatures",
        multiple=True,
        metavar="NAME",
        help="The signature's name; or several signatures: 'NAME: KEY=TENSOR, ... -> KEY=TENSOR, ...'.",
    ),
]


def _tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name tensors, in addition to the `common` ones."""

    @functools.wraps(function)
    def wrapped(
        common: dict[str, Any],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        signatures: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        named = {
            "inputs": options.tensors(inputs),
            "outputs": options.tensors(outputs),
            "signatures": options.graph_signatures(signatures),
        }
        return function(common={**common, **named}, **rest)

    for option in reversed(_tensor_options):
        option(wrapped)
    return wrapped


@_conversion("savedmodel convert keras digits.keras models/digits --batch 1")
@click.option(
    "--signature",
    "signatures",
    multiple=True,
    metavar="NAME[=LAYER,...]",
    help="A signature's name, and the layers whose outputs it returns. (serving_default)",
)
@_specs
@click.option("--allow-lambdas", is_flag=True, help="Run the Python code of Lambda layers.")
@click.option(
    "--keras-version", type=click.Choice(["2", "3"]), help="The Keras version that reads SRC. (3, then 2)"
)
def _keras(
    src: str,
    dst: str,
    signatures: tuple[str, ...],
    inputs: tuple[str, ...],
    allow_lambdas: bool,
    keras_version: str | None,
    common: dict[str, Any],
) -> sm.export.Conversion:
    """A Keras model: a .keras or .h5 file, or a folder that Keras 2 wrote."""
    named = options.named(signatures)
    layers = (
        named
        if isinstance(named, str)
        else {name: None if what is None else what.split(",") for name, what in named.items()}
    )
    versions: dict[str | None, Literal[2, 3] | None] = {None: None, "2": 2, "3": 3}
    return sm.export.keras(
        src,
        dst,
        signatures=layers,
        input_signature=options.specs(inputs),
        custom_objects=options.custom_objects(click.get_current_context().params["imports"]),
        safe_mode=not allow_lambdas,
        keras_version=versions[keras_version],
        **common,
    )


@_conversion("savedmodel convert checkpoint run/model.ckpt-100 models/m --input image=x:0 --output probs:0")
@_tensors
@click.option("--graph", metavar="MODULE:FUNCTION", help="Builds the graph, if there is no .meta file.")
def _checkpoint(src: str, dst: str, graph: str | None, common: dict[str, Any]) -> sm.export.Conversion:
    """A TensorFlow 1 checkpoint: its prefix, or the folder that holds it."""
    built = None if graph is None else options.attribute(graph)
    return sm.export.checkpoint(src, dst, graph=built, **common)


@_conversion("savedmodel convert frozen-graph frozen.pb models/m --input x:0 --output probs=softmax:0")
@_tensors
def _frozen_graph(src: str, dst: str, common: dict[str, Any]) -> sm.export.Conversion:
    """A frozen GraphDef: a .pb or .pbtxt file."""
    return sm.export.frozen_graph(src, dst, **common)


@_conversion("savedmodel convert function train:predict models/m --input 'x=float32[?,64]'", "MODULE:NAME")
@click.option(
    "--signature",
    "signatures",
    multiple=True,
    metavar="NAME[=METHOD]",
    help="A signature's name, and the method of a tf.Module that it calls. (serving_default)",
)
@_specs
def _function(
    src: str,
    dst: str,
    signatures: tuple[str, ...],
    inputs: tuple[str, ...],
    common: dict[str, Any],
) -> sm.export.Conversion:
    """A Python function of tensors, a tf.function or a tf.Module: MODULE:NAME."""
    named = options.named(signatures)
    methods = named if isinstance(named, str) else {name: what or "__call__" for name, what in named.items()}
    return sm.export.function(
        options.attribute(src), dst, signatures=methods, input_signature=options.specs(inputs), **common
    )
