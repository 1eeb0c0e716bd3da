# SPDX-License-Identifier: Apache-2.0
"""Converts Python numbers, and lists of them, to arrays if that preserves their value."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_RANK = "buifc"  # kinds of numpy dtypes; a number may move to the right
_PLAIN = {bool, int, float, complex, str, bytes}
_LISTS = {list, tuple}


def _integer_range(dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Smallest and largest value of an integer type, including ml_dtypes'; None for other types."""
    if dtype.kind in "iu":
        info: Any = np.iinfo(dtype)
    else:
        import ml_dtypes

        try:
            info = ml_dtypes.iinfo(dtype)
        except ValueError:
            return None
    return int(info.min), int(info.max)


def _type_of(value: Any) -> str:
    """The Python type of a value, such as "NoneType" or "list of str [2]"."""
    if not isinstance(value, list | tuple):
        return type(value).__name__
    items = np.asarray(value, object)
    types = sorted({type(item).__name__ for item in items.ravel()})
    return f"{type(value).__name__} of {' and '.join(types)} {list(items.shape)}"


def _integers(value: Any, dtype: np.dtype[Any], low: int, high: int) -> Array:
    natural = np.asarray(value)
    if natural.dtype.kind == "i" and natural.size and low <= natural.min() and natural.max() <= high:
        return natural.astype(dtype)
    items = np.asarray(value, object)
    numbers = []
    for item in items.ravel():
        try:
            numbers.append(operator.index(item))
        except TypeError:
            raise TypeError(f"{type(item).__name__} {item!r:.40}, which is not an integer") from None
        if not low <= numbers[-1] <= high:
            raise ValueError(f"{item!r:.40}, which does not fit {dtype}: {low} to {high}")
    wide = np.array(numbers, np.uint64 if high > np.iinfo(np.int64).max else np.int64)
    result: Array = wide.astype(dtype).reshape(items.shape)
    return result


def _reals(value: Any, dtype: np.dtype[Any]) -> Array:
    natural = np.asarray(value)
    if natural.dtype.kind == "O" and all(isinstance(item, int) for item in natural.ravel()):
        natural = natural.astype(np.float64)  # integers beyond 64 bits
    kind = "f" if dtype.kind == "V" or dtype.num >= 256 else dtype.kind  # ml_dtypes' floats
    found = natural.dtype.kind
    if natural.size and (found not in _RANK or _RANK.index(found) > _RANK.index(kind)):
        raise TypeError(_type_of(value))
    with np.errstate(over="ignore", invalid="ignore"):
        result: Array = natural.astype(dtype)
    if kind == "b" or not natural.size or (dtype.num < 256 and _is_exact_enough(natural, result)):
        return result
    back = result.astype(np.complex128 if kind == "c" else np.float64)
    fits = np.array_equal(np.isfinite(natural), np.isfinite(back))
    fits &= np.array_equal(np.isnan(natural), np.isnan(back))
    if found in "iu":  # an integer is converted exactly, or refused
        fits = fits and all(int(a) == int(b.real) for a, b in zip(natural.flat, back.flat, strict=True))
    elif fits and dtype.num >= 256 and found == "f":
        import ml_dtypes

        largest = float(ml_dtypes.finfo(dtype).max)  # types without infinity saturate
        fits = not np.any(np.isfinite(natural) & (np.abs(natural) > 2 * largest))
    if not fits:
        raise ValueError(f"{value!r:.40}, which does not fit {dtype}")
    return result


def _is_exact_enough(natural: Array, result: Array) -> bool:
    """A quick yes for most numbers: floats that stay finite, integers that a float holds exactly."""
    if natural.dtype.kind == "f":
        return bool(np.isfinite(result).all())
    largest = 2 ** (np.finfo(result.dtype).nmant + 1)
    return natural.dtype.kind == "i" and -largest <= natural.min() and natural.max() <= largest


def refuse_masked(value: Any) -> None:
    """Raise ValueError for a masked array, or a list with one or with a masked element."""
    if type(value) in _LISTS:
        types = set(map(type, value))
        if types <= _PLAIN:
            return
        if types <= _LISTS:
            for item in value:
                refuse_masked(item)
            return
    if np.ma.is_masked(value):
        raise ValueError(
            "a masked array, whose mask would be lost; replace its masked elements with .filled(value)"
        )
    if isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, list | tuple | np.ndarray):
                refuse_masked(item)


def to_array(value: Any, dtype: np.dtype[Any]) -> Array:
    """Return `value` as an array of `dtype`.

    Raises TypeError for a value that is not a number or would change, and ValueError for a number that does
    not fit or a list that is not an array. The message describes the value.
    """
    refuse_masked(value)
    limits = None if dtype.kind in "bfc" else _integer_range(dtype)
    try:
        return _reals(value, dtype) if limits is None else _integers(value, dtype, *limits)
    except OverflowError:
        raise ValueError(f"{value!r:.40}, which does not fit {dtype}") from None
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError("a list whose parts differ in length") from None
        raise
