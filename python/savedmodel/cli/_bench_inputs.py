# SPDX-License-Identifier: Apache-2.0
"""The inputs of a measurement, in files that every contender reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from savedmodel.cli._array_files import write
from savedmodel.cli._inputs import Sources, match
from savedmodel.cli._random import needs_batch, random_inputs


def write_inputs(
    folder: Path, signature: Any, sources: Sources, batches: tuple[int, ...], seed: int
) -> dict[str, str]:
    """For each batch, the file with its inputs. Given inputs are the same for each batch."""
    given = match(sources.read(), signature.inputs)
    for key, value in given.items():
        if not isinstance(value, np.ndarray):
            raise ValueError(f"input {key!r} is {signature.inputs[key].encoding}, which only `run` takes")
    if given.keys() == signature.inputs.keys() or not needs_batch(signature.inputs):
        # All inputs are given, so a batch size changes nothing.
        sizes = [np.shape(value)[0] for value in given.values() if np.ndim(value)]
        fixed = [
            spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0] is not None
        ]
        batches = ((sizes or fixed or [1])[0],)
    files = {}
    for batch in batches:
        values = random_inputs(signature.inputs, batch=batch, seed=seed, given=given)
        file = folder / f"inputs-{batch}.npz"
        write(file, values)
        files[str(batch)] = str(file)
    return files
