# SPDX-License-Identifier: Apache-2.0
"""Serialized tf.train.Example of dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from savedmodel import _core, _tensorflow


def _kind(name: str, first: object) -> tuple[type | tuple[type, ...], str]:
    """The first value decides, as in saved_model_cli."""
    if isinstance(first, str | bytes):
        return (str, bytes), "a string"
    if isinstance(first, float):
        return (float, int), "a number"
    if isinstance(first, int):
        return int, "an integer"
    raise TypeError(
        f"feature {name!r}: a tf.train.Example can't hold {type(first).__name__} {first!r:.40}; "
        "use int, float, str or bytes"
    )


def _floats(name: str, values: list[Any]) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except OverflowError:
        numbers = [np.finfo(np.float64).max]
    with np.errstate(over="ignore"):
        narrow = np.array(numbers).astype(np.float32)
    if (np.isinf(narrow) & ~np.isinf(numbers)).any():
        raise ValueError(f"feature {name!r}: a number does not fit float32")
    return numbers


def _feature(name: str, values: object) -> list[int] | list[float] | list[bytes]:
    if not isinstance(values, list) or not values:
        raise TypeError(f"feature {name!r} must be a list of values, such as [1, 2], got {values!r:.40}")
    types, what = _kind(name, values[0])
    for value in values:
        if not isinstance(value, types):
            raise TypeError(
                f"feature {name!r}: {type(value).__name__} {value!r:.40} is not {what}, as the first value is"
            )
    if what == "a string":
        return [value.encode() if isinstance(value, str) else value for value in values]
    if what == "a number":
        return _floats(name, values)
    for value in values:
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"feature {name!r}: {value} does not fit int64")
    return values


def serialize_example(features: Mapping[str, object]) -> bytes:
    """Serialize a tf.train.Example: an element of the string input of a signature that parses examples.

    features: by name, lists of int, of float (kept as float32), or of str or bytes.
    Raises TypeError for other values, ValueError for a number that does not fit.
    """
    if not isinstance(features, Mapping):
        raise TypeError(f"an example must be a dict of features, got {features!r:.40}")
    checked = {name: _feature(name, values) for name, values in features.items()}
    _tensorflow.locate()
    return _core.serialize_example(checked)
