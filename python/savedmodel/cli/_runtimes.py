# SPDX-License-Identifier: Apache-2.0
"""The runtimes that `bench` and `compare` know. Opened in processes of their own only."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Request = Mapping[str, Any]

# By the name for --against: the module of its adapter, and what has to be installed for it.
ADAPTERS = {
    "savedmodel": ("savedmodel.cli._runtimes", ()),
    "tf": ("savedmodel.cli._runtime_tensorflow", ("tensorflow",)),
    "onnxruntime": ("savedmodel.cli._runtime_onnx", ("onnxruntime",)),
    "openvino": ("savedmodel.cli._runtime_openvino", ("openvino",)),
}


_EXTENDED = 256  # numbers of dtypes from here on are ml_dtypes', which files don't know


class Runtime(Protocol):
    """A loaded model."""

    version: str

    def call(self, batch: str, caller: int) -> Callable[[], object]:
        """A call with inputs of that batch, which one of several threads makes."""

    def outputs(self, batch: str) -> dict[str, Array]:
        """The results of one call."""


def missing(name: str) -> list[str]:
    """The packages that a runtime lacks. Nothing is imported."""
    return [package for package in ADAPTERS[name][1] if importlib.util.find_spec(package) is None]


def import_packages(name: str) -> None:
    """Import what a runtime needs, which is no part of a load."""
    for package in ADAPTERS[name][1]:
        importlib.import_module(package)


def open_runtime(request: Request) -> Runtime:
    """Import the runtime's adapter and load the model."""
    module = importlib.import_module(ADAPTERS[request["runtime"]][0])
    runtime: Runtime = module.open_model(request)
    return runtime


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
    """What `write` wrote, by this program."""
    import ml_dtypes

    names = json.loads(file.with_suffix(".json").read_text())
    arrays = {}
    with np.load(file, allow_pickle=True) as stored:
        for number, (name, dtype) in enumerate(names):
            array = stored[f"v{number}"]
            arrays[name] = array.view(getattr(ml_dtypes, dtype)) if dtype else array
    return arrays


def select(runtime: Runtime, signature: str, batches: Mapping[str, str]) -> None:
    """Call another signature from now on, where the runtime can."""
    runtime.select(signature, batches)  # type: ignore[attr-defined]


class Inputs:
    """The inputs of each batch."""

    def __init__(self, request: Request) -> None:
        self._files = {batch: Path(file) for batch, file in request["batches"].items()}

    def __getitem__(self, batch: str) -> dict[str, Array]:
        return read(self._files[batch])


class _SavedModel:
    def __init__(self, request: Request) -> None:
        import savedmodel as sm

        self.version = f"{sm.__version__}"
        self._sm = sm
        self._inputs = Inputs(request)
        self._model = sm.load(
            request["path"],
            tags=request["tags"],
            threads=request["threads"],
            optimize=request.get("optimize", "default"),
        )
        self._function = self._model.signatures[request["signature"]]

    def _feeds(self, batch: str) -> dict[str, Array]:
        """Aligned, so that calls borrow them."""
        feeds = {}
        for key, array in self._inputs[batch].items():
            if array.dtype != object:
                aligned = self._sm.empty(array.shape, array.dtype)
                aligned[...] = array
                array = aligned
            feeds[key] = array
        return feeds

    def call(self, batch: str, caller: int) -> Callable[[], object]:
        feeds = self._feeds(batch)
        if feeds.keys() == self._function.inputs.keys():
            return partial(self._function, *(feeds[key] for key in self._function.inputs))
        return partial(self._function.run, feeds)

    def outputs(self, batch: str) -> dict[str, Array]:
        return dict(self._function.run(self._feeds(batch)))


def open_model(request: Request) -> Runtime:
    """savedmodel itself."""
    return _SavedModel(request)
