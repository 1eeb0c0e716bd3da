# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime, on tf2onnx's conversion of the SavedModel."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel._bench.runtime import Array, Call, Inputs, Request
from savedmodel._bench.turns import CPU_ONLY
from savedmodel._process import environment, module_command

OPSET = 18  # the newest that tf2onnx supports


def convert(path: str, tags: Sequence[str], signature: str, target: Path, *more: str) -> None:
    """Run tf2onnx's command with these options. Raises RuntimeError with the last line of its output."""
    command = module_command("tf2onnx.convert")
    command += ["--saved-model", path, "--tag", ",".join(tags), "--signature_def", signature]
    command += ["--opset", str(OPSET), "--output", str(target), *more]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(**CPU_ONLY, PYTHONWARNINGS="ignore")
    )
    if done.returncode != 0 or not target.exists():
        words = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise RuntimeError(f"tf2onnx failed: {words[-1] if words else 'it printed nothing'}")


def _text(array: Array) -> Array:
    """Bytes as str objects, as ONNX Runtime expects."""
    if array.dtype.kind not in "OS":
        return array
    texts: Array = np.array([item.decode() for item in array.ravel()], object).reshape(array.shape)
    return texts


class OnnxRuntime:
    """An InferenceSession on the CPU. `adjust` receives its options."""

    def __init__(self, request: Request, adjust: Callable[[Any], None] = lambda options: None) -> None:
        import onnxruntime

        self.version = onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request.threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        adjust(options)
        self._session = onnxruntime.InferenceSession(
            request.path, options, providers=["CPUExecutionProvider"]
        )

    def call(self, inputs: Inputs) -> Call:
        # tf2onnx keeps a signature's names, and adds ":0" to some.
        names = {one.name.removesuffix(":0"): one.name for one in self._session.get_inputs()}
        feeds = {names.get(key, key): _text(array) for key, array in inputs.items()}
        return partial(self._session.run, None, feeds)

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        names = [one.name for one in self._session.get_outputs()]
        results: Any = self.call(inputs)()
        return dict(zip(names, results, strict=True))


open_runtime = OnnxRuntime
