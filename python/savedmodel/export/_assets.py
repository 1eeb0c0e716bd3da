# SPDX-License-Identifier: Apache-2.0
"""The assets of TensorFlow 1 graphs: files that the graph names in constants."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import savedmodel as sm
from savedmodel.export._graphs import find_tensor
from savedmodel.export._tensorflow import tensorflow

PATHS = "asset_filepaths"
"""The collection of the asset tensors, which tables fill."""
TABLES = "table_initializer"
"""The collection of the operations that fill the tables."""
SAVED = "saved_model_assets"
"""The collection of SavedModelBuilder's asset records."""


def find(graph: Any, given: Iterable[Any] | None) -> list[Any]:
    """The asset tensors: those given (or named), or the graph's own.

    Raises ValueError for a tensor that is not a constant, NotFoundError for a file that does not exist.
    """
    if given is None:
        tensors = graph.get_collection(PATHS)
    else:
        tensors = [find_tensor(graph, each) if isinstance(each, str) else each for each in given]
    for tensor in tensors:
        file = _file(tensor)
        if not file.is_file():
            raise sm.NotFoundError(f"the asset {file} does not exist")
    return list(tensors)


def check(graph: Any, folder: Path) -> None:
    """Raise ValueError if the builder kept another MetaGraph's file of the same name."""
    from tensorflow.core.protobuf import meta_graph_pb2

    for packed in graph.get_collection(SAVED):
        asset = meta_graph_pb2.AssetFileDef()
        packed.Unpack(asset)
        file = _file(graph.get_tensor_by_name(asset.tensor_info.name))
        if not filecmp.cmp(file, folder / asset.filename, shallow=False):
            raise ValueError(
                f"there is another asset named {asset.filename!r} already, and {file} differs from it"
            )


def _file(tensor: Any) -> Path:
    value = tensorflow().get_static_value(tensor)
    if value is None or not isinstance(value.item(), bytes):
        raise ValueError(f"an asset must be a constant string, and {tensor.name!r} is not")
    return Path(os.fsdecode(value.item()))
