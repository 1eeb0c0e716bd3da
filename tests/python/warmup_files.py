"""Warm-up requests written field by field, so that strange and damaged ones can be made, and read back."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from savedmodel import _core

from .helpers import Array

FILE = "assets.extra/tf_serving_warmup_requests"


def crc32c(data: bytes) -> int:
    """Bit by bit."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 & -(state & 1))
    return state ^ 0xFFFFFFFF


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data: bytes, length: int | None = None) -> bytes:
    """A record of a TFRecord file, which says that it has that length."""
    size = struct.pack("<Q", len(data) if length is None else length)
    return size + _checksum(size) + data + _checksum(data)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes | int) -> bytes:
    """A field of a protocol buffer: a number, a message or a string."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(array: Array) -> bytes:
    """A TensorProto of float32."""
    shape = b"".join(field(2, field(1, size)) for size in array.shape)
    return field(1, 1) + field(2, shape) + field(4, array.astype("<f4").tobytes())


def predict(signature: str, inputs: dict[str, bytes]) -> bytes:
    """A PredictionLog; inputs are TensorProtos."""
    request = field(1, field(3, signature.encode()))
    for name, value in inputs.items():
        request += field(2, field(1, name.encode()) + field(2, value))
    return field(6, field(1, request))


def write(model: Path, *records: bytes) -> None:
    file = model / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(map(frame, records)))


def read(model: Path) -> list[list[_core.WarmupRequest]]:
    return _core.read_warmup(str(model))


def read_one(model: Path) -> _core.WarmupRequest:
    ((request,),) = read(model)
    return request


def parse_tensor(data: bytes, folder: Path) -> Array:
    """What becomes of a TensorProto."""
    write(folder, predict("", {"x": data}))
    inputs = read_one(folder).inputs
    assert inputs is not None
    return np.asarray(inputs["x"])
