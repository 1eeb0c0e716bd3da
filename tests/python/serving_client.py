# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Serving's own client, in a process of its own: it brings TensorFlow's Python with it."""

from __future__ import annotations

import atexit
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

import numpy as np

Answer = tuple[str, Any]
"""The code, and what came with it: values, or the error's text."""


@cache
def _pool() -> ProcessPoolExecutor:
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    atexit.register(pool.shutdown)
    return pool


class Client:
    """Calls of one server. All give (code, values or text)."""

    def __init__(self, port: int, **spec: Any) -> None:
        self.port = port
        self.spec = spec

    def _ask(self, call: Any, *arguments: Any, timeout: float = 60.0, **spec: Any) -> Answer:
        done: Answer = (
            _pool()
            .submit(_call, call, self.port, timeout, {**self.spec, **spec}, arguments)
            .result(timeout + 120)
        )
        return done

    def predict(
        self, inputs: Mapping[str, Any], outputs: Sequence[str] = (), timeout: float = 60.0, **spec: Any
    ) -> Answer:
        return self._ask(predict, dict(inputs), tuple(outputs), timeout=timeout, **spec)

    def predict_raw(self, tensors: Mapping[str, Mapping[str, Any]], **spec: Any) -> Answer:
        """With TensorProtos of these fields."""
        return self._ask(predict_raw, dict(tensors), **spec)

    def fields(self, inputs: Mapping[str, Any], **spec: Any) -> Answer:
        """The results as TensorProtos: their fields that are set."""
        return self._ask(fields, dict(inputs), **spec)

    def examples(
        self, method: str, rows: Sequence[Mapping[str, Any]], context: Any = None, **spec: Any
    ) -> Answer:
        return self._ask(examples, method, list(rows), context, **spec)

    def multi(self, tasks: Sequence[tuple[str, str, str]], rows: Sequence[Mapping[str, Any]]) -> Answer:
        """Tasks: (model, signature, method)."""
        return self._ask(multi, list(tasks), list(rows))

    def metadata(self, fields: Sequence[str] = ("signature_def",), **spec: Any) -> Answer:
        return self._ask(metadata, tuple(fields), **spec)

    def status(self, **spec: Any) -> Answer:
        return self._ask(status, **spec)


# ---- in the client's process


@cache
def _channel(port: int) -> Any:
    import grpc

    return grpc.insecure_channel(f"127.0.0.1:{port}")


def _spec(to: Any, model: str = "", signature: str = "", version: int | None = None, label: str = "") -> None:
    to.name, to.signature_name = model, signature
    if version is not None:
        to.version.value = version
    if label:
        to.version_label = label


def _call(call: Any, port: int, timeout: float, spec: dict[str, Any], arguments: tuple[Any, ...]) -> Answer:
    import grpc

    try:
        return "OK", call(_channel(port), timeout, spec, *arguments)
    except grpc.RpcError as error:
        return error.code().name, error.details()


def _predict(channel: Any, timeout: float, request: Any) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    response = service.PredictionServiceStub(channel).Predict(request, timeout=timeout)
    values = {key: tf.make_ndarray(proto) for key, proto in response.outputs.items()}
    spec = response.model_spec
    return values, (spec.name, spec.version.value, spec.signature_name)


def fields(channel: Any, timeout: float, spec: Any, inputs: Any) -> Any:
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    request = _request(spec, inputs, ())
    response = service.PredictionServiceStub(channel).Predict(request, timeout=timeout)
    return {
        key: {
            field.name: list(value) if field.is_repeated else str(value)
            for field, value in proto.ListFields()
        }
        for key, proto in response.outputs.items()
    }


def predict(channel: Any, timeout: float, spec: Any, inputs: Any, outputs: Any) -> Any:
    return _predict(channel, timeout, _request(spec, inputs, outputs))


def _request(spec: Any, inputs: Any, outputs: Any) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    _spec(request.model_spec, **spec)
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    request.output_filter.extend(outputs)
    return request


def predict_raw(channel: Any, timeout: float, spec: Any, tensors: Any) -> Any:
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    _spec(request.model_spec, **spec)
    for key, fields in tensors.items():
        proto = request.inputs[key]
        for name, value in fields.items():
            if name == "shape":
                for size in value:
                    proto.tensor_shape.dim.add(size=size)
            elif name == "unknown_rank":
                proto.tensor_shape.unknown_rank = value
            elif isinstance(value, list):
                getattr(proto, name).extend(value)
            else:
                setattr(proto, name, value)
    return _predict(channel, timeout, request)


