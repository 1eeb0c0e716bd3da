# SPDX-License-Identifier: Apache-2.0
"""Converts TensorFlow 1 checkpoints, with their .meta or with a function that builds the graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import savedmodel as sm
from savedmodel.export._conversion import Conversion, Options, convert
from savedmodel.export._graph_source import (
    GraphSource,
    Names,
    all_variables,
    named_signatures,
    table_initializers,
)
from savedmodel.export._graphs import ancestors
from savedmodel.export._names import near
from savedmodel.export._samples import Values
from savedmodel.export._signatures import GraphSignature, tensor_name
from savedmodel.export._specs import Shape
from savedmodel.export._tensorflow import tensorflow

Built = GraphSignature | Mapping[str, GraphSignature] | None


def checkpoint(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    inputs: Names | None = None,
    outputs: Names | None = None,
    graph: Callable[[], Built] | None = None,
    signatures: str | Mapping[str, GraphSignature] = "serving_default",
    batch: int | None = None,
    input_shapes: Mapping[str, Shape | None] | None = None,
    samples: Values | Sequence[Values] | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write a checkpoint of tf.compat.v1.train.Saver as a SavedModel.

    src: the checkpoint's prefix ("run/model.ckpt-100"), its .meta or .index file, or the folder, which means
        the latest one.
    inputs, outputs: tensor names by key, or tensor names, whose keys are then the names of their nodes.
    graph: a function that builds the graph, in place of the .meta file, in the default graph. It may return
        the GraphSignature, or several by name, of dense tensors; then inputs= and outputs= are not needed.
    signatures: the name of the signature, or several GraphSignatures by name.
    Optimizer slots and everything else that no signature needs are left out. Tables and their assets are
    included. The other keywords, and the errors, are those of `keras`; NotFoundError also names variables
    that the checkpoint lacks.
    """
    named = named_signatures(inputs, outputs, signatures)
    if isinstance(named, str) and graph is None:
        raise ValueError(
            "give inputs= and outputs= (--input, --output): they name the tensors of the signature"
        )
    prefix = _prefix(Path(src))
    meta = Path(f"{prefix}.meta")
    if graph is None and not meta.is_file():
        raise sm.NotFoundError(f"{meta}: no such file; without it, graph= (--graph) builds the graph")

    # All of a checkpoint's files are in one folder.
    options = Options(batch, input_shapes, samples, tolerance, overwrite, [prefix])

    def opener() -> GraphSource:
        tf = tensorflow()
        v1 = tf.compat.v1
        session = v1.Session(graph=v1.Graph())
        try:
            with session.graph.as_default():
                saver = built = None
                if graph is None:
                    saver = v1.train.import_meta_graph(str(meta), clear_devices=True)
                else:
                    built = graph()
                chosen = _signatures_of(built, named)
                meta_graph = v1.train.export_meta_graph(clear_devices=True)
                source = GraphSource(f"{prefix.name}, a checkpoint", meta_graph, session, chosen, options)
                needed = _needed_nodes(meta_graph.graph_def, chosen)
                variables = [each for each in all_variables() if each.op.name in needed]
                _restore(tf, session, saver, variables, str(prefix))
                for name in table_initializers(meta_graph, needed):  # the files of other tables may be gone
                    session.run(session.graph.get_operation_by_name(name))
        except BaseException:
            session.close()
            raise
        return source

    return convert(dst, options, opener)


def _prefix(path: Path) -> Path:
    if path.is_dir():
        latest = tensorflow().train.latest_checkpoint(str(path))
        if latest is None:
            raise sm.NotFoundError(f"{path} has no file 'checkpoint' that names the latest one")
        path = Path(latest)
    elif path.suffix in (".meta", ".index"):
        path = path.with_suffix("")
    if not Path(f"{path}.index").is_file() and not path.is_file():  # one file: Savers before TensorFlow 1.0
        beside = sorted(each.stem for each in path.parent.glob("*.index"))
        raise sm.NotFoundError(f"{path}: no such checkpoint{near(path.name, beside)}")
    return path


def _signatures_of(built: Built, named: Mapping[str, GraphSignature] | str) -> dict[str, GraphSignature]:
    if not isinstance(named, str):
        return dict(named)
    if isinstance(built, GraphSignature):
        built = {named: built}
    if not isinstance(built, Mapping) or not all(isinstance(s, GraphSignature) for s in built.values()):
        raise ValueError(
            "the function that builds the graph returns no GraphSignature, so inputs= and outputs= "
            "(--input, --output) must name its tensors"
        )

    return {
        name: GraphSignature(_names(each.inputs), _names(each.outputs), each.method_name)
        for name, each in built.items()
    }


def _names(tensors: Mapping[str, Any]) -> dict[str, str]:
    names = {}
    for key, each in tensors.items():
        name = each if isinstance(each, str) else getattr(each, "name", None)
        if not isinstance(name, str):
            raise TypeError(
                f"{key!r} is {each!r}, but a checkpoint's signature takes dense tensors only; use the Builder"
            )
        names[key] = tensor_name(name)
    return names


def _needed_nodes(graph_def: Any, signatures: Mapping[str, GraphSignature]) -> set[str]:
    nodes: set[str] = set()
    for each in signatures.values():
        nodes |= ancestors(graph_def, each.outputs.values(), set(each.inputs.values()))
    return nodes


def _restore(tf: Any, session: Any, saver: Any, needed: Sequence[Any], prefix: str) -> None:
    # By default, Savers leave local variables out.
    local = {variable.op.name: variable for variable in tf.compat.v1.local_variables()}
    session.run([v.initializer for v in needed if v.op.name in local])
    if saver is not None:
        try:
            saver.restore(session, prefix)
            return
        except (tf.errors.NotFoundError, ValueError):
            pass  # it also looks for variables that no signature may need
    stored = [name for name, _ in tf.train.list_variables(prefix)]
    needed = [v for v in needed if v.op.name not in local or _stored_name(v) in stored]
    if not needed:
        return
    names = [_stored_name(variable) for variable in needed]
    missing = [name for name in names if name not in stored]
    if missing:
        raise sm.NotFoundError(
            f"{prefix} lacks {len(missing)} of the {len(names)} variables that the signatures need, such as "
            f"{missing[0]!r}{near(missing[0], stored)}"
        )
    tf.compat.v1.train.Saver(list(needed)).restore(session, prefix)


def _stored_name(variable: Any) -> str:
    """The name of the whole, for a part of a partitioned variable."""
    whole = variable._save_slice_info
    return str(whole.full_name if whole else variable.op.name)
