# SPDX-License-Identifier: Apache-2.0
"""Formats signatures and models for a terminal and a notebook."""

from __future__ import annotations

import html
import keyword
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from savedmodel._core import Inspection, MetaGraphInfo, Signature, SignatureInfo, TensorSpec
    from savedmodel._model import Model

    AnySignature: TypeAlias = Signature | SignatureInfo

_WIDTH = 80


def _specs(specs: Mapping[str, TensorSpec]) -> str:
    def name(key: str) -> str:
        return key if key.isidentifier() and not keyword.iskeyword(key) else repr(key)

    return ", ".join(f"{name(key)}: {spec}" for key, spec in specs.items())


def _signature_rows(name: str, signature: AnySignature, indent: str) -> list[str]:
    """One line, or a table if the line is wider than a terminal."""
    line = f"{indent}{name}({_specs(signature.inputs)}) -> ({_specs(signature.outputs)})"
    if len(line) <= _WIDTH:
        return [line]
    rows = [f"{indent}{name}"]
    for title, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        rows.append(f"{indent}  {title}:")
        width = max((len(key) for key in specs), default=0)
        rows += [f"{indent}    {key:<{width}}  {spec}" for key, spec in specs.items()] or [
            f"{indent}    none"
        ]
    return rows


def signature_text(signature: AnySignature) -> str:
    rows = _signature_rows(signature.name, signature, "  ")
    if len(rows) == 1 and len(rows[0]) + len("<Signature >") <= _WIDTH:
        return f"<Signature {rows[0].strip()}>"
    return "\n".join(["<Signature", *rows]) + ">"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def cells(tag: str, values: Iterable[str]) -> str:
        return "".join(f"<{tag} style='text-align:left'>{html.escape(v)}</{tag}>" for v in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', header)}</tr></thead><tbody>{body}</tbody></table>"


def _spec_rows(signature: AnySignature) -> list[tuple[str, str, str, str, str]]:
    return [
        (signature.name, kind, key, str(spec), spec.name)
        for kind, specs in (("input", signature.inputs), ("output", signature.outputs))
        for key, spec in specs.items()
    ]


_HEADER = ("signature", "", "name", "type", "tensor")


def signature_html(signature: Signature) -> str:
    return _table(_HEADER, _spec_rows(signature))


def model_text(model: Model) -> str:
    state = ", closed" if model.closed else ""
    tags = ", ".join(model.tags) or "no tags"
    rows = [f"<Model {model.path!r} ({tags}{state})"]
    for name, signature in model.signatures.items():
        rows += _signature_rows(name, signature, "  ")
    if not model.signatures and model.functions:
        rows.append(f"  no signatures; functions: {', '.join(map(repr, model.functions))}")
    return "\n".join(rows) + ">"


def model_html(model: Model) -> str:
    rows = [row for signature in model.signatures.values() for row in _spec_rows(signature)]
    return f"<p><b>Model</b> <code>{html.escape(model.path)}</code></p>{_table(_HEADER, rows)}"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _meta_graph_rows(graph: MetaGraphInfo, indent: str) -> list[str]:
    tags = ", ".join(sorted(graph.tags)) or "no tags"
    version = f", TensorFlow {graph.tensorflow_version}" if graph.tensorflow_version else ""
    counts = f"{len(graph.ops)} kinds of op, {len(graph.variables)} variables"
    rows = [f"{indent}{{{tags}}}: {counts}{version}"]
    for name, signature in graph.signatures.items():
        rows += _signature_rows(name, signature, indent + "  ")
    return rows


def meta_graph_text(graph: MetaGraphInfo) -> str:
    return "\n".join(["<MetaGraph", *_meta_graph_rows(graph, "  ")]) + ">"


def inspection_text(inspection: Inspection) -> str:
    rows = [f"<SavedModel {inspection.path!r}, {_bytes(inspection.size_bytes)}"]
    for graph in inspection.meta_graphs:
        rows += _meta_graph_rows(graph, "  ")
    return "\n".join(rows) + ">"


def inspection_html(inspection: Inspection) -> str:
    path, size = html.escape(inspection.path), _bytes(inspection.size_bytes)
    parts = [f"<p><b>SavedModel</b> <code>{path}</code>, {size}</p>"]
    for graph in inspection.meta_graphs:
        rows = [row for signature in graph.signatures.values() for row in _spec_rows(signature)]
        title = _meta_graph_rows(graph, "")[0]
        parts += [f"<p>{html.escape(title)}</p>", _table(_HEADER, rows)]
    return "".join(parts)
