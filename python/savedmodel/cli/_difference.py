# SPDX-License-Identifier: Apache-2.0
"""The difference between two results of one output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """Results are the same if |a - b| <= absolute + relative * |b|."""

    relative: float
    absolute: float


@dataclass(frozen=True)
class Difference:
    """One output, for one batch. The errors are None if the two can't be subtracted."""

    signature: str
    batch: int
    output: str
    dtype: str
    shape: list[int]
    max_abs_error: float | None
    max_rel_error: float | None
    same: bool
    note: str = ""


def difference(where: tuple[str, int, str], ours: Any, theirs: Any, near: Tolerance) -> Difference:
    """Compare one output. `where`: its signature, batch and key."""

    def result(same: bool, absolute: float | None, relative: float | None, note: str = "") -> Difference:
        one = np.asarray(theirs)
        shape, dtype = list(one.shape), "string" if one.dtype.kind in "OS" else str(one.dtype)
        return Difference(*where, dtype, shape, absolute, relative, same, note)

    if not (isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray)):
        return result(False, None, None, "only one of the two has it, or it is composite")
    if theirs.dtype.kind == "S":  # a scalar string
        theirs = theirs.astype(object)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return result(False, None, None, f"savedmodel has {ours.dtype} {list(ours.shape)}")
    if ours.dtype == object or ours.dtype.kind in "biu":
        equal = np.array_equal(ours, theirs)
        return result(equal, 0.0 if equal else None, 0.0 if equal else None, "" if equal else "values differ")
    wide = np.complex128 if ours.dtype.kind == "c" else np.float64
    a, b = ours.astype(wide), theirs.astype(wide)
    finite = np.isfinite(b)
    if not (
        np.array_equal(np.isfinite(a), finite) and np.array_equal(a[~finite], b[~finite], equal_nan=True)
    ):
        return result(False, None, None, "infinities or NaNs differ")
    error = np.abs(a[finite] - b[finite])
    scale = np.abs(b[finite])
    relative = np.divide(error, scale, out=np.zeros_like(error), where=scale > 0)
    same = bool(np.all(error <= near.absolute + near.relative * scale))
    return result(same, float(error.max(initial=0)), float(relative.max(initial=0)))
