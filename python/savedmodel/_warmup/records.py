# SPDX-License-Identifier: Apache-2.0
"""TFRecord files: length, checksum of it, data, checksum of that."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel._core import DataLossError

_POLYNOMIAL = 0x82F63B78  # of CRC-32C, reflected
_ONE_BY_ONE = 4096  # bytes; longer data is worth arrays
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


@functools.cache
def _table() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """What each byte does to a state of zero."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


@functools.cache
def _table_list() -> list[int]:
    return [int(value) for value in _table()]


def _extend(state: int, data: memoryview | bytes) -> int:
    table = _table_list()
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


def crc32c(data: memoryview | bytes) -> int:
    """The CRC-32C of some bytes."""
    if len(data) < _ONE_BY_ONE:
        return _extend(0xFFFFFFFF, data) ^ 0xFFFFFFFF
    # Rows of equal length are gone through side by side, each from a state of zero. A state goes on linearly
    # in its bits: 32 more rows of zeros tell what becomes of each bit in the length of a row.
    rows = math.isqrt(len(data))
    length = len(data) // rows
    head = len(data) - rows * length
    state = _extend(0xFFFFFFFF, data[:head])
    columns = np.zeros((length, rows + 32), np.uint8)
    columns[:, :rows] = np.frombuffer(data, np.uint8, offset=head).reshape(rows, length).T
    states = np.zeros(rows + 32, np.uint32)
    states[rows:] = np.uint32(1) << np.arange(32, dtype=np.uint32)
    table = _table()
    for column in columns:
        states = table[(states ^ column) & 0xFF] ^ (states >> 8)
    bits = [int(value) for value in states[rows:]]
    for row in states[:rows]:
        moved = int(row)
        for index in range(32):
            if state >> index & 1:
                moved ^= bits[index]
        state = moved
    return state ^ 0xFFFFFFFF


def _masked(data: memoryview | bytes) -> int:
    """TFRecord's form of the checksum."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """A record with its length and checksums."""
    length = _LENGTH.pack(len(data))
    return b"".join([length, _CHECKSUM.pack(_masked(length)), data, _CHECKSUM.pack(_masked(data))])


def read_records(file: Path) -> Iterator[memoryview]:
    """The records of a file, one after the other. Raises DataLossError that names the record."""
    left = memoryview(file.read_bytes())
    number = 0
    while left:
        number += 1
        if len(left) < 12 or _CHECKSUM.unpack_from(left, 8)[0] != _masked(left[:8]):
            raise DataLossError(f"{str(file)!r}: record {number} has no valid length; is it a TFRecord file?")
        end = 12 + _LENGTH.unpack_from(left)[0]
        if len(left) < end + 4:
            raise DataLossError(f"{str(file)!r} ends in the middle of record {number}")
        if _CHECKSUM.unpack_from(left, end)[0] != _masked(left[12:end]):
            raise DataLossError(f"{str(file)!r}: record {number} is not what its checksum says")
        yield left[12:end]
        left = left[end + 4 :]
