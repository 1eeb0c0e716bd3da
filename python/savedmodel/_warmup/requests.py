# SPDX-License-Identifier: Apache-2.0
"""tensorflow.serving.PredictionLog, and the requests in it: tensorflow_serving/apis/*.proto."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from savedmodel._warmup import tensor_proto, wire
from savedmodel._warmup.tensor_proto import Array

# Field numbers.
_CLASSIFY, _REGRESS, _MULTI_INFERENCE, _PREDICT = 2, 3, 4, 6  # of PredictionLog
_REQUEST = 1  # of each kind of log
_SPEC, _INPUTS, _OUTPUT_FILTER = 1, 2, 3  # of PredictRequest; _SPEC and 2 of the others
_SIGNATURE = 3  # of ModelSpec

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Request:
    """What a signature was asked."""

    signature: str
    inputs: Mapping[str, Array] | None
    """By the signature's names; None if there are `examples`."""
    outputs: tuple[str, ...] = ()
    """Those that were asked for; () is all."""
    examples: Array | None = None
    """Serialized tf.train.Examples for the only input: what a classification or regression has."""


def _text(data: memoryview) -> str:
    return bytes(data).decode("utf-8", errors="replace")


def _signature(spec: memoryview) -> str:
    return _text(wire.last(spec, _SIGNATURE)) or DEFAULT_SIGNATURE


def _predict(request: memoryview) -> Request:
    inputs = {}
    for entry in wire.messages(request, _INPUTS):  # of a map
        inputs[_text(wire.last(entry, 1))] = tensor_proto.parse(wire.last(entry, 2))
    outputs = tuple(map(_text, wire.messages(request, _OUTPUT_FILTER)))
    return Request(_signature(wire.last(request, _SPEC)), inputs, outputs)


def _examples(given: memoryview) -> Array:
    """Of an Input: a list of examples, or one with a context that each of them has as well."""
    listed, with_context = wire.last(given, 1), wire.last(given, 2)
    context = bytes(wire.last(with_context, 2))
    # Serialized messages that follow each other are merged by whoever parses them.
    examples = [context + bytes(one) for part in (listed, with_context) for one in wire.messages(part, 1)]
    array = np.empty(len(examples), object)
    array[:] = examples
    return array


def parse(record: memoryview) -> Iterator[Request]:
    """The requests of a PredictionLog: none if it is of a kind that no signature answers."""
    for kind, log in wire.fields(record):
        if not isinstance(log, memoryview):
            continue
        request = wire.last(log, _REQUEST)
        if kind == _PREDICT:
            yield _predict(request)
        elif kind in (_CLASSIFY, _REGRESS):
            signature = _signature(wire.last(request, _SPEC))
            yield Request(signature, None, examples=_examples(wire.last(request, 2)))
        elif kind == _MULTI_INFERENCE:
            examples = _examples(wire.last(request, 2))
            for task in wire.messages(request, 1):
                yield Request(_signature(wire.last(task, 1)), None, examples=examples)


def serialize(signature: str, inputs: Mapping[str, bytes], outputs: tuple[str, ...]) -> bytes:
    """A PredictionLog of a PredictRequest; inputs are TensorProtos."""
    request = wire.field(_SPEC, wire.field(_SIGNATURE, signature.encode()))
    for name, tensor in inputs.items():
        request += wire.field(_INPUTS, wire.field(1, name.encode()) + wire.field(2, tensor))
    for name in outputs:
        request += wire.field(_OUTPUT_FILTER, name.encode())
    return wire.field(_PREDICT, wire.field(_REQUEST, request))
