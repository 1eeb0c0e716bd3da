# SPDX-License-Identifier: Apache-2.0
"""Fields of serialized protocol buffers: https://protobuf.dev/programming-guides/encoding."""

from __future__ import annotations

from collections.abc import Iterator

from savedmodel._core import DataLossError

Value = int | memoryview
"""An integer (wire type 0), or the bytes of anything else."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST = 10  # bytes of a varint


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """The unsigned number there, and the position after it."""
    value = 0
    for index, byte in enumerate(data[position : position + _LONGEST]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), position + index + 1
    raise DataLossError("a protocol buffer ends in the middle of a number")


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The number and value of each field. Raises DataLossError."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = read_varint(data, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = read_varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise DataLossError(f"a protocol buffer has a field of the unknown kind {kind}")
        if size > len(data) - position:
            raise DataLossError("a protocol buffer ends in the middle of a field")
        yield key >> 3, data[position : position + size]
        position += size


def messages(data: memoryview, number: int) -> list[memoryview]:
    """The fields of that number that are messages or strings."""
    return [value for found, value in fields(data) if found == number and isinstance(value, memoryview)]


def last(data: memoryview, number: int) -> memoryview:
    """The message or string of that number; the last one counts, none is empty."""
    return (messages(data, number) or [memoryview(b"")])[-1]


def signed(value: int) -> int:
    """A varint as an int64."""
    return value - 2**64 if value >= 2**63 else value


def varint(value: int) -> bytes:
    """A number, serialized; negative ones as int64."""
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes | int) -> bytes:
    """A field, serialized: a number, a message or a string."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    return varint(number << 3 | _BYTES) + varint(len(value)) + value