def _example(to: Any, row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        feature, values = to.features.feature[key], np.atleast_1d(value)
        if values.dtype.kind == "f":
            feature.float_list.value.extend(values)
        elif values.dtype.kind in "iu":
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(values)


def _input(to: Any, rows: Any, context: Any = None) -> None:
    held = to.example_list if context is None else to.example_list_with_context
    held.SetInParent()
    for row in rows:
        _example(held.examples.add(), row)
    if context is not None:
        _example(held.context, context)


def _classes(result: Any) -> Any:
    return [[(one.label, one.score) for one in row.classes] for row in result.classifications]


def _values(result: Any) -> Any:
    return [one.value for one in result.regressions]


def examples(channel: Any, timeout: float, spec: Any, method: str, rows: Any, context: Any) -> Any:
    from tensorflow_serving.apis import classification_pb2, regression_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    made = {
        "Classify": classification_pb2.ClassificationRequest,
        "Regress": regression_pb2.RegressionRequest,
    }
    request = made[method]()
    _spec(request.model_spec, **spec)
    _input(request.input, rows, context)
    response = getattr(service.PredictionServiceStub(channel), method)(request, timeout=timeout)
    return _classes(response.result) if method == "Classify" else _values(response.result)


def multi(channel: Any, timeout: float, spec: Any, tasks: Any, rows: Any) -> Any:
    from tensorflow_serving.apis import inference_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    request = inference_pb2.MultiInferenceRequest()
    for model, signature, method in tasks:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = model, signature
    _input(request.input, rows)
    response = service.PredictionServiceStub(channel).MultiInference(request, timeout=timeout)
    return [
        _classes(one.classification_result)
        if one.HasField("classification_result")
        else _values(one.regression_result)
        for one in response.results
    ]


def metadata(channel: Any, timeout: float, spec: Any, fields: Any) -> Any:
    from google.protobuf.json_format import MessageToDict
    from tensorflow_serving.apis import get_model_metadata_pb2 as messages
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    request = messages.GetModelMetadataRequest(metadata_field=fields)
    _spec(request.model_spec, **spec)
    response = service.PredictionServiceStub(channel).GetModelMetadata(request, timeout=timeout)
    signatures = messages.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    return response.model_spec.version.value, MessageToDict(signatures)["signatureDef"]


def status(channel: Any, timeout: float, spec: Any) -> Any:
    from tensorflow_serving.apis import get_model_status_pb2 as messages
    from tensorflow_serving.apis import model_service_pb2_grpc as service

    request = messages.GetModelStatusRequest()
    _spec(request.model_spec, **spec)
    response = service.ModelServiceStub(channel).GetModelStatus(request, timeout=timeout)
    state = messages.ModelVersionStatus.State.Name
    return [(one.version, state(one.state), one.status.error_code) for one in response.model_version_status]


def differences(described: bytes) -> list[str]:
    """What a FileDescriptorSet says differently from the API's own messages: numbers, types, labels."""
    from google.protobuf import descriptor_pb2, descriptor_pool
    from tensorflow_serving.apis import (  # noqa: F401
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        prediction_service_pb2_grpc,
    )
    from tensorflow_serving.config import model_server_config_pb2  # noqa: F401

    pool, found = descriptor_pool.Default(), set()
    different = []
    for file in descriptor_pb2.FileDescriptorSet.FromString(described).file:
        for message in file.message_type:
            name = f"{file.package}.{message.name}"
            if name not in NAMES:
                continue
            found.add(name)
            known = {one.name: one for one in pool.FindMessageTypeByName(name).fields}
            for field in message.field:
                right = known[field.name]
                ours = (field.number, field.type, field.label)
                if ours != (right.number, right.type, right.label):
                    different.append(f"{name}.{field.name}")
    return different + sorted(set(NAMES) - found)


def compare(described: bytes) -> list[str]:
    """`differences`, in the client's process."""
    return _pool().submit(differences, described).result(120)


_SERVING = [
    *("ModelSpec", "PredictRequest", "PredictResponse", "ExampleList", "ExampleListWithContext", "Input"),
    *("Class", "Classifications", "ClassificationResult", "ClassificationRequest", "ClassificationResponse"),
    *("Regression", "RegressionResult", "RegressionRequest", "RegressionResponse", "InferenceTask"),
    *("InferenceResult", "MultiInferenceRequest", "MultiInferenceResponse", "SignatureDefMap"),
    *("GetModelMetadataRequest", "GetModelMetadataResponse", "ModelVersionStatus"),
    *("GetModelStatusRequest", "GetModelStatusResponse", "ModelConfig", "ModelConfigList"),
    "ModelServerConfig",
]
_TENSORFLOW = [
    *("TensorShapeProto", "TensorProto", "TensorInfo", "SignatureDef", "BytesList", "FloatList", "Int64List"),
    *("Feature", "Features", "Example"),
]
NAMES = [f"tensorflow.serving.{name}" for name in _SERVING] + [f"tensorflow.{name}" for name in _TENSORFLOW]
