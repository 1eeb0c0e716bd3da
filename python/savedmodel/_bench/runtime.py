# SPDX-License-Identifier: Apache-2.0
"""Runtimes that load a model and call it, behind one interface. Each is opened in a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Inputs = Mapping[str, Array]
Call = Callable[[], object]

# By name: the module of the adapter, and the packages that it needs.
ADAPTERS = {
    "savedmodel": ("savedmodel._bench.runtime_savedmodel", ()),
    "tf": ("savedmodel._bench.runtime_tensorflow", ("tensorflow",)),
    "onnxruntime": ("savedmodel._bench.runtime_onnx", ("onnxruntime",)),
    "openvino": ("savedmodel._bench.runtime_openvino", ("openvino",)),
}


@dataclass(frozen=True)
class Request:
    """A model to open: the folder of a SavedModel, or a converter's output."""

    path: str
    tags: Sequence[str] = ("serve",)
    signature: str = "serving_default"
    threads: int | None = None
    """Threads of each kernel; None: the runtime's default."""
    inter_op: int | None = None
    """Threads for concurrent kernels of TensorFlow's Python; None: its default."""
    optimize: str = "default"
    precision: str = "f32"
    first: Inputs = field(default_factory=dict)
    """The inputs of the first call, for runtimes that compile a model for their shapes."""


class Runtime(Protocol):
    """A loaded model."""

    version: str

    def call(self, inputs: Inputs) -> Call:
        """A call with its own buffers, so that each thread can have one."""

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        """The results of one call."""


def missing(name: str) -> list[str]:
    """The packages that a runtime lacks. Imports nothing."""
    return [package for package in ADAPTERS[name][1] if importlib.util.find_spec(package) is None]


def import_packages(name: str) -> None:
    """Import what a runtime needs, which does not count as load time."""
    for package in ADAPTERS[name][1]:
        importlib.import_module(package)


def open_runtime(name: str, request: Request) -> Runtime:
    """Import the runtime's adapter and load the model."""
    module = importlib.import_module(ADAPTERS[name][0])
    runtime: Runtime = module.open_runtime(request)
    return runtime
