# SPDX-License-Identifier: Apache-2.0
"""OpenVINO, in a process of its own; it reads SavedModels itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from savedmodel.cli._runtimes import Array, Inputs, Request


class _OpenVino:
    """The model is compiled once for each batch, whose size the compiler then knows."""

    def __init__(self, request: Request) -> None:
        import openvino

        self.version = openvino.__version__.partition("-")[0]
        self._inputs = Inputs(request)
        self._path, self._core = request["path"], openvino.Core()
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if request["threads"]:
            settings["INFERENCE_NUM_THREADS"] = request["threads"]
        self._settings = settings
        self._compiled: dict[str, Any] = {}
        self._compile(next(iter(request["batches"])))

    def _compile(self, batch: str) -> Any:
        if batch not in self._compiled:
            model = self._core.read_model(self._path)
            feeds = self._inputs[batch]
            shapes = {}
            for port in model.inputs:
                (name,) = port.get_names() & feeds.keys()
                shapes[port] = list(feeds[name].shape)
            model.reshape(shapes)
            self._compiled[batch] = self._core.compile_model(model, "CPU", self._settings)
        return self._compiled[batch]

    def call(self, batch: str, caller: int) -> Callable[[], object]:
        infer = self._compile(batch).create_infer_request().infer
        return partial(infer, self._inputs[batch], share_inputs=True, share_outputs=True)

    def outputs(self, batch: str) -> dict[str, Array]:
        results: Any = self.call(batch, 0)()
        return {port.get_any_name(): np.array(value) for port, value in results.items()}


def open_model(request: Request) -> _OpenVino:
    """A compiled model on the CPU, in float32. It takes the default signature only."""
    return _OpenVino(request)
