# SPDX-License-Identifier: Apache-2.0
"""Signatures of TensorFlow 1 graphs, and the constants that TensorFlow Serving uses for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from savedmodel.export._tensorflow import tensorflow

SERVING, TRAINING, EVAL, GPU, TPU = "serve", "train", "eval", "gpu", "tpu"
"""Tags."""
DEFAULT_SIGNATURE = "serving_default"
PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
"""Method names."""
INPUTS, OUTPUTS, CLASSES, SCORES = "inputs", "outputs", "classes", "scores"
"""Keys of inputs and outputs; a classification's and a regression's always have these."""

_TAKES = {
    CLASSIFY: "takes strings as 'inputs', and gives strings as 'classes', float32 as 'scores', or both",
    REGRESS: "takes strings as 'inputs', and gives float32 as 'outputs'",
}


@dataclass(frozen=True)
class GraphSignature:
    """Tensors of a graph by the names that callers use.

    A tensor is a tf.Tensor (of the Builder's graph, including sparse and ragged ones) or a name
    ("dense/BiasAdd:0"; ":0" may be omitted).
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    method_name: str = PREDICT


def predict(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> GraphSignature:
    """A signature of any inputs and outputs."""
    return GraphSignature(inputs, outputs)


def classify(examples: Any, classes: Any = None, scores: Any = None) -> GraphSignature:
    """From serialized tf.train.Examples to class labels, scores, or both."""
    outputs = {CLASSES: classes, SCORES: scores}
    outputs = {key: tensor for key, tensor in outputs.items() if tensor is not None}
    if not outputs:
        raise ValueError("a classification needs classes, scores, or both")
    return GraphSignature({INPUTS: examples}, outputs, CLASSIFY)


def regress(examples: Any, predictions: Any) -> GraphSignature:
    """From serialized tf.train.Examples to numbers."""
    return GraphSignature({INPUTS: examples}, {OUTPUTS: predictions}, REGRESS)


def by_name(tensors: Mapping[str, str] | Sequence[str] | str) -> dict[str, str]:
    """Tensor names by key; the default key is the name of the node."""
    if isinstance(tensors, str):
        tensors = [tensors]
    if not isinstance(tensors, Mapping):
        tensors = {key_of(name): name for name in tensors}
    return {key: tensor_name(name) for key, name in tensors.items()}


def key_of(name: str) -> str:
    """'x' for 'x:0', 'split_1' for 'split:1'."""
    node, _, index = tensor_name(name).rpartition(":")
    return node if index == "0" else f"{node}_{index}"


def tensor_name(name: str) -> str:
    """The name with the number of the output."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"a tensor's name must be a string such as 'dense/BiasAdd:0', got {name!r}")
    head, colon, tail = name.rpartition(":")
    return name if colon and head and tail.isdigit() else f"{name}:0"


def signature_def(graph: Any, signature: Any, where: str) -> Any:
    """The SignatureDef of a GraphSignature, or itself; names are looked up in the graph.

    Raises KeyError that lists similar names, ValueError for a tensor of another graph.
    """
    from savedmodel.export._graphs import find_tensor

    tf = tensorflow()
    v1 = tf.compat.v1
    if hasattr(signature, "DESCRIPTOR") and signature.DESCRIPTOR.name == "SignatureDef":
        return signature
    if not isinstance(signature, GraphSignature):
        raise TypeError(
            f"{where}: a signature must be made by predict, classify or regress, got {signature!r}"
        )

    def infos(tensors: Mapping[str, Any]) -> dict[str, Any]:
        found = {
            key: find_tensor(graph, tensor, where) if isinstance(tensor, str) else tensor
            for key, tensor in tensors.items()
        }
        for key, tensor in found.items():
            if not tf.is_tensor(tensor):
                raise TypeError(f"{where}: {key!r} must be a tensor or the name of one, got {tensor!r}")
            if any(part.graph is not graph for part in tf.nest.flatten(tensor, expand_composites=True)):
                raise ValueError(f"{where}: {key!r} is {tensor!r}, which belongs to another graph")
        return {key: v1.saved_model.build_tensor_info(tensor) for key, tensor in found.items()}

    made = v1.saved_model.build_signature_def(
        infos(signature.inputs), infos(signature.outputs), signature.method_name
    )
    if signature.method_name in _TAKES and not v1.saved_model.is_valid_signature(made):
        raise ValueError(
            f"{where}: a signature of the method {signature.method_name!r} {_TAKES[signature.method_name]}"
        )
    return made
