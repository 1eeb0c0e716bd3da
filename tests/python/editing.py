"""What the tests of `Edit` share."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import savedmodel as sm

from .tensorflow_child import TensorFlow

BODY = "StatefulPartitionedCall/StatefulPartitionedCall"
"""In `mlp`: the signature's call, and what its function calls."""
X = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)

Check = Callable[..., None]


def check_signature(
    tensorflow: TensorFlow,
    path: Path,
    signature: str,
    inputs: Mapping[str, Any],
    expected: Mapping[str, Any],
    tags: Collection[str] = ("serve",),
    loaders: Collection[str] = ("v1", "v2"),
) -> None:
    """Assert that a signature gives the expected results, whoever loads it."""
    with sm.load(path, tags=tags, session=sm.SessionOptions(allow_soft_placement=True)) as model:
        ours = model.signatures[signature].run(dict(inputs))
    results = [ours, *(tensorflow.run(how, path, signature, inputs, tags) for how in loaders)]
    for result in results:
        assert sorted(result) == sorted(expected)
        for key, value in expected.items():
            value = np.asarray(value)
            if value.dtype.kind == "f":
                np.testing.assert_allclose(result[key], value, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(result[key], value)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def change_object_graph(folder: Path, number: int, change: Callable[[str], str]) -> None:
    """Rewrite the object graph of the MetaGraph of that number, in a model that is text."""
    file = folder / "saved_model.pbtxt"
    parts = re.split(r"(^  object_graph_def \{$.*?^  \}$)", file.read_text(), flags=re.M | re.S)
    parts[2 * number + 1] = change(parts[2 * number + 1])
    file.write_text("".join(parts))


def shape(spec: sm.TensorSpec) -> tuple[str, tuple[int | None, ...] | None]:
    return spec.tf_dtype, spec.shape
