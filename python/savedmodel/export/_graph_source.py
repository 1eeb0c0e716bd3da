# SPDX-License-Identifier: Apache-2.0
"""A TensorFlow 1 graph as the source of a conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel.export import _assets, _graphs
from savedmodel.export._conversion import Options
from savedmodel.export._names import near
from savedmodel.export._samples import Run, Values
from savedmodel.export._signatures import GraphSignature, by_name, signature_def, tensor_name
from savedmodel.export._tensorflow import tensorflow

Names = Mapping[str, str] | Sequence[str] | str
VARIABLES = ("variables", "trainable_variables", "local_variables", "model_variables")


def named_signatures(
    inputs: Names | None, outputs: Names | None, signatures: str | Mapping[str, GraphSignature]
) -> dict[str, GraphSignature] | str:
    """The signatures, with full tensor names; or the name of one whose tensors are not yet known."""
    if isinstance(signatures, str):
        if inputs is None and outputs is None:
            return signatures
        if not outputs:
            raise ValueError("give outputs= (--output): they name the tensors of the signature")
        return {signatures: GraphSignature(by_name(inputs or {}), by_name(outputs))}
    if inputs is not None or outputs is not None:
        raise ValueError("give inputs= and outputs=, or signatures=, not both")
    if not signatures:
        raise ValueError("signatures is empty")
    return {
        name: GraphSignature(by_name(each.inputs), by_name(each.outputs), each.method_name)
        for name, each in signatures.items()
    }


class GraphSource:
    """A MetaGraphDef, a session that runs it, and the signatures to be made."""

    tolerance: float | None = None

    def __init__(
        self,
        name: str,
        meta_graph: Any,
        session: Any,
        signatures: Mapping[str, GraphSignature],
        options: Options,
    ) -> None:
        self.name, self.notes = name, []  # type: tuple[str, list[str]]
        self._meta_graph, self._session, self._signatures = meta_graph, session, signatures
        graph = session.graph
        self._specs: dict[str, Any] = {}
        self._fixed: dict[str, str] = {}  # by tensor: its key in input_shapes
        every = {key for each in signatures.values() for key in each.inputs}
        fixed = options.input_shapes or {}
        for shaped in fixed:
            if shaped not in every:
                raise KeyError(f"no input {shaped!r} to give a shape to{near(shaped, every)}")
        for signature in signatures.values():
            found = {key: _graphs.find_tensor(graph, each, name) for key, each in signature.inputs.items()}
            for each in signature.outputs.values():
                _graphs.find_tensor(graph, each, name)
            _graphs.check_convertible(meta_graph.graph_def, signature, name)
            shapes = {key: shape for key, shape in fixed.items() if key in found}
            for key, spec in _graphs.input_specs(found, options.batch, shapes).items():
                self._add_spec(tensor_name(signature.inputs[key]), key, spec, fixed=key in shapes)

    def _add_spec(self, name: str, key: str, spec: Any, *, fixed: bool) -> None:
        """A signature may have a tensor under several keys, of which input_shapes has one."""
        other = self._fixed.get(name)
        if fixed and other is not None and spec.shape != self._specs[name].shape:
            raise ValueError(
                f"inputs {other!r} and {key!r} are one tensor, {name!r}: it can't have the shape "
                f"{self._specs[name].shape} and {spec.shape}"
            )
        if fixed:
            self._fixed[name] = key
        if fixed or other is None:
            self._specs[name] = spec

    @property
    def runs(self) -> Mapping[str, Run]:
        return {name: self._run(signature) for name, signature in self._signatures.items()}

    @property
    def other_runs(self) -> Mapping[str, tuple[str, Run]]:
        return {}

    def _run(self, signature: GraphSignature) -> Run:
        tf = tensorflow()

        graph = self._session.graph

        def run(values: Values) -> dict[str, Any]:
            feeds = {signature.inputs[key]: np.asarray(value) for key, value in values.items()}
            batches = {
                name: shape[0]
                for name in feeds
                if (shape := graph.get_tensor_by_name(name).shape).rank and feeds[name].ndim
            }
            other = {name for name, size in batches.items() if size not in (None, len(feeds[name]))}
            try:
                if other:
                    fixed = {name: batches[name] for name in other}
                    free = {name for name, size in batches.items() if size is None}
                    return _by_rows(self._session, signature.outputs, feeds, fixed, free)
                return dict(self._session.run(dict(signature.outputs), feeds))
            except tf.errors.OpError as error:
                raise ValueError(error.message) from error

        return run

    def write(self, folder: Path) -> None:
        """Write the part of the graph that the signatures need, and the variables in it."""
        v1 = tensorflow().compat.v1
        meta_graph, renamed = self._needed()
        with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            try:
                v1.train.import_meta_graph(meta_graph, clear_devices=True)
            except ValueError as error:  # it was imported earlier, with the original shapes
                raise ValueError(f"{self.name}: it does not take inputs of these shapes: {error}") from error
            self._copy_variables(session)
            signatures = {name: signature_def(graph, each, self.name) for name, each in renamed.items()}
            tables = v1.get_collection(_assets.TABLES)
            builder = v1.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                signatures,
                # Without this, local variables are not saved.
                saver=v1.train.Saver(all_variables(), sharded=True, allow_empty=True),
                assets_collection=v1.get_collection(_assets.PATHS) or None,
                main_op=v1.tables_initializer() if tables else None,
                strip_default_attrs=True,
            )
            builder.save()

    def _placeholders(self) -> dict[str, Any]:
        """The inputs whose computation nothing else needs, with their specs."""
        graph, graph_def = self._session.graph, self._meta_graph.graph_def
        computed = set()
        for signature in self._signatures.values():
            fed = set(signature.inputs.values())
            computed |= _graphs.ancestors(graph_def, signature.outputs.values(), fed)
        return {
            name: spec
            for name, spec in self._specs.items()
            for operation in [graph.get_tensor_by_name(name).op]
            if _graphs.is_placeholder(operation) or operation.name not in computed
        }

    def _needed(self) -> tuple[Any, dict[str, GraphSignature]]:
        specs = self._placeholders()
        graph = self._session.graph
        several = {
            operation.name
            for operation in (graph.get_tensor_by_name(name).op for name in specs)
            if len(operation.outputs) > 1
        }
        graph_def, names = _graphs.with_placeholders(self._meta_graph.graph_def, specs, several)
        renamed = {
            key: GraphSignature(
                {k: names.get(t, t) for k, t in s.inputs.items()},
                {k: names.get(t, t) for k, t in s.outputs.items()},
                s.method_name,
            )
            for key, s in self._signatures.items()
        }
        tensors = [t for s in renamed.values() for t in (*s.inputs.values(), *s.outputs.values())]
        needed = _graphs.ancestors(graph_def, tensors)
        result = type(self._meta_graph)(meta_info_def=self._meta_graph.meta_info_def)
        collections = self._meta_graph.collection_def
        inits = table_initializers(self._meta_graph, needed)
        for key in VARIABLES:
            for text in collections[key].bytes_list.value:
                variable = _variable(text)
                if variable.variable_name.partition(":")[0] in needed:
                    result.collection_def[key].bytes_list.value.append(text)
                    inits |= {
                        variable.initializer_name,
                        variable.snapshot_name,
                        variable.initial_value_name,
                    }
        needed |= _graphs.ancestors(graph_def, inits)
        for key in (_assets.TABLES, _assets.PATHS):
            kept = [n for n in collections[key].node_list.value if n.partition(":")[0] in needed]
            result.collection_def[key].node_list.value.extend(kept)
        result.graph_def.CopyFrom(_graphs.keep(graph_def, needed))
        left_out = len(graph_def.node) - len(result.graph_def.node)
        if left_out:
            self.notes.append(f"{left_out} of {len(graph_def.node)} nodes are not needed and left out")
        return result, renamed

    def _copy_variables(self, session: Any) -> None:
        with self._session.graph.as_default():
            names = {v.name: v for v in all_variables()}
        variables = all_variables()
        values = self._session.run({v.name: names[v.name] for v in variables})
        for variable in variables:
            feed = variable.initializer.inputs[1]
            session.run(variable.initializer, {feed: values[variable.name]})

    def close(self) -> None:
        self._session.close()


def _by_rows(
    session: Any,
    outputs: Mapping[str, str],
    feeds: Mapping[str, Any],
    sizes: Mapping[str, int],
    free: Set[str],
) -> dict[str, Any]:
    """The results for any batch size of a graph whose inputs have batches of fixed `sizes`.

    Inputs whose batch is `free` are split in the same way if they have as many rows.
    """
    rows, each = {len(feeds[name]) for name in sizes}, set(sizes.values())
    if len(rows) != 1 or len(each) != 1:
        raise ValueError(
            f"the graph takes batches of {sorted(each)}, which can't make up batches of {sorted(rows)}"
        )
    count, size = rows.pop(), each.pop()
    cut = sizes.keys() | {name for name in free if len(feeds[name]) == count}
    parts = []
    for begin in range(0, count, size):
        chosen = np.minimum(np.arange(begin, begin + size), count - 1)  # the last batch is padded
        given = {name: value[chosen] if name in cut else value for name, value in feeds.items()}
        parts.append(session.run(dict(outputs), given))
    for name in outputs:
        if np.shape(parts[0][name])[:1] != (size,):
            raise ValueError(f"output {name!r} does not have one row for each of the {size} rows of a batch")
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in outputs}


def all_variables() -> list[Any]:
    """All variables of the default graph; each collection of an imported graph has separate objects for
    them."""
    v1 = tensorflow().compat.v1
    return list({v.op.name: v for key in VARIABLES for v in v1.get_collection(key)}.values())


def _variable(text: bytes) -> Any:
    from tensorflow.core.framework import variable_pb2

    return variable_pb2.VariableDef.FromString(text)


def table_initializers(meta_graph: Any, needed: set[str]) -> set[str]:
    """The operations that fill the tables whose nodes are needed."""
    initializers = meta_graph.collection_def[_assets.TABLES].node_list.value
    names = {each.lstrip("^").partition(":")[0] for each in initializers}
    return {
        node.name
        for node in meta_graph.graph_def.node
        if node.name in names and node.input and node.input[0].partition(":")[0] in needed
    }
