# SPDX-License-Identifier: Apache-2.0
"""TensorFlow 1 graphs: finds tensors, sets inputs' shapes, removes unneeded nodes."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from savedmodel.export import _specs
from savedmodel.export._names import near
from savedmodel.export._signatures import GraphSignature, tensor_name
from savedmodel.export._specs import Shape
from savedmodel.export._tensorflow import tensorflow

# The effect of a node, by the prefix of its op's name.
_UNFIT = {
    ("QueueDequeue", "ReaderRead", "Unstage", "BarrierTake"): "waits for a queue that a training script "
    "fills; make its result an input (--input)",
    (
        "MutableHashTable",
        "MutableDenseHashTable",
        "BoostedTrees",
    ): "keeps state outside variables, which would be lost",
}
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault", "PlaceholderV2")


def find_tensor(graph: Any, name: str, where: str = "the graph") -> Any:
    """The tensor of that name. Raises KeyError that lists similar names."""
    full = tensor_name(name)
    node, _, index = full.rpartition(":")
    try:
        operation = graph.get_operation_by_name(node)
    except (KeyError, ValueError):
        known = [each.name for each in graph.get_operations() if each.outputs]
        raise KeyError(f"no tensor {name!r} in {where}{near(node, known)}") from None
    if int(index) >= len(operation.outputs):
        raise KeyError(
            f"no tensor {name!r} in {where}: {node!r} ({operation.type}) has {len(operation.outputs)} outputs"
        )
    return operation.outputs[int(index)]


def input_specs(
    tensors: Mapping[str, Any], batch: int | None, shapes: Mapping[str, Shape | None] | None
) -> dict[str, Any]:
    """By input key: its tf.TensorSpec with the dimensions that the caller fixes."""
    tf = tensorflow()
    specs = {key: tf.TensorSpec(t.shape, t.dtype) for key, t in tensors.items()}
    return _specs.fix(specs, batch, shapes, any_batch=True)


def with_placeholders(
    graph_def: Any, specs: Mapping[str, Any], several: set[str]
) -> tuple[Any, dict[str, str]]:
    """A copy of the GraphDef in which each of these tensors is a Placeholder of that dtype and shape.

    specs: by tensor name. several: the nodes with more than one output. For these, the tensor's readers get a
        new node; any other node becomes the Placeholder itself. Also returns the new names of such tensors.
    """
    result = type(graph_def)()
    result.CopyFrom(graph_def)
    nodes = {node.name: node for node in result.node}
    renamed = {}
    for name, spec in specs.items():
        head, _, index = name.rpartition(":")
        node = nodes[head]
        if head in several:
            node = result.node.add()
            node.name = _free_name(f"{head}_{index}", nodes)
            nodes[node.name] = node
            renamed[name] = f"{node.name}:0"
        if node.op == "PlaceholderWithDefault" and node.attr["shape"].shape == spec.shape.as_proto():
            continue  # a signature that does not feed it uses the default
        node.op = "Placeholder"
        node.ClearField("input")
        node.attr.clear()
        node.attr["dtype"].type = spec.dtype.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(spec.shape.as_proto())
    for node in result.node:
        node.attr.pop("_output_shapes", None)  # inferred again from the new shapes
        for position, each in enumerate(node.input):
            full = each if ":" in each or each.startswith("^") else f"{each}:0"
            if full in renamed:
                node.input[position] = renamed[full]
    return result, renamed


def _free_name(name: str, taken: Container[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def is_placeholder(operation: Any) -> bool:
    return operation.type in _PLACEHOLDERS


def ancestors(graph_def: Any, names: Iterable[str], fed: Container[str] = ()) -> set[str]:
    """The nodes that these need, including themselves, but not those that compute `fed` tensors."""
    inputs = {node.name: node.input for node in graph_def.node}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        full = name if ":" in name or name.startswith("^") else f"{name}:0"
        node = name.lstrip("^").partition(":")[0]
        if full not in fed and node not in found and node in inputs:
            found.add(node)
            waiting += inputs[node]
    return found


def check_convertible(graph_def: Any, signature: GraphSignature, where: str) -> None:
    """Raise ValueError for nodes that can't work in a SavedModel."""
    needed = ancestors(graph_def, signature.outputs.values(), set(signature.inputs.values()))
    for node in graph_def.node:
        for prefixes, reason in _UNFIT.items():
            if node.name in needed and node.op.startswith(prefixes):
                raise ValueError(f"{where}: {node.name!r} ({node.op}) {reason}")


def keep(graph_def: Any, names: set[str]) -> Any:
    """The GraphDef with only these nodes, in their order, and the functions that they call."""
    result = type(graph_def)(versions=graph_def.versions)
    result.node.extend(node for node in graph_def.node if node.name in names)
    functions = {function.signature.name: function for function in graph_def.library.function}
    gradients = {each.function_name: each.gradient_func for each in graph_def.library.gradient}
    called: dict[str, None] = {}
    waiting = [name for node in result.node for name in _calls(node)]
    while waiting:
        name = waiting.pop()
        if name in functions and name not in called:
            called[name] = None
            waiting += [each for node in functions[name].node_def for each in _calls(node)]
            waiting += [gradients[name]] if name in gradients else []
    result.library.function.extend(functions[name] for name in functions if name in called)
    result.library.gradient.extend(
        each for each in graph_def.library.gradient if each.function_name in called
    )
    return result


def _calls(node: Any) -> Iterator[str]:
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def clear_devices(graph_def: Any) -> None:
    for node in graph_def.node:
        node.device = ""
