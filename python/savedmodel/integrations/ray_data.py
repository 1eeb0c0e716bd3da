# SPDX-License-Identifier: Apache-2.0
"""Batch inference over datasets with Ray Data (`ray[data]`).

    import ray
    from savedmodel.integrations.ray_data import SavedModelPredictor

    ds = ray.data.read_parquet("s3://bucket/rows")
    ds = ds.map_batches(
        SavedModelPredictor,
        fn_constructor_args=["models/resnet50"],
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=4),
        num_cpus=1,
        batch_size=32,
    )

Each actor loads the model once, with as many threads as it has CPUs, and gets batches as Ray has them: a
dict of NumPy arrays, or with `batch_format="pyarrow"` a table. Arrays of the signature's types are read
where they are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import savedmodel as sm
from savedmodel.integrations import _columns, _ray


class SavedModelPredictor:
    """For `Dataset.map_batches`: adds a model's outputs to each batch.

    path: of the SavedModel; a local path on each node, or one that all of them mount.
    signature: by default "serving_default", or the only one.
    inputs: columns by input, where they have other names: {"image": "pixels"}.
    outputs: those that are wanted; by default all. A column of the same name is replaced.
    keep: False returns the outputs alone.
    threads: of a run; by default the CPUs of the actor (`num_cpus=`).
    load_options: as `savedmodel.load` has them.

    Columns of int64 and float64 become int32 and float32 if the signature says so; see
    `savedmodel.integrations`. Raises KeyError for a signature, column or output that is not there, and
    TypeError and ValueError for columns that do not fit.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        signature: str | None = None,
        inputs: Mapping[str, str] | None = None,
        outputs: Sequence[str] | None = None,
        keep: bool = True,
        threads: int | None = None,
        **load_options: Any,
    ) -> None:
        threads = _ray.cpus_of_this_actor() if threads is None else threads
        self._model = sm.load(path, threads=threads, **load_options)
        self._signature = _columns.choose_signature(self._model, signature)
        self._names = _columns.check_names(inputs, self._signature)
        self._outputs = _columns.check_outputs(outputs, self._signature)
        self._keep = keep

    def __call__(self, batch: Any) -> Any:
        """A batch of the same kind as `batch`: a dict of arrays, or a pyarrow.Table."""
        if isinstance(batch, Mapping):
            results = self._run(batch, len(next(iter(batch.values()), ())))
            return {**batch, **results} if self._keep else results
        import pyarrow as pa

        if not isinstance(batch, pa.Table):
            raise TypeError(
                f"a batch is a dict of arrays or a pyarrow.Table, got {type(batch).__name__}: "
                "map_batches takes batch_format='numpy' or 'pyarrow'"
            )
        wanted = {self._names.get(key, key) for key in self._signature.inputs}
        # The others are not converted; a missing one is reported with all that there are.
        columns = {
            name: _from_arrow(batch.column(name)) if name in wanted else None for name in batch.column_names
        }
        table = batch if self._keep else batch.select([])
        for key, value in self._run(columns, batch.num_rows).items():
            column = _to_arrow(value)
            index = table.column_names.index(key) if key in table.column_names else -1
            table = table.set_column(index, key, column) if index >= 0 else table.append_column(key, column)
        return table

    def _run(self, columns: Mapping[str, Any], rows: int) -> dict[str, Any]:
        inputs = _columns.to_inputs(columns, self._signature, self._names)
        results = self._signature.run(inputs, outputs=self._outputs)
        _columns.check_rows(results, rows)
        return {key: np.asarray(value) for key, value in results.items()}


def _from_arrow(column: Any) -> Any:
    """An Arrow column as an array: a view where Arrow's memory is one block of plain values."""
    import pyarrow as pa

    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    if array.null_count:
        raise ValueError("a column has nulls, which a tensor has no form for")
    if hasattr(array, "to_numpy_ndarray"):  # a tensor for each row, by Arrow
        return array.to_numpy_ndarray()
    if pa.types.is_fixed_size_list(array.type):
        rows = array.flatten().to_numpy(zero_copy_only=False)
        return rows.reshape(len(array), array.type.list_size)
    return array.to_numpy(zero_copy_only=False)


def _to_arrow(value: Any) -> Any:
    import pyarrow as pa

    if value.ndim == 1:
        return pa.array(value)
    if value.dtype == object:
        return pa.array(value.tolist())
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(value))
