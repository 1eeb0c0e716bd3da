# SPDX-License-Identifier: Apache-2.0
"""Serialized tf.train.Example of dicts.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto and
https://protobuf.dev/programming-guides/encoding say how the bytes are laid out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

_BYTES, _FLOAT, _INT64 = 1, 2, 3  # field numbers of Feature's kinds


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """A field of the wire type for strings, messages and packed numbers."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _kind(name: str, values: list[Any]) -> tuple[int, type | tuple[type, ...], str]:
    """The first value decides, as in saved_model_cli."""
    first = values[0]
    if isinstance(first, str | bytes):
        return _BYTES, (str, bytes), "a string"
    if isinstance(first, float):
        return _FLOAT, (float, int), "a number"
    if isinstance(first, int):
        return _INT64, int, "an integer"
    raise TypeError(
        f"feature {name!r}: {type(first).__name__} {first!r:.40} is no type of a tf.train.Example; "
        "it has int, float, str and bytes"
    )


def _feature(name: str, values: object) -> bytes:
    if not isinstance(values, list) or not values:
        raise TypeError(f"feature {name!r} is a list of values, such as [1, 2], got {values!r:.40}")
    number, types, what = _kind(name, values)
    for value in values:
        if not isinstance(value, types):
            raise TypeError(
                f"feature {name!r}: {type(value).__name__} {value!r:.40} is not {what}, as the first value is"
            )
    try:
        if number == _BYTES:
            texts = [value.encode() if isinstance(value, str) else value for value in values]
            return _field(number, b"".join(_field(1, text) for text in texts))
        if number == _FLOAT:
            return _field(number, _field(1, struct.pack(f"<{len(values)}f", *values)))
        for value in values:
            if not -(2**63) <= value < 2**63:
                raise ValueError(f"feature {name!r}: {value} does not fit int64")
        return _field(number, _field(1, b"".join(_varint(value & (2**64 - 1)) for value in values)))
    except OverflowError:
        raise ValueError(f"feature {name!r}: a number does not fit float32") from None


def serialize(features: Mapping[str, object]) -> bytes:
    """A tf.train.Example with these features: lists of int, of float, or of str or bytes."""
    if not isinstance(features, Mapping):
        raise TypeError(f"an example is a dict of features, got {features!r:.40}")
    entries = (
        _field(1, name.encode()) + _field(2, _feature(name, values)) for name, values in features.items()
    )
    return _field(1, b"".join(_field(1, entry) for entry in entries))
