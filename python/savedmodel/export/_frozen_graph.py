# SPDX-License-Identifier: Apache-2.0
"""Converts frozen GraphDefs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import savedmodel as sm
from savedmodel.export._conversion import Conversion, Options, convert
from savedmodel.export._graph_source import GraphSource, Names, named_signatures
from savedmodel.export._graphs import clear_devices
from savedmodel.export._samples import Values
from savedmodel.export._signatures import GraphSignature
from savedmodel.export._specs import Shape
from savedmodel.export._tensorflow import tensorflow

_VARIABLE_OPS = ("VariableV2", "Variable", "VarHandleOp")


def frozen_graph(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    inputs: Names | None = None,
    outputs: Names | None = None,
    signatures: str | Mapping[str, GraphSignature] = "serving_default",
    batch: int | None = None,
    input_shapes: Mapping[str, Shape | None] | None = None,
    samples: Values | Sequence[Values] | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write a frozen GraphDef as a SavedModel.

    src: a file with a GraphDef, binary or (`.pbtxt`) text.
    inputs, outputs: tensor names by key, or tensor names, whose keys are then the names of their nodes.
    signatures: the name of that signature, or several GraphSignatures by name.
    input_shapes: by key; needed if the graph does not know an input's shape, or to fix it. A tensor that is
        an input under several keys has one shape, which can be given for any of them.
    What no signature needs is left out. The other keywords, and the errors, are those of `keras`.
    """
    path = Path(src)
    if not path.is_file():
        raise sm.NotFoundError(f"{path}: no such file")
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        raise ValueError(f"{path} is a SavedModel already")
    named = named_signatures(inputs, outputs, signatures)
    if isinstance(named, str):
        raise ValueError(
            "give inputs= and outputs= (--input, --output): they name the tensors of the signature"
        )

    options = Options(batch, input_shapes, samples, tolerance, overwrite, [path])

    def opener() -> GraphSource:
        tf = tensorflow()
        v1 = tf.compat.v1
        graph_def = _read(path)
        variables = [node.name for node in graph_def.node if node.op in _VARIABLE_OPS]
        if variables:
            raise ValueError(
                f"{path} is not frozen: it has variables, such as {variables[0]!r}, and no values for them"
            )
        clear_devices(graph_def)
        meta_graph = v1.MetaGraphDef(graph_def=graph_def)
        graph = v1.Graph()
        with graph.as_default():
            try:
                tf.import_graph_def(graph_def, name="")
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        session = v1.Session(graph=graph)
        try:
            return GraphSource(f"{path.name}, a frozen graph", meta_graph, session, named, options)
        except BaseException:
            session.close()
            raise

    return convert(dst, options, opener)


def _read(path: Path) -> Any:
    from google.protobuf import message, text_format

    graph_def = tensorflow().compat.v1.GraphDef()
    try:
        if path.suffix == ".pbtxt":
            text_format.Parse(path.read_text(encoding="utf-8"), graph_def)
        else:
            graph_def.ParseFromString(path.read_bytes())
    except (message.DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a GraphDef: {' '.join(str(error).split())}") from error
    if not graph_def.node:
        raise ValueError(f"{path}: a GraphDef without nodes")
    return graph_def
