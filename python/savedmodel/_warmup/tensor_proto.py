# SPDX-License-Identifier: Apache-2.0
"""tensorflow.TensorProto <-> NumPy arrays: tensor.proto and types.proto in tensorflow/core/framework."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from savedmodel._core import DataLossError, UnimplementedError
from savedmodel._warmup import wire

Array = np.ndarray[Any, np.dtype[Any]]

# Of tensorflow.DataType, by number.
# fmt: off
_NAMES = (
    "invalid", "float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64",
    "bool", "qint8", "quint8", "qint32", "bfloat16", "qint16", "quint16", "uint16", "complex128", "float16",
    "resource", "variant", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e4m3b11fnuz", "float8_e5m2fnuz", "int4", "uint4", "int2", "uint2", "float4_e2m1fn",
)
# fmt: on
_STRING = _NAMES.index("string")
_DTYPE, _SHAPE, _CONTENT = 1, 2, 4
# By dtype: the field of its values, and how they lie in it ("varint", or as what NumPy reads them).
_VALUES: dict[str, tuple[int, str]] = {
    **dict.fromkeys(("int32", "uint8", "int16", "int8", "uint16"), (7, "varint")),
    **dict.fromkeys(("qint8", "quint8", "qint32", "qint16", "quint16"), (7, "varint")),
    **dict.fromkeys(("int4", "uint4", "int2", "uint2"), (7, "varint")),
    **dict.fromkeys(("float16", "bfloat16"), (13, "bits")),
    "float32": (5, "<f4"),
    "float64": (6, "<f8"),
    "string": (8, "string"),
    "complex64": (9, "<c8"),
    "int64": (10, "varint"),
    "bool": (11, "varint"),
    "complex128": (12, "<c16"),
    "uint32": (16, "varint"),
    "uint64": (17, "varint"),
    **dict.fromkeys((name for name in _NAMES if name.startswith(("float8", "float4"))), (18, "bytes")),
}


def _numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of the values; quantised ones are their storage."""
    plain = name.removeprefix("q")
    try:
        return np.dtype(getattr(ml_dtypes, plain, plain))
    except TypeError:
        raise UnimplementedError(f"a tensor of {name} has no NumPy array") from None


def _shape(data: memoryview) -> tuple[int, ...]:
    sizes = []
    for number, dim in wire.fields(data):
        if number == 2 and isinstance(dim, memoryview):
            found = [value for key, value in wire.fields(dim) if key == 1 and isinstance(value, int)]
            sizes.append(wire.signed(found[-1]) if found else 0)
        elif number == 3 and dim:
            raise DataLossError("a tensor has no known rank")
    if min(sizes, default=0) < 0 or math.prod(sizes) > 2**40:
        raise DataLossError(f"a tensor has the impossible shape {sizes}")
    return tuple(sizes)


def _varints(values: list[wire.Value]) -> list[int]:
    """Numbers, packed or not."""
    numbers = []
    for value in values:
        if isinstance(value, int):
            numbers.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = wire.read_varint(value, position)
            numbers.append(number)
    return numbers


def _strings(content: memoryview, count: int) -> list[bytes]:
    """As tensor_content has them: all lengths, then all bytes."""
    sizes, position = [], 0
    for _ in range(count):
        size, position = wire.read_varint(content, position)
        sizes.append(size)
    if position + sum(sizes) != len(content):
        raise DataLossError("the strings of a tensor are not as long as it says")
    strings = []
    for size in sizes:
        strings.append(bytes(content[position : position + size]))
        position += size
    return strings


def _typed(values: list[wire.Value], kind: str, dtype: np.dtype[Any]) -> Array:
    """Values of a field that a dtype has for itself."""
    chunks = b"".join(bytes(value) for value in values if isinstance(value, memoryview))
    if kind == "varint":
        numbers = np.array(_varints(values), np.uint64)
        return numbers.view(np.int64).astype(dtype) if dtype != np.uint64 else numbers
    if kind == "bits":
        return np.array(_varints(values), np.uint64).astype(np.uint16).view(dtype)
    if kind == "bytes":
        return np.frombuffer(chunks, np.uint8).view(dtype)
    if len(chunks) % np.dtype(kind).itemsize:
        raise DataLossError(f"the values of a tensor of {dtype} end in the middle of one")
    return np.frombuffer(chunks, kind).astype(dtype, copy=False)


def parse(data: memoryview) -> Array:
    """The array of a TensorProto; strings are bytes. Raises DataLossError, UnimplementedError."""
    found: dict[int, list[wire.Value]] = {}
    for number, value in wire.fields(data):
        found.setdefault(number, []).append(value)
    kind = next((value for value in reversed(found.get(_DTYPE, [])) if isinstance(value, int)), 0)
    name = _NAMES[kind] if kind < len(_NAMES) else str(kind)
    if name not in _VALUES:
        raise UnimplementedError(f"a tensor of {name} has no NumPy array")
    shape = _shape(memoryview(b"".join(bytes(v) for v in found.get(_SHAPE, []) if not isinstance(v, int))))
    count = math.prod(shape)
    content = wire.last(data, _CONTENT)
    number, how = _VALUES[name]
    if kind == _STRING:
        strings = wire.messages(data, number) if not content else _strings(content, count)
        return _filled([bytes(one) for one in strings], count, b"").reshape(shape)
    dtype = _numpy_dtype(name)
    if content:
        if len(content) != count * dtype.itemsize:
            raise DataLossError(f"a tensor of {count} {name} has {len(content)} bytes")
        little = dtype if dtype.kind == "V" else dtype.newbyteorder("<")
        return np.frombuffer(content, little).reshape(shape)
    return _repeated(_typed(found.get(number, []), how, dtype), count).reshape(shape)


def _filled(values: list[bytes], count: int, default: bytes) -> Array:
    """The last value stands for those that are not there."""
    result = np.full(count, (values or [default])[-1], object)
    for index, value in enumerate(values[:count]):
        result[index] = value
    return result


def _repeated(values: Array, count: int) -> Array:
    result = np.zeros(count, values.dtype)
    if len(values):
        result[:] = values[-1]
        result[: len(values)] = values[:count]
    return result


def serialize(array: Array, name: str) -> bytes:
    """A TensorProto of the dtype with that name, which the array has."""
    shape = b"".join(wire.field(2, wire.field(1, size) if size else b"") for size in array.shape)
    head = wire.field(_DTYPE, _NAMES.index(name)) + wire.field(_SHAPE, shape)
    if name == "string":
        values = [
            value.encode() if isinstance(value, str) else bytes(value) for value in array.ravel().tolist()
        ]
        return head + b"".join(wire.field(_VALUES["string"][0], value) for value in values)
    if name not in _VALUES:
        raise UnimplementedError(f"a tensor of {name} can't be recorded")
    # Not native-endian arrays become so; a little-endian machine is what TensorFlow runs on.
    return head + wire.field(_CONTENT, np.ascontiguousarray(array, _numpy_dtype(name)).tobytes())
