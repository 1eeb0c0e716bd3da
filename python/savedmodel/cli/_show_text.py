# SPDX-License-Identifier: Apache-2.0
"""The text output of `show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

import savedmodel as sm
from savedmodel.cli._console import RIGHT, console, heading, table
from savedmodel.cli._fit import parts_of
from savedmodel.cli._text import plural, size, tag_set

_FUNCTIONS_SHOWN = 8


def print_inspection(
    title: str,
    inspection: sm.Inspection,
    graphs: list[sm.MetaGraph],
    *,
    signature: str | None,
    ops: bool,
    everything: bool,
) -> None:
    """Print the hierarchy tag sets -> signatures -> inputs and outputs, and the requested parts."""
    out = console()
    heading(out, title, f"{size(inspection.size_bytes)} in {plural(len(inspection.files), 'file')}")
    for graph in graphs:
        out.print()
        _meta_graph(out, graph, signature, ops, everything)
    if everything and signature is None:
        _files(out, inspection)


def _meta_graph(
    out: Console, graph: sm.MetaGraph, signature: str | None, ops: bool, everything: bool
) -> None:
    writer = f"TensorFlow {graph.tensorflow_version}" if graph.tensorflow_version else "TensorFlow unknown"
    counts = f"{graph.num_nodes} nodes, {graph.num_functions} functions, {len(graph.variables)} variables"
    heading(
        out,
        f"MetaGraph {tag_set(graph.tags)}",
        f"{writer}, producer {graph.producer}" if not everything else "",
    )
    if everything:
        table(
            out,
            [
                ("written by", f"{writer}, producer {graph.producer}, min consumer {graph.min_consumer}"),
                ("graph", counts),
                ("init op", graph.init_op or "none"),
            ],
            keep=[0],
        )
    for name, one in graph.signatures.items():
        if signature in (None, name):
            _signature(out, name, one)
    if not graph.signatures:
        out.print("  no signatures")
    if graph.concrete_functions and not everything and signature is None:
        names = sorted({one.attribute for one in graph.concrete_functions})
        if len(names) > _FUNCTIONS_SHOWN:
            names[_FUNCTIONS_SHOWN:] = [f"and {len(names) - _FUNCTIONS_SHOWN} more"]
        heading(out, f"  functions: {', '.join(names)}", "--all shows what they take")
    if ops:
        out.print(f"  ops ({len(graph.op_uses)})", style="bold")
        listed = ", ".join(
            f"{op} x{use.count}" if use.count > 1 else op for op, use in sorted(graph.op_uses.items())
        )
        table(out, [(listed,)], indent=4)
    if everything and signature is None:
        _details(out, graph)


def _signature(out: Console, name: str, signature: Any) -> None:
    heading(out, f"  {name}", signature.method_name)
    rows = [
        *_rows("in", signature.inputs),
        *_rows("out", signature.outputs),
    ]
    table(out, rows, indent=4, keep=[0, 2])


def _rows(direction: str, specs: Mapping[str, sm.TensorSpec]) -> Iterator[tuple[str, ...]]:
    for key, spec in specs.items():
        default = "" if spec.default is None else f" = {spec.default.tolist()!r:.20}"
        kind = "" if spec.encoding == "dense" else f"{spec.encoding} "
        yield direction, key, kind + spec.tf_dtype, _shape(spec) + default, spec.name
        if spec.encoding != "dense":
            for part, inner in parts_of(key, spec).items():
                yield "", part, inner.tf_dtype, _shape(inner), inner.name


def _shape(spec: sm.TensorSpec) -> str:
    if spec.shape is None:
        return "unknown rank"
    return "[" + ", ".join("?" if length is None else str(length) for length in spec.shape) + "]"


def _details(out: Console, graph: sm.MetaGraph) -> None:
    if graph.concrete_functions:
        out.print(f"  concrete functions ({len(graph.concrete_functions)})", style="bold")
        table(
            out,
            [(one.attribute, f"{one.inputs} -> {one.outputs}") for one in graph.concrete_functions],
            indent=4,
        )
    if graph.variables:
        out.print(f"  variables ({len(graph.variables)})", style="bold")
        table(
            out,
            [(name, spec.tf_dtype, _shape(spec)) for name, spec in graph.variables.items()],
            indent=4,
            keep=[1, 2],
        )
    if graph.assets:
        out.print(f"  assets ({len(graph.assets)})", style="bold")
        table(
            out,
            [
                (
                    one.filename,
                    "missing" if one.size_bytes is None else size(one.size_bytes),
                    one.tensor_name,
                )
                for one in graph.assets
            ],
            indent=4,
            justify=["left", RIGHT],
        )


def _files(out: Console, inspection: sm.Inspection) -> None:
    out.print()
    heading(out, "Files")
    rows = [(name, size(count)) for name, count in sorted(inspection.files.items())]
    table(out, rows, justify=["left", RIGHT], keep=[1])
    out.print()
    fingerprint = inspection.fingerprint
    if fingerprint is None:
        heading(out, "Fingerprint", "none")
        return
    heading(out, "Fingerprint")
    names = [
        "uuid",
        "saved_model_checksum",
        "graph_def_program_hash",
        "signature_def_hash",
        "saved_object_graph_hash",
        "checkpoint_hash",
    ]
    table(out, [(name, str(getattr(fingerprint, name))) for name in names], keep=[0])
