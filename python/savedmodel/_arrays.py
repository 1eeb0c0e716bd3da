# SPDX-License-Identifier: Apache-2.0
"""Arrays that a call borrows instead of copying."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_ALIGNMENT = 64  # bytes; TensorFlow's EIGEN_MAX_ALIGN_BYTES


def empty(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an uninitialised C-contiguous array that a call borrows instead of copying.

    It starts at a multiple of 64 bytes, which NumPy's own arrays need not do. `object` arrays are ordinary
    NumPy arrays.
    """
    dtype = np.dtype(dtype)
    sizes = tuple(map(operator.index, shape if isinstance(shape, Sequence) else (shape,)))
    if any(size < 0 for size in sizes):
        raise ValueError(f"negative dimensions are not allowed: {sizes}")
    if dtype.hasobject:
        return np.empty(sizes, dtype)
    nbytes = math.prod(sizes) * dtype.itemsize
    block = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -block.ctypes.data % _ALIGNMENT
    return block[start : start + nbytes].view(dtype).reshape(sizes)
