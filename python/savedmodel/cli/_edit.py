# SPDX-License-Identifier: Apache-2.0
"""`savedmodel edit SRC DST`."""

from __future__ import annotations

from typing import Literal

import click

import savedmodel as sm
from savedmodel.cli import _arguments


def _split(option: str, text: str, form: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise click.UsageError(f"{option} {text!r} is not of the form {form}")
    return left, right


def _tensors(option: str, given: tuple[str, ...]) -> dict[str, str]:
    tensors: dict[str, str] = {}
    for text in given:
        key, tensor = _split(option, text, "KEY=TENSOR")
        if key in tensors:
            raise click.UsageError(f"{option}: the key {key!r} is given twice")
        tensors[key] = tensor
    return tensors


def _tag_sets(option: str, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    left, equals, right = text.partition("=")
    if not equals:
        raise click.UsageError(f"{option} {text!r} is not of the form TAGS=TAGS")
    return _arguments.split_tags(left), _arguments.split_tags(right)


@click.command
@click.argument("src", type=click.Path(file_okay=False))
@click.argument("dst", type=click.Path())
@click.option("--tag-set", "tags", metavar="A,B", help="The MetaGraph to edit. (serve, or the only one)")
@click.option("--remove-signature", "remove", multiple=True, metavar="NAME", help="Remove a signature.")
@click.option("--rename-signature", "rename", multiple=True, metavar="OLD=NEW", help="Rename one.")
@click.option("--add-signature", "add", metavar="NAME", help="Add one, with --input and --output.")
@click.option(
    "--function", metavar="PATH", help="Add a function of the saved object, or its trace PATH:TRACE."
)
@click.option("--input", "inputs", multiple=True, metavar="KEY=TENSOR", help="An input of the added one.")
@click.option("--output", "outputs", multiple=True, metavar="KEY=TENSOR", help="An output of the added one.")
@click.option(
    "--add-output", "expose", multiple=True, metavar="NAME:KEY=TENSOR", help="Add an output to NAME."
)
@click.option(
    "--keep-outputs", "keep", multiple=True, metavar="NAME=KEY,KEY", help="Keep only these outputs of NAME."
)
@click.option("--method-name", "method", multiple=True, metavar="NAME=METHOD", help="Set NAME's method.")
@click.option("--copy-meta-graph", "copy", multiple=True, metavar="A=A,B", help="Copy one, with new tags.")
@click.option("--set-tags", "set_tags", multiple=True, metavar="A=B", help="Change the tags of one.")
@click.option(
    "--drop-meta-graph", "drop", multiple=True, metavar="A,B", help="Remove the one with these tags."
)
@click.option("--clear-devices", is_flag=True, help="Remove the devices of nodes and variables.")
@click.option("--drop-object-graph", is_flag=True, help="tf.saved_model.load then finds signatures only.")
@click.option("--prune", is_flag=True, help="Remove what no signature needs, variables too.")
@click.option(
    "--format", "format_", type=click.Choice(["pb", "pbtxt"]), help="Format of saved_model. (as in SRC)"
)
@click.option("--overwrite", is_flag=True, help="Replace the SavedModel DST.")
def command(
    src: str,
    dst: str,
    tags: str | None,
    remove: tuple[str, ...],
    rename: tuple[str, ...],
    add: str | None,
    function: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    expose: tuple[str, ...],
    keep: tuple[str, ...],
    method: tuple[str, ...],
    copy: tuple[str, ...],
    set_tags: tuple[str, ...],
    drop: tuple[str, ...],
    clear_devices: bool,
    drop_object_graph: bool,
    prune: bool,
    format_: Literal["pb", "pbtxt"] | None,
    overwrite: bool,
) -> None:
    """Write the SavedModel SRC to DST with other signatures, tags, devices, or with parts removed.

    TENSOR is a tensor's name in the graph, such as dense/BiasAdd:0. A tensor in a function is named by the
    calls that lead to it, StatefulPartitionedCall/dense/BiasAdd:0. MetaGraphs are copied, given tags and
    dropped first. Then signatures are removed, renamed, added and changed, under their new names. Pruning
    comes last.
    """
    if (inputs or outputs or function) and add is None:
        raise click.UsageError(
            "--input, --output and --function describe a new signature: give --add-signature NAME"
        )
    if function and (inputs or outputs):
        raise click.UsageError("give --function, or --input and --output, not both")
    edit = sm.Edit(src)
    for text in copy:
        edit.copy_meta_graph(*_tag_sets("--copy-meta-graph", text))
    for text in set_tags:
        edit.set_tags(*_tag_sets("--set-tags", text))
    for text in drop:
        edit.drop_meta_graph(_arguments.split_tags(text))
    if tags is not None:
        edit.select_meta_graph(_arguments.split_tags(tags))
    if drop_object_graph:
        edit.drop_object_graph()
    for name in remove:
        edit.remove_signature(name)
    for text in rename:
        edit.rename_signature(*_split("--rename-signature", text, "OLD=NEW"))
    if add is not None and function is not None:
        path, colon, number = function.rpartition(":")
        traced = colon and number.isdecimal()
        edit.add_signature(add, function=path if traced else function, trace=int(number) if traced else 0)
    elif add is not None:
        edit.add_signature(add, _tensors("--input", inputs), _tensors("--output", outputs))
    for text in expose:
        key, tensor = _split("--add-output", text, "NAME:KEY=TENSOR")
        name, colon, key = key.partition(":")
        if not (name and colon and key):
            raise click.UsageError(f"--add-output {text!r} is not of the form NAME:KEY=TENSOR")
        edit.add_outputs(name, {key: tensor})
    for text in keep:
        name, keys = _split("--keep-outputs", text, "NAME=KEY,KEY")
        edit.keep_outputs(name, keys.split(","))
    for text in method:
        edit.set_method_name(*_split("--method-name", text, "NAME=METHOD"))
    if clear_devices:
        edit.clear_devices()
    if prune:
        edit.prune()
    for note in edit.save(dst, overwrite=overwrite, format=format_):
        click.echo(note)
