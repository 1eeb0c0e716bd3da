"""Writes the names of the ops that TensorFlow registers: python list_ops.py FOLDER-OF-TENSORFLOW FILE.

The libraries are opened in a process that has no others, so no op is of anybody else. Nothing is imported.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path


class Buffer(ctypes.Structure):
    """TF_Buffer, as far as it is needed."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t))


def op_list(folder: Path) -> bytes:
    """A serialized tensorflow.OpList."""
    ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"))
    library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
    library.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
    buffer = library.TF_GetAllOpList().contents
    return ctypes.string_at(buffer.data, buffer.length)


def first_fields(message: bytes) -> Iterator[bytes]:
    """The values of field 1 of a message whose fields all have a length."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key, length = varint(), varint()
        if key == 0x0A:
            yield message[at : at + length]
        at += length


def main() -> None:
    folder, target = map(Path, sys.argv[1:])
    # OpList.op, and OpDef.name, which comes first in it.
    names = sorted(next(first_fields(op)).decode() for op in first_fields(op_list(folder)))
    target.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    main()
