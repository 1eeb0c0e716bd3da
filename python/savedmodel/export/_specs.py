# SPDX-License-Identifier: Apache-2.0
"""Inputs of a signature: tensor specs, and dimensions that the caller fixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from savedmodel.export._names import near
from savedmodel.export._tensorflow import tensorflow

Shape = Sequence[int | None]


def as_spec(value: Any) -> Any:
    """A tf.TensorSpec from one, from a (shape, dtype), or from anything that has both."""
    tf = tensorflow()
    if isinstance(value, tf.TensorSpec):
        return value
    if (
        isinstance(value, tuple)
        and len(value) == 2
        and (value[0] is None or isinstance(value[0], tuple | list))
    ):
        return tf.TensorSpec(value[0], value[1])
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return tf.TensorSpec(value.shape, value.dtype)
    raise TypeError(f"an input must be a tf.TensorSpec or a (shape, dtype), got {value!r}")


def fix(
    specs: Mapping[str, Any],
    batch: int | None,
    shapes: Mapping[str, Shape | None] | None,
    *,
    any_batch: bool = False,
) -> dict[str, Any]:
    """The specs with the first free dimension set to `batch`, or with the given `shapes`.

    any_batch: the first dimension may differ from the model's, or be free.

    Raises KeyError for a shape of an unknown input, ValueError for one that contradicts the model's.
    """
    tf = tensorflow()
    check_batch(batch)
    for name in shapes or {}:
        if name not in specs:
            raise KeyError(f"no input {name!r} to give a shape to{near(name, specs)}")
    fixed = {}
    for name, spec in specs.items():
        shape = spec.shape
        if any_batch and shape.rank and (batch is not None or name in (shapes or {})):
            shape = tf.TensorShape([None, *shape.as_list()[1:]])
        if shapes is not None and name in shapes:
            asked = tf.TensorShape(shapes[name])
            if not shape.is_compatible_with(asked) or shape.merge_with(asked) != asked:
                raise ValueError(f"input {name!r} has the shape {shape} in the model; {asked} does not fit")
            shape = asked
        fixed[name] = tf.TensorSpec(with_batch(name, shape, batch), spec.dtype, name=spec.name)
    return fixed


def check_batch(batch: int | None) -> None:
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise ValueError(
            f"batch must be a positive integer, or None for a free first dimension, got {batch!r}"
        )


def with_batch(name: str, shape: Any, batch: int | None) -> Any:
    """The TensorShape with its first dimension set to `batch`; scalars and unknown ranks stay."""
    if batch is None or not shape.rank:
        return shape
    sizes = shape.as_list()
    if sizes[0] not in (None, batch):
        raise ValueError(f"input {name!r} has a batch of {sizes[0]} in the model; batch={batch} does not fit")
    return type(shape)([batch, *sizes[1:]])
