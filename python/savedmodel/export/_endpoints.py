# SPDX-License-Identifier: Apache-2.0
"""Python functions as signatures of a TF2 SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from savedmodel.export._names import parameters
from savedmodel.export._samples import Run, Values
from savedmodel.export._tensorflow import tensorflow


@dataclass
class Endpoint:
    """A signature to be made: `call` takes and returns tensors by name."""

    specs: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass
class Endpoints:
    """A Source made of Python functions."""

    name: str
    endpoints: Mapping[str, Endpoint]
    roots: list[Any]
    """The owner of the tables and other resources that the functions use."""
    tolerance: float | None = None
    notes: list[str] = field(default_factory=list)
    traced: str | None = None
    """A note, for sources whose results in a tf.function also count."""

    @property
    def runs(self) -> Mapping[str, Run]:
        return {name: _run(endpoint, endpoint.call) for name, endpoint in self.endpoints.items()}

    @property
    def other_runs(self) -> Mapping[str, tuple[str, Run]]:
        if self.traced is None:
            return {}
        function = tensorflow().function
        return {
            name: (self.traced, _run(endpoint, function(endpoint.call, autograph=False)))
            for name, endpoint in self.endpoints.items()
        }

    def write(self, folder: Path) -> None:
        tf = tensorflow()
        functions, renamed = {}, {}
        for name, endpoint in self.endpoints.items():
            functions[name], renamed[name] = _trace(endpoint)
        holder = tf.Module()
        holder.variables_of_signatures = _unique(v for f in functions.values() for v in f.variables)
        holder.resources = _unique(_resources(self.roots))
        try:
            tf.saved_model.save(holder, str(folder), signatures=functions)
        except AssertionError as error:  # an untracked resource
            raise ValueError(
                f"a function uses a resource that nothing holds; make it an attribute of a tf.Module: {error}"
            ) from error
        if any(renamed.values()):
            _rename_inputs(folder, renamed)
            for name, keys in renamed.items():
                self.notes += [
                    f"{name}: tf.saved_model.load gives the input {key!r} the name {parameter!r}"
                    for parameter, key in keys.items()
                ]

    def close(self) -> None:
        pass


def _run(endpoint: Endpoint, call: Callable[..., Mapping[str, Any]]) -> Run:
    tf = tensorflow()

    def run(values: Values) -> dict[str, Any]:
        tensors = {key: tf.constant(values[key], spec.dtype) for key, spec in endpoint.specs.items()}
        try:
            return {key: value.numpy() for key, value in call(tensors).items()}
        except tf.errors.OpError as error:
            raise ValueError(error.message) from error

    return run


def _trace(endpoint: Endpoint) -> tuple[Any, dict[str, str]]:
    """The concrete function, and the input keys of parameters that have other names."""
    tf = tensorflow()
    names = parameters(endpoint.specs)

    def body(*tensors: Any) -> dict[str, Any]:
        results = endpoint.call(dict(zip(names, tensors, strict=True)))
        for key, value in results.items():
            if value is None or isinstance(value, tf.RaggedTensor | tf.SparseTensor):
                raise TypeError(f"outputs must be dense tensors; {key!r} is {value!r}")
        return {key: tf.convert_to_tensor(value) for key, value in results.items()}

    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=names[key]) for key, spec in endpoint.specs.items()]
    function = tf.function(body, autograph=False).get_concrete_function(*specs)
    return function, {parameter: key for key, parameter in names.items() if key != parameter}


def _resources(roots: Iterable[Any]) -> Iterable[Any]:
    tf = tensorflow()
    for root in roots:
        for each in tf.train.TrackableView(root).descendants():
            if isinstance(each, tf.saved_model.experimental.TrackableResource | tf.saved_model.Asset):
                yield each


def _unique(values: Iterable[Any]) -> list[Any]:
    return list({id(value): value for value in values}.values())


def _rename_inputs(folder: Path, renamed: Mapping[str, Mapping[str, str]]) -> None:
    """Give the SignatureDefs the names that TensorFlow's Python does not accept."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.saved_model import fingerprinting_utils

    file = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for name, keys in renamed.items():
        inputs = model.meta_graphs[0].signature_def[name].inputs
        for parameter, key in keys.items():
            inputs[key].CopyFrom(inputs[parameter])
            del inputs[parameter]
    file.write_bytes(model.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(folder))
