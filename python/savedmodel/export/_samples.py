# SPDX-License-Identifier: Apache-2.0
"""Inputs for comparing a conversion with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import savedmodel as sm
from savedmodel.export._names import one_line

Array = np.ndarray[Any, np.dtype[Any]]
Values = Mapping[str, Any]
Run = Callable[[Values], Mapping[str, Any]]

_SEED = 0
# The second reveals a fixed batch size.
_BATCHES = (1, 3)
# For unknown dimensions; images and sequences may need a certain size.
_SIZES = (2, 16, 64, 224)


def given(samples: Values | Sequence[Values] | None, inputs: Mapping[str, sm.TensorSpec]) -> list[Values]:
    """The samples for a signature with these inputs."""
    if samples is None:
        return []
    every = [samples] if isinstance(samples, Mapping) else list(samples)
    for one in every:
        if not isinstance(one, Mapping):
            raise TypeError(
                f"samples must be a mapping of arrays by input, or a sequence of them, got {one!r}"
            )
    return [
        {key: _cast(key, one[key], inputs[key].dtype) for key in inputs}
        for one in every
        if set(inputs) <= set(one)
    ]


def _cast(key: str, value: Any, dtype: np.dtype[Any]) -> Array:
    array = np.asarray(value)
    if dtype.kind in "biu" and array.dtype.kind not in "biu":
        raise TypeError(f"samples: input {key!r} is {dtype}, got {array.dtype}")
    return array.astype(dtype)


def made_up(name: str, inputs: Mapping[str, sm.TensorSpec], run: Run) -> list[tuple[Values, Values]]:
    """Inputs that the source accepts, and its results. Raises ValueError if it accepts none."""
    reason: Exception | None = None
    sizes = _SIZES if any(_has_free_size(spec) for spec in inputs.values()) else _SIZES[:1]
    batches = _BATCHES if any(_has_free_batch(spec) for spec in inputs.values()) else _BATCHES[:1]
    for size in sizes:
        # A source with state runs on the first inputs that it accepts, so that the comparison can repeat
        # the same order of calls.
        try:
            return [(values, run(values)) for values in _generate(name, inputs, batches, size)]
        except (sm.Error, ValueError, TypeError, ArithmeticError) as error:
            reason = error
    raise ValueError(
        f"signature {name!r}: the source fails on generated inputs, give samples= (--samples): "
        f"{one_line(reason)}"
    ) from reason


def _has_free_size(spec: sm.TensorSpec) -> bool:
    return spec.shape is None or None in spec.shape[1:]


def _has_free_batch(spec: sm.TensorSpec) -> bool:
    return spec.shape is None or spec.shape[:1] == (None,)


def _generate(
    name: str, inputs: Mapping[str, sm.TensorSpec], batches: Sequence[int], size: int
) -> Iterator[Values]:
    generator = np.random.default_rng(_SEED)
    for batch in batches:
        yield {key: _value(name, key, spec, batch, size, generator) for key, spec in inputs.items()}


def _value(
    name: str, key: str, spec: sm.TensorSpec, batch: int, size: int, generator: np.random.Generator
) -> Array:
    if spec.encoding != "dense":
        raise ValueError(f"signature {name!r}: input {key!r} is {spec.encoding}; give samples=")
    dims = (None,) if spec.shape is None else spec.shape
    shape = [(size if index else batch) if each is None else each for index, each in enumerate(dims)]
    if spec.dtype == np.dtype(object):
        return np.full(shape, b"1", object)
    if spec.dtype.kind in "biu":
        return generator.integers(0, 2, shape).astype(spec.dtype)  # small, because inputs may be indices
    if spec.dtype.kind == "c":
        return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(spec.dtype)
    return np.asarray(generator.normal(size=shape)).astype(spec.dtype)
