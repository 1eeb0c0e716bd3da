# SPDX-License-Identifier: Apache-2.0
"""Generates inputs of a signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import savedmodel as sm

Array = np.ndarray[Any, np.dtype[Any]]


def random_inputs(
    specs: Mapping[str, sm.TensorSpec], *, batch: int, seed: int, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Values for the inputs that are not `given` and have no default.

    An unknown first dimension is `batch`, any other one 1. Numbers are normally distributed, integers 0 or 1
    (they may be indices), strings "1". Raises ValueError for inputs that can't be generated.
    """
    generator = np.random.default_rng(seed)
    values = dict(given or {})
    for key, spec in specs.items():
        made = _value(key, spec, batch, generator)
        if key not in values and spec.default is None:
            values[key] = made
    return values


def _value(key: str, spec: sm.TensorSpec, batch: int, generator: np.random.Generator) -> Any:
    if spec.encoding != "dense":
        raise ValueError(f"input {key!r} is {spec.encoding}: no value can be generated for it, give one")
    dims = (None,) if spec.shape is None else spec.shape
    shape = [(batch if index == 0 else 1) if size is None else size for index, size in enumerate(dims)]
    if spec.dtype == np.dtype(object):
        return np.full(shape, b"1", object)
    if spec.dtype.kind in "biu":
        return generator.integers(0, 2, shape).astype(spec.dtype)
    if spec.dtype.kind == "c":
        return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(spec.dtype)
    try:
        return generator.normal(size=shape).astype(spec.dtype)
    except TypeError:
        raise ValueError(f"input {key!r}: no value can be generated for {spec.tf_dtype}") from None


def needs_batch(specs: Mapping[str, sm.TensorSpec]) -> bool:
    """True if some input's first dimension is free."""
    return any(spec.shape is None or spec.shape[:1] == (None,) for spec in specs.values())
