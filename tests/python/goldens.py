"""Recorded runs of TensorFlow's own: how they are stored, and how results compare with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import savedmodel as sm

from .helpers import Array


@dataclass
class Run:
    """One run of a signature: arrays by input and output name, then by part ("" if dense)."""

    inputs: dict[str, dict[str, Array]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Array]] = field(default_factory=dict)


def read(path: Path) -> dict[tuple[str, str], Run]:
    """Runs by (tags joined with "+", or "" where the file does not tell; signature)."""
    runs: dict[tuple[str, str], Run] = {}
    with np.load(path, allow_pickle=True) as stored:
        for key, array in stored.items():
            owner, _, slot = key.partition("|")
            tags, _, signature = owner.rpartition("!")
            side, _, rest = slot.partition(":")
            rest, _, dtype = rest.partition("::")
            name, _, part = rest.partition("#")
            run = runs.setdefault((tags, signature), Run())
            values = run.inputs if side == "in" else run.outputs
            values.setdefault(name, {})[part] = array.view(getattr(ml_dtypes, dtype)) if dtype else array
    return runs


def feeds(run: Run, signature: sm.Signature) -> dict[str, Any]:
    """The run's inputs as a caller would pass them."""
    return {name: _value(parts, signature.inputs[name]) for name, parts in run.inputs.items()}


def _value(parts: Mapping[str, Array], spec: sm.TensorSpec) -> Any:
    if spec.encoding == "dense":
        return parts[""]
    if spec.encoding == "sparse":
        if "indices" in parts:
            return sm.SparseTensor(parts["indices"], parts["values"], parts["dense_shape"])
        return sm.SparseTensor(parts["0"], parts["1"], parts["2"])
    assert spec.encoding == "ragged"
    value: Any = parts["0"]
    for number in range(len(parts) - 1, 0, -1):
        value = sm.RaggedTensor(value, parts[str(number)])
    return value


def check(results: Mapping[str, Any], run: Run, signature: sm.Signature) -> None:
    """Assert that every result is the recorded one."""
    assert results.keys() == run.outputs.keys()
    for name, parts in run.outputs.items():
        wanted = _value(parts, signature.outputs[name])
        _check_value(results[name], wanted, f"{signature.name}: {name}")


def _check_value(result: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, sm.SparseTensor | sm.RaggedTensor):
        assert type(result) is type(wanted), where
        for part, inner in wanted._asdict().items():
            _check_value(getattr(result, part), inner, f"{where}.{part}")
        return
    assert isinstance(result, np.ndarray), where
    assert result.dtype == wanted.dtype, where
    assert result.shape == wanted.shape, where
    if wanted.dtype.kind in "fc":
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6, err_msg=where)
    elif wanted.dtype.kind in "biuO":
        np.testing.assert_array_equal(result, wanted, err_msg=where)
    else:  # ml_dtypes' own: the recorded models only pass them on
        bits = f"u{wanted.dtype.itemsize}"
        np.testing.assert_array_equal(result.view(bits), wanted.view(bits), err_msg=where)
