# SPDX-License-Identifier: Apache-2.0
"""`savedmodel show DIR`."""

from __future__ import annotations

import contextlib
import importlib
import json
import threading

import click

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._show_json import as_dict
from savedmodel.cli._text import tag_set


@click.command
@_arguments.directory
@click.option("--all", "everything", is_flag=True, help="Also functions, ops, variables and files.")
@click.option("--tag-set", "tags", metavar="A,B", help="Only the MetaGraph with these tags; '' has none.")
@click.option("--signature-def", "signature", metavar="KEY", help="Only this signature.")
@click.option("--list-ops", is_flag=True, help="The ops of the graph and its functions.")
@_arguments.as_json
def command(
    directory: str,
    everything: bool,
    tags: str | None,
    signature: str | None,
    list_ops: bool,
    as_json: bool,
) -> None:
    """Show the contents of the SavedModel in DIR: tag sets, their signatures, inputs and outputs.

    Runs nothing and reads no weights. Signatures are shown as written in the file.
    """
    if not as_json:  # imports rich while TensorFlow is being opened
        threading.Thread(target=_import_early).start()
    inspection = sm.inspect(directory)
    graphs = _choose(inspection.meta_graphs, tags)
    if signature is not None:
        graphs = [graph for graph in graphs if signature in graph.signatures]
        if not graphs:
            known = sorted({name for graph in inspection.meta_graphs for name in graph.signatures})
            _arguments.choose_signature(known, signature)
            raise click.UsageError(f"no signature {signature!r} in the MetaGraph {tags!r}")
    if as_json:
        click.echo(json.dumps(as_dict(inspection, graphs, signature), indent=2))
        return
    from savedmodel.cli._show_text import print_inspection

    print_inspection(
        directory, inspection, graphs, signature=signature, ops=list_ops or everything, everything=everything
    )


def _import_early() -> None:
    with contextlib.suppress(ImportError):  # raised again where it is needed
        importlib.import_module("savedmodel.cli._show_text")


def _choose(graphs: list[sm.MetaGraph], tags: str | None) -> list[sm.MetaGraph]:
    graphs = sorted(graphs, key=lambda graph: sorted(graph.tags))
    if tags is None:
        return graphs
    wanted = frozenset(_arguments.split_tags(tags))
    chosen = [graph for graph in graphs if graph.tags == wanted]
    if not chosen:
        known = "; ".join(tag_set(graph.tags) for graph in graphs)
        raise click.UsageError(f"no MetaGraph has the tags {tag_set(wanted)}; there are: {known}")
    return chosen
