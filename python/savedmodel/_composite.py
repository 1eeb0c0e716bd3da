# SPDX-License-Identifier: Apache-2.0
"""Values of composite inputs and outputs, with the field names of tf.SparseTensor and tf.RaggedTensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Array = Any  # anything that NumPy can view; results are numpy arrays


class SparseTensor(NamedTuple):
    """A sparse tensor in coordinate form."""

    indices: Array
    """int64 [number of values, rank]."""
    values: Array
    """[number of values]."""
    dense_shape: Array
    """int64 [rank]."""


class RaggedTensor(NamedTuple):
    """A ragged tensor as values and row splits; `values` may be a RaggedTensor itself."""

    values: Any
    row_splits: Array
    """int64 or int32 [number of rows + 1]; row i is values[row_splits[i]:row_splits[i + 1]]."""

    @property
    def flat_values(self) -> Array:
        """The innermost values."""
        inner = self.values
        return inner.flat_values if isinstance(inner, RaggedTensor) else inner

    @property
    def nested_row_splits(self) -> tuple[Array, ...]:
        """All row splits, the outermost first."""
        inner = self.values
        return (
            self.row_splits,
            *(inner.nested_row_splits if isinstance(inner, RaggedTensor) else ()),
        )


def ragged_from_parts(flat_values: Array, nested_row_splits: Sequence[Array]) -> Array:
    """Build a RaggedTensor from its components, the outermost row splits first."""
    value = flat_values
    for splits in reversed(nested_row_splits):
        value = RaggedTensor(value, splits)
    return value
