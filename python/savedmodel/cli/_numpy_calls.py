# SPDX-License-Identifier: Apache-2.0
"""The NumPy functions that an expression may use, and the size of a result before it is computed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

MAX_BYTES = 1 << 30

Given = dict[str, Any]
Size = tuple[tuple[int, ...], int]

_NUMERIC = (
    "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
)
DTYPES: dict[str, Any] = {name: getattr(np, name) for name in _NUMERIC.split()}
DTYPES |= {"bool": np.bool_, "bfloat16": ml_dtypes.bfloat16, "str_": np.str_, "bytes_": np.bytes_}
CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}
METHODS = {"reshape": "reshape", "astype": "array"}
"""Methods of arrays, with the function for each."""


@dataclass(frozen=True)
class Call:
    """A function of NumPy: the allowed parameters, in order."""

    parameters: tuple[str, ...]
    function: Callable[[np.random.RandomState, Given], Any]
    size: Callable[[Given], Size] | None = None
    """Shape and bytes per element; None if the result is no larger than the arguments."""


def _shape(value: Any) -> tuple[int, ...]:
    try:
        return (
            tuple(map(operator.index, value)) if isinstance(value, list | tuple) else (operator.index(value),)
        )
    except TypeError:
        raise TypeError(f"a shape must be an integer or a tuple of them, got {value!r:.40}") from None


def _itemsize(given: Given, value: Any = 0.0) -> int:
    return max(np.dtype(given.get("dtype", np.float64)).itemsize, np.asarray(value).dtype.itemsize)


def _only_numbers(given: Given, *names: str) -> None:
    """Refuse arrays among the arguments, which could be broadcast to any size."""
    for name in names:
        if not isinstance(given.get(name, 0), int | float | np.number | None):
            raise TypeError(f"{name} must be a number here, got {given[name]!r:.40}")


def _array_size(given: Given) -> Size:
    dtype = np.dtype(given.get("dtype", np.float64))
    value: Any = given.get("object", given.get("a"))
    # A number as text has up to 32 characters.
    return np.shape(value), 128 if dtype.kind in "US" and np.asarray(
        value
    ).dtype.kind not in "US" else dtype.itemsize


def _linspace_size(given: Given) -> Size:
    _only_numbers(given, "start", "stop")
    return (operator.index(given.get("num", 50)),), 8


def _arange_size(given: Given) -> Size:
    _only_numbers(given, "start", "stop", "step")
    start, stop, step = given["start"], given.get("stop"), given.get("step", 1)
    if stop is None:
        start, stop = 0, start
    count = (stop - start) / step
    return (max(0, math.ceil(count)),), _itemsize(given)


def _arange(_: np.random.RandomState, given: Given) -> Any:
    bounds = [given["start"]] if given.get("stop") is None else [given["start"], given["stop"]]
    if "step" in given and len(bounds) == 1:
        bounds = [0, bounds[0]]
    steps = [given["step"]] if "step" in given else []
    return np.arange(*bounds, *steps, dtype=given.get("dtype"))


def _of_shape(function: Callable[..., Any]) -> Call:
    return Call(
        ("shape", "dtype"),
        lambda _, given: function(**given),
        lambda given: (_shape(given["shape"]), _itemsize(given)),
    )


def _square(first: str, second: str | None) -> Callable[[Given], Size]:
    def size(given: Given) -> Size:
        rows = operator.index(given[first])
        columns = rows if second is None or given.get(second) is None else operator.index(given[second])
        return (rows, columns), _itemsize(given)

    return size


def _random(name: str, *parameters: str) -> Call:
    def call(random: np.random.RandomState, given: Given) -> Any:
        return getattr(random, name)(**given)

    def size(given: Given) -> Size:
        _only_numbers(given, *parameters)
        shape = given.get("size")
        return (() if shape is None else _shape(shape)), 8

    return Call((*parameters, "size"), call, size)


def _random_dimensions(name: str) -> Call:
    """rand and randn take the dimensions as arguments."""
    names = tuple(f"d{number}" for number in range(8))
    return Call(
        names,
        lambda random, given: getattr(random, name)(*given.values()),
        lambda given: (_shape(tuple(given.values())), 8),
    )


def _parts(given: Given) -> list[Any]:
    return list(given["arrays"])


CALLS: dict[str, Call] = {
    "array": Call(("object", "dtype"), lambda _, given: np.array(**given), _array_size),
    "asarray": Call(("a", "dtype"), lambda _, given: np.asarray(**given), _array_size),
    "zeros": _of_shape(np.zeros),
    "ones": _of_shape(np.ones),
    "full": Call(
        ("shape", "fill_value", "dtype"),
        lambda _, given: np.full(**given),
        lambda given: (_shape(given["shape"]), _itemsize(given, given["fill_value"])),
    ),
    "eye": Call(("N", "M", "k", "dtype"), lambda _, given: np.eye(**given), _square("N", "M")),
    "identity": Call(("n", "dtype"), lambda _, given: np.identity(**given), _square("n", None)),
    "arange": Call(("start", "stop", "step", "dtype"), _arange, _arange_size),
    "linspace": Call(
        ("start", "stop", "num", "endpoint", "dtype"),
        lambda _, given: np.linspace(**given),
        _linspace_size,
    ),
    "reshape": Call(("a", "shape", "d1", "d2", "d3", "d4", "d5", "d6"), lambda _, given: _reshape(given)),
    "expand_dims": Call(("a", "axis"), lambda _, given: np.expand_dims(**given)),
    "concatenate": Call(
        ("arrays", "axis"), lambda _, given: np.concatenate(_parts(given), given.get("axis", 0))
    ),
    "stack": Call(("arrays", "axis"), lambda _, given: np.stack(_parts(given), given.get("axis", 0))),
    "random.rand": _random_dimensions("rand"),
    "random.randn": _random_dimensions("randn"),
    "random.random": _random("random_sample"),
    "random.uniform": _random("uniform", "low", "high"),
    "random.normal": _random("normal", "loc", "scale"),
    "random.randint": _random("randint", "low", "high"),
}


def _reshape(given: Given) -> Any:
    """np.reshape(a, shape), and a.reshape(2, 3) with the dimensions as arguments."""
    rest = [given[name] for name in ("d1", "d2", "d3", "d4", "d5", "d6") if name in given]
    return np.reshape(given["a"], (given["shape"], *rest) if rest else given["shape"])
