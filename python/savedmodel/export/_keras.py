# SPDX-License-Identifier: Apache-2.0
"""Keras models of both generations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from savedmodel.export import _keras_files, _specs
from savedmodel.export._compare import LOW_PRECISION
from savedmodel.export._conversion import Conversion, Options, convert
from savedmodel.export._endpoints import Endpoint, Endpoints
from savedmodel.export._names import flatten, near, output_names, unique
from savedmodel.export._samples import Values
from savedmodel.export._specs import Shape
from savedmodel.export._tensorflow import tensorflow


def keras(
    src: Any,
    dst: str | os.PathLike[str],
    *,
    signatures: str | Mapping[str, str | Sequence[str] | None] = "serving_default",
    input_signature: Mapping[str, Any] | None = None,
    batch: int | None = None,
    input_shapes: Mapping[str, Shape | None] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    keras_version: Literal[2, 3] | None = None,
    samples: Values | Sequence[Values] | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write a Keras model as a SavedModel, for inference.

    src: a `.keras` or `.h5` file, or a folder that Keras 2 wrote; or a model of keras or tf_keras.
    signatures: a name, or for each name the layers whose outputs it gives (None: the model's own outputs).
    input_signature: for a model that does not know its inputs: a tf.TensorSpec or (shape, dtype) by name.
        Several are passed to the model as one dict.
    batch: fixes the first dimension of all inputs. input_shapes: shapes by input, whose None is a free
        dimension; a first dimension that the source fixes can be freed, too.
    custom_objects, safe_mode: Keras's own; with `safe_mode`, Lambda layers of a file are refused.
    keras_version: which generation reads a file; None means Keras 3, and tf_keras for what it can't read.
    samples: inputs to compare on, a mapping of arrays by input or several of them; made up otherwise.
    tolerance: how far results may be from the model's own, as part of the output's largest value; None means
        1e-4, or 2e-2 for a model that computes in 16-bit floats. math.inf: any results will do.
    overwrite: replace a SavedModel at `dst`.

    Raises AlreadyExistsError (`dst`), InternalError (results differ), ImportError (tf_keras is missing),
    ValueError (Keras can't read it, made-up inputs do not fit), KeyError (no such layer, no such input).
    """
    options = Options(batch, input_shapes, samples, tolerance, overwrite)
    is_file = isinstance(src, str | os.PathLike)
    if is_file:
        options.sources.append(Path(src))
        _keras_files.check(Path(src))

    def opener() -> Endpoints:
        if is_file:
            model, version = _keras_files.load(Path(src), keras_version, custom_objects, safe_mode)
            name = f"{Path(src).name}, {version}"
        else:
            model, name = src, _keras_files.describe(src)
        parts = _parts(model, signatures)
        endpoints = {key: _endpoint(part, input_signature, options) for key, part in parts.items()}
        low = any("16" in str(getattr(layer, "compute_dtype", "")) for layer in _layers(model))
        return Endpoints(
            name,
            endpoints,
            [model],
            LOW_PRECISION if low else None,
            traced="the results are those of model.predict(x); model(x) gives others",
        )

    return convert(dst, options, opener)


def _layers(model: Any) -> Iterable[Any]:
    flat = getattr(model, "_flatten_layers", None)
    layers: Iterable[Any] = flat() if flat is not None else model.layers
    return layers


def _parts(model: Any, signatures: str | Mapping[str, str | Sequence[str] | None]) -> dict[str, Any]:
    """By signature: the model, or one of the same inputs that ends at the named layers."""
    if isinstance(signatures, str):
        return {signatures: model}
    if not signatures:
        raise ValueError("signatures is empty")
    return {
        name: model if layers is None else _ending_at(model, [layers] if isinstance(layers, str) else layers)
        for name, layers in signatures.items()
    }


def _ending_at(model: Any, layers: Sequence[str]) -> Any:
    by_name = {layer.name: layer for layer in model.layers}
    for name in layers:
        if name not in by_name:
            raise KeyError(f"no layer {name!r} in the model{near(name, by_name)}")
    try:
        outputs = {name: by_name[name].output for name in layers}
        functional = next(kind for kind in type(model).__mro__ if kind.__name__ == "Model")
        return functional(_input_structure(model), outputs)
    except (AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"outputs of layers need a functional or sequential model: {error}") from error


def _input_structure(model: Any) -> Any:
    """The symbolic inputs as the model takes them, or None where it has none (a subclass of Model)."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    is_sequential = any(kind.__name__ == "Sequential" for kind in type(model).__mro__)
    return inputs[0] if is_sequential else model.input


def _endpoint(model: Any, input_signature: Mapping[str, Any] | None, options: Options) -> Endpoint:
    tf = tensorflow()
    structure = None if input_signature is not None else _input_structure(model)
    if structure is not None:
        leaves = list(flatten(structure))
        by_key = isinstance(structure, Mapping)
        names = unique(path if by_key else _layer_name(leaf) for path, leaf in leaves)
        specs = {
            name: tf.TensorSpec(leaf.shape, leaf.dtype) for name, (_, leaf) in zip(names, leaves, strict=True)
        }
    else:
        specs = {name: _specs.as_spec(spec) for name, spec in (input_signature or _built(model)).items()}
    specs = _specs.fix(specs, options.batch, options.input_shapes, any_batch=True)

    def call(tensors: Mapping[str, Any]) -> dict[str, Any]:
        flat = [tensors[name] for name in specs]
        if structure is not None:
            given = tf.nest.pack_sequence_as(structure, flat)
        else:
            given = flat[0] if len(flat) == 1 else dict(tensors)
        return _named(model, model(given, training=False))

    return Endpoint(specs, call)


def _layer_name(tensor: Any) -> str:
    # Keras numbers the tensors of unnamed inputs through the process; the layer's name is saved.
    return str(tensor._keras_history[0].name)


def _built(model: Any) -> dict[str, Any]:
    """What a subclassed model was built with: its one input."""
    save_spec = getattr(model, "save_spec", None)  # Keras 2
    recorded = save_spec() if callable(save_spec) else None
    if recorded is not None:
        leaves = list(flatten(recorded[0][0]))
        return {path or spec.name or "inputs": spec for path, spec in leaves}
    config = model.get_build_config() if hasattr(model, "get_build_config") else None
    shape = (config or {}).get("input_shape")
    if isinstance(shape, list | tuple) and all(size is None or isinstance(size, int) for size in shape):
        return {"inputs": ((None, *shape[1:]), getattr(model, "input_dtype", None) or "float32")}
    if isinstance(shape, Mapping):
        return {key: ((None, *each[1:]), "float32") for key, each in sorted(shape.items())}
    raise ValueError("the model does not say what its inputs are; give input_signature= (--input)")


def _named(model: Any, results: Any) -> dict[str, Any]:
    """Outputs by name: a dict's keys, the layers that give them, or output_0, output_1."""
    leaves = list(flatten(results))
    names = [_layer_name(tensor) for tensor in getattr(model, "outputs", None) or ()]
    if isinstance(results, Mapping) or len(names) != len(leaves):
        return output_names(results)
    return dict(zip(unique(names), (leaf for _, leaf in leaves), strict=True))
