# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime, in a process of its own, on an ONNX model that tf2onnx made of the SavedModel."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel._process import environment, module_command
from savedmodel.cli._child import ENVIRONMENT
from savedmodel.cli._runtimes import Array, Inputs, Request

_OPSET = "18"


def convert(path: str, tags: list[str], signature: str, target: Path) -> None:
    """Run tf2onnx's command. Raises RuntimeError with the last line of what it said."""
    command = module_command("tf2onnx.convert")
    command += ["--saved-model", path, "--tag", ",".join(tags)]
    command += ["--signature_def", signature, "--opset", _OPSET, "--output", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**ENVIRONMENT))
    if done.returncode != 0 or not target.exists():
        words = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise RuntimeError(f"tf2onnx failed: {words[-1] if words else 'it says nothing'}")


class _OnnxRuntime:
    def __init__(self, request: Request) -> None:
        import onnxruntime

        self.version = onnxruntime.__version__
        self._inputs = Inputs(request)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"] or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            request["onnx"], options, providers=["CPUExecutionProvider"]
        )

    def _feeds(self, batch: str) -> dict[str, Array]:
        def value(array: Any) -> Any:
            if array.dtype != object:
                return array
            texts = np.array([item.decode() for item in array.ravel()], object)
            return texts.reshape(array.shape)

        # tf2onnx keeps a signature's names, and adds ":0" to some.
        names = {one.name.removesuffix(":0"): one.name for one in self._session.get_inputs()}
        return {names.get(key, key): value(array) for key, array in self._inputs[batch].items()}

    def call(self, batch: str, caller: int) -> Callable[[], object]:
        return partial(self._session.run, None, self._feeds(batch))

    def outputs(self, batch: str) -> dict[str, Array]:
        names = [one.name for one in self._session.get_outputs()]
        return dict(zip(names, self._session.run(None, self._feeds(batch)), strict=True))


def open_model(request: Request) -> _OnnxRuntime:
    """An InferenceSession on the CPU."""
    return _OnnxRuntime(request)
