# SPDX-License-Identifier: Apache-2.0
"""Converts values to an input's dtype if that loses nothing, and composes inputs from their components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import savedmodel as sm

Array = np.ndarray[Any, np.dtype[Any]]


def parts_of(key: str, spec: sm.TensorSpec) -> dict[str, sm.TensorSpec]:
    """By name, the parts of an input: itself, or its components ("x#indices", "x#0")."""
    if spec.encoding == "dense":
        return {key: spec}
    names = (
        ("indices", "values", "dense_shape")
        if spec.encoding == "sparse"
        else tuple(map(str, range(len(spec.components))))
    )
    return {f"{key}#{name}": part for name, part in zip(names, spec.components, strict=True)}


def compose(key: str, spec: sm.TensorSpec, values: Mapping[str, Any]) -> Any:
    """An input's value; None if it is not given. Raises TypeError or ValueError that names the input."""
    if spec.encoding == "dense":
        return fit(values[key], spec, key) if key in values else None
    parts = parts_of(key, spec)
    if key in values:
        raise TypeError(f"input {key!r} is {spec.encoding}: give its parts, {', '.join(parts)}")
    given = {name: fit(values[name], part, name) for name, part in parts.items() if name in values}
    if not given:
        return None
    if missing := parts.keys() - given.keys():
        raise TypeError(f"input {key!r}: missing part {', '.join(sorted(missing))}")
    if spec.encoding == "sparse":
        return sm.SparseTensor(*given.values())
    if spec.encoding == "ragged":
        flat, *splits = given.values()
        value: Any = flat
        for split in reversed(splits):
            value = sm.RaggedTensor(value, split)
        return value
    raise TypeError(f"input {key!r} has a composite type that the command line can't make values of")


def fit(value: Any, spec: sm.TensorSpec, key: str) -> Array:
    """`value` as an array of the input's dtype.

    Floats are rounded to the input's precision. Any other conversion must preserve every value. Raises
    TypeError or ValueError that names the input.
    """
    array = _as_array(value, key)
    wanted = spec.dtype
    if wanted == np.dtype(object):
        if array.dtype.kind in "SUT" or (array.dtype == object and _all_text(array)):
            return array.astype(object)
        raise TypeError(f"input {key!r} takes strings, got {_describe(array)}")
    if array.dtype == wanted:
        return array
    if array.dtype.kind in "SUTO" or not _is_number(array.dtype):
        raise TypeError(f"input {key!r} takes {wanted}, got {_describe(array)}")
    with np.errstate(all="ignore"):
        if array.dtype.kind == "c" and wanted.kind != "c":
            if np.any(array.imag):
                raise TypeError(f"input {key!r} takes {wanted}, got complex numbers")
            array = array.real
        result: Array = array.astype(wanted)
        same = _same(array, result)
    if not same:
        wrong = array.ravel()[np.argmin(_equal(array, result).ravel())] if array.size else array
        raise ValueError(
            f"input {key!r} takes {spec.tf_dtype}, which can't hold {wrong!s:.40} of the {array.dtype} given"
        )
    return result


def _as_array(value: Any, key: str) -> Array:
    if isinstance(value, np.ndarray):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"input {key!r}: the parts of the list differ in length") from None
    # NumPy turns [1, "a"] into strings.
    if array.dtype.kind in "SU" and not _all_text(np.asarray(value, object)):
        raise TypeError(f"input {key!r}: the list mixes strings and numbers")
    # NumPy's bytes lose zeros at their end.
    return np.asarray(value, object) if array.dtype.kind == "S" else array


def _all_text(array: Array) -> bool:
    return all(isinstance(item, str | bytes) for item in array.ravel())


def _describe(array: Array) -> str:
    text = array.dtype.kind in "SUT" or (array.dtype == object and _all_text(array))
    kind = "strings" if text else "Python objects" if array.dtype == object else array.dtype
    return f"{kind} of the shape {list(array.shape)}"


def _is_float(dtype: np.dtype[Any]) -> bool:
    if dtype.kind in "fc":
        return True
    if dtype.kind in "biu":
        return False
    import ml_dtypes

    try:
        ml_dtypes.finfo(dtype)
    except ValueError:
        return False
    return True


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biufc" or dtype.num >= 256  # ml_dtypes' types are registered with NumPy


def _equal(array: Array, result: Array) -> Array:
    """Elementwise, whether a value is unchanged."""
    equal: Array
    if _is_float(array.dtype) and _is_float(result.dtype):
        wide = np.complex128 if result.dtype.kind == "c" else np.float64
        equal = np.isfinite(array.astype(wide)) == np.isfinite(result.astype(wide))
        return equal
    back = result.astype(array.dtype)
    equal = back == array
    if array.dtype.kind in "iu" and result.dtype.kind in "iu":
        equal = equal & ((result < 0) == (array < 0))  # -1 converts back to 2**64 - 1
    return equal


def _same(array: Array, result: Array) -> bool:
    return bool(np.all(_equal(array, result)))
