# SPDX-License-Identifier: Apache-2.0
"""Columns of tables as inputs of a signature, and results as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import savedmodel as sm

Array = np.ndarray[Any, np.dtype[Any]]


def choose_signature(model: Any, name: str | None) -> Any:
    """The signature of this name, or the default one; of a model, or a watched one. Raises KeyError."""
    known = model.signatures
    if name is None:
        name = next(iter(known)) if len(known) == 1 else "serving_default"
    if name not in known:
        raise KeyError(f"there is no signature {name!r}: the model has {sorted(known)}")
    return known[name]


def to_array(column: Any, spec: sm.TensorSpec, key: str) -> Array:
    """A column as the input `key`: as it is where its dtype is the signature's.

    Lists become one array. Numbers of another width are converted, if none of them changes but by rounding:
    tables have int64 and float64 where models have int32 and float32.
    Raises TypeError or ValueError that names the input.
    """
    array = np.asarray(column)
    if array.dtype == object and spec.dtype != object and len(array):
        try:
            array = np.stack([np.asarray(one) for one in array])
        except ValueError as error:
            raise ValueError(f"input {key!r}: the rows have different shapes") from error
    if array.dtype == spec.dtype or spec.dtype == object:
        return array
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise TypeError(f"input {key!r} is {spec.tf_dtype}, the column {array.dtype}")
    with np.errstate(over="ignore"):
        converted: Array = array.astype(spec.dtype)
    if spec.dtype.kind in "iu":
        fits = np.array_equal(converted, array)
    else:
        fits = np.array_equal(np.isfinite(converted), np.isfinite(array))
    if not fits:
        raise ValueError(f"input {key!r} is {spec.tf_dtype}, and the column has numbers that do not fit")
    return converted


def to_inputs(
    columns: Mapping[str, Any], signature: sm.Signature, names: Mapping[str, str]
) -> dict[str, Array]:
    """The inputs of a signature: from the columns that `names` gives for them, or of their names.

    Raises KeyError if there is no such column, and no default.
    """
    inputs = {}
    for key, spec in signature.inputs.items():
        name = names.get(key, key)
        if name in columns:
            inputs[key] = to_array(columns[name], spec, key)
        elif spec.default is None:
            raise KeyError(f"there is no column {name!r} for the input {key!r}; there are {sorted(columns)}")
    return inputs


def check_rows(results: Mapping[str, Any], rows: int) -> None:
    """Raises ValueError if a result has not one row for each of the batch."""
    for key, value in results.items():
        shape = np.shape(value)
        if len(shape) == 0 or shape[0] != rows:
            raise ValueError(f"output {key!r} is of the shape {shape}, not of a row for each of {rows}")


def check_names(names: Mapping[str, str] | None, signature: sm.Signature) -> dict[str, str]:
    """Raises KeyError for names of inputs that the signature does not have."""
    for key in names or {}:
        if key not in signature.inputs:
            raise KeyError(f"there is no input {key!r}, but {sorted(signature.inputs)}")
    return dict(names or {})


def check_outputs(outputs: Sequence[str] | None, signature: sm.Signature) -> list[str] | None:
    """Raises KeyError for outputs that the signature does not have."""
    for key in outputs or ():
        if key not in signature.outputs:
            raise KeyError(f"there is no output {key!r}, but {sorted(signature.outputs)}")
    return None if outputs is None else list(outputs)
