# SPDX-License-Identifier: Apache-2.0
"""The JSON output of `show`."""

from __future__ import annotations

from typing import Any

import savedmodel as sm
from savedmodel.cli._fit import parts_of

Json = dict[str, Any]


def as_dict(inspection: sm.Inspection, graphs: list[sm.MetaGraph], signature: str | None) -> Json:
    """Everything that `show --all` prints; with `signature`, only that one."""
    fingerprint = inspection.fingerprint
    return {
        "path": inspection.path,
        "size_bytes": inspection.size_bytes,
        "files": inspection.files,
        "fingerprint": None
        if fingerprint is None
        else {
            "uuid": fingerprint.uuid,
            "saved_model_checksum": fingerprint.saved_model_checksum,
            "graph_def_program_hash": fingerprint.graph_def_program_hash,
            "signature_def_hash": fingerprint.signature_def_hash,
            "saved_object_graph_hash": fingerprint.saved_object_graph_hash,
            "checkpoint_hash": fingerprint.checkpoint_hash,
        },
        "meta_graphs": [_meta_graph(graph, signature) for graph in graphs],
    }


def _meta_graph(graph: sm.MetaGraph, signature: str | None) -> Json:
    return {
        "tags": sorted(graph.tags),
        "tensorflow_version": graph.tensorflow_version,
        "producer": graph.producer,
        "min_consumer": graph.min_consumer,
        "nodes": graph.num_nodes,
        "functions": graph.num_functions,
        "init_op": graph.init_op or None,
        "signatures": {
            name: {
                "method_name": one.method_name,
                "inputs": {key: _spec(key, spec) for key, spec in one.inputs.items()},
                "outputs": {key: _spec(key, spec) for key, spec in one.outputs.items()},
            }
            for name, one in graph.signatures.items()
            if signature in (None, name)
        },
        "concrete_functions": [
            {"attribute": one.attribute, "name": one.name, "inputs": one.inputs, "outputs": one.outputs}
            for one in graph.concrete_functions
        ],
        "ops": {op: use.count for op, use in sorted(graph.op_uses.items())},
        "variables": {name: _spec(name, spec) for name, spec in graph.variables.items()},
        "assets": [
            {"filename": one.filename, "tensor": one.tensor_name, "size_bytes": one.size_bytes}
            for one in graph.assets
        ],
    }


def _spec(key: str, spec: sm.TensorSpec) -> Json:
    shape = None if spec.shape is None else list(spec.shape)
    found: Json = {"dtype": spec.tf_dtype, "shape": shape, "tensor": spec.name}
    if spec.encoding != "dense":
        found["encoding"] = spec.encoding
        found["parts"] = {name: _spec(name, part) for name, part in parts_of(key, spec).items()}
    if spec.default is not None:
        found["default"] = repr(spec.default.tolist())
    return found
