# SPDX-License-Identifier: Apache-2.0
"""Arrays in files, for processes of this program: .npz, and a record of dtypes that .npz lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_EXTENDED = 256  # dtypes from this number on are ml_dtypes', which .npz does not store


def write(file: Path, arrays: Mapping[str, Any]) -> None:
    """Arrays by name as .npz; strings among them are pickled."""
    stored: dict[str, Any] = {}
    names = []
    for number, (name, value) in enumerate(arrays.items()):
        array = np.asarray(value)
        extended = array.dtype.num >= _EXTENDED
        names.append([name, array.dtype.name if extended else ""])
        stored[f"v{number}"] = array.view(f"u{array.dtype.itemsize}") if extended else array
    np.savez(file, **stored)
    file.with_suffix(".json").write_text(json.dumps(names))


def read(file: Path) -> dict[str, Array]:
    """Read a file that `write` wrote in this program."""
    import ml_dtypes

    names = json.loads(file.with_suffix(".json").read_text())
    arrays = {}
    with np.load(file, allow_pickle=True) as stored:
        for number, (name, dtype) in enumerate(names):
            array = stored[f"v{number}"]
            arrays[name] = array.view(getattr(ml_dtypes, dtype)) if dtype else array
    return arrays


def read_samples(option: str, files: Sequence[str]) -> list[dict[str, Any]]:
    """Each .npz file is one set of inputs. Raises ValueError, which names the option."""
    found = []
    for file in files:
        try:
            with np.load(file, allow_pickle=False) as archive:
                found.append({key: archive[key] for key in archive.files})
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{option} {file}: not a .npz file of arrays: {error}") from None
    return found
