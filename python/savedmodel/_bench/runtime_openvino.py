# SPDX-License-Identifier: Apache-2.0
"""OpenVINO, which reads SavedModels itself. It supports only the default signature."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from savedmodel._bench.runtime import Array, Call, Inputs, Request


class OpenVino:
    """A model on the CPU, compiled once for each set of shapes, so that the compiler knows them."""

    def __init__(self, request: Request) -> None:
        import openvino

        self.version = openvino.__version__.partition("-")[0]
        self._path, self._core = request.path, openvino.Core()
        self._settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": request.precision,
        }
        if request.threads:
            self._settings["INFERENCE_NUM_THREADS"] = request.threads
        self._compiled: dict[Any, Any] = {}
        self.compile(request.first)

    def compile(self, inputs: Inputs) -> Any:
        """Compile the model for inputs of these shapes."""
        shapes = {key: list(array.shape) for key, array in inputs.items()}
        known = repr(sorted(shapes.items()))
        if known not in self._compiled:
            model = self._core.read_model(self._path)
            ports = {}
            for port in model.inputs:
                (name,) = port.get_names() & shapes.keys()
                ports[port] = shapes[name]
            model.reshape(ports)
            self._compiled[known] = self._core.compile_model(model, "CPU", self._settings)
        return self._compiled[known]

    def call(self, inputs: Inputs) -> Call:
        infer = self.compile(inputs).create_infer_request().infer
        return partial(infer, dict(inputs), share_inputs=True, share_outputs=True)

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        results: Any = self.call(inputs)()
        return {port.get_any_name(): np.array(value) for port, value in results.items()}


open_runtime = OpenVino
