"""How ONNX Runtime and OpenVINO open a model and call it, each as its own guide to latency says.

Both are told the batch size beforehand, which spares them work that a dynamic one costs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .convert import BATCH, explain
from .runners import Array, Opened, Request


def as_text(array: Array) -> Array:
    """Bytes as str objects, which is what ONNX Runtime takes."""
    return np.char.decode(array, "utf-8").astype(object) if array.dtype.kind == "S" else array


def open_ort(request: Request) -> Opened:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_free_dimension_override_by_name(BATCH, len(next(iter(request.inputs.values()))))
    inputs = {name: as_text(array) for name, array in request.inputs.items()}
    if any(array.dtype == object for array in inputs.values()):
        import onnxruntime_extensions as extensions

        options.register_custom_ops_library(extensions.get_library_path())
    session = ort.InferenceSession(str(request.model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    call = partial(session.run, None, inputs)
    return Opened(lambda: call, lambda: dict(zip(names, call(), strict=True)))


def open_openvino(request: Request, precision: str) -> Opened:
    import openvino

    core = openvino.Core()
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": request.threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    try:
        model = core.read_model(str(request.model))
        shapes = {}
        for port in model.inputs:
            (name,) = port.get_names() & request.inputs.keys()
            shapes[port] = list(request.inputs[name].shape)
        model.reshape(shapes)
        compiled = core.compile_model(model, "CPU", settings)
    except Exception as error:
        raise RuntimeError(explain(error)) from error
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != precision:
        raise RuntimeError(f"asked for {precision}, it computes in {used}")
    infer = compiled.create_infer_request()
    call = partial(infer.infer, dict(request.inputs), share_inputs=True, share_outputs=True)

    def answer() -> dict[str, Array]:
        return {port.get_any_name(): np.array(value) for port, value in call().items()}

    return Opened(lambda: call, answer)
