# SPDX-License-Identifier: Apache-2.0
"""Runtimes that load a model and call it, behind one interface. Opened in processes of their own only."""

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

# By name: the module of the adapter, and what has to be installed for it.
ADAPTERS = {
    "savedmodel": ("savedmodel._bench.runtime_savedmodel", ()),
    "tf": ("savedmodel._bench.runtime_tensorflow", ("tensorflow",)),
    "onnxruntime": ("savedmodel._bench.runtime_onnx", ("onnxruntime",)),
    "openvino": ("savedmodel._bench.runtime_openvino", ("openvino",)),
}


@dataclass(frozen=True)
class Request:
    """A model to open: the folder of a SavedModel, or what a converter made of it."""

    path: str
    tags: Sequence[str] = ("serve",)
    signature: str = "serving_default"
    threads: int | None = None
    """Of each kernel; None: as many as the runtime takes by itself."""
    inter_op: int | None = None
    """For kernels of TensorFlow's Python side by side; None: as many."""
    optimize: str = "default"
    precision: str = "f32"
    first: Inputs = field(default_factory=dict)
    """What it is called with first, for runtimes that compile a model for the shapes of its inputs."""


class Runtime(Protocol):
    """A loaded model."""

    version: str

    def call(self, inputs: Inputs) -> Call:
        """A call with buffers of its own, so that each thread can have one."""

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        """The results of one call."""


def missing(name: str) -> list[str]:
    """The packages that a runtime lacks. Nothing is imported."""
    return [package for package in ADAPTERS[name][1] if importlib.util.find_spec(package) is None]


def import_packages(name: str) -> None:
    """Import what a runtime needs, which is no part of a load."""
    for package in ADAPTERS[name][1]:
        importlib.import_module(package)


def open_runtime(name: str, request: Request) -> Runtime:
    """Import the runtime's adapter and load the model."""
    module = importlib.import_module(ADAPTERS[name][0])
    runtime: Runtime = module.open_runtime(request)
    return runtime
