"""Paths that only the benchmarks know, as runtimes. Imported by the child processes only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import savedmodel as sm
from savedmodel._bench.runtime import Array, Call, Inputs, Request, Runtime
from savedmodel._bench.runtime_onnx import OnnxRuntime
from savedmodel._bench.runtime_openvino import OpenVino
from savedmodel._bench.runtime_savedmodel import SavedModel
from savedmodel._bench.runtime_tensorflow import Function, Session

from .convert import BATCH, explain


def aligned_copy(array: Array, offset: int) -> Array:
    """A copy whose data starts `offset` bytes after a multiple of 64."""
    room = np.empty(array.nbytes + 64 + offset, np.uint8)
    start = -room.ctypes.data % 64 + offset
    copy: Array = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def open_tf2(request: Request, bf16: bool = False) -> Function:
    if bf16:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    return Function(request)


class _Session(Session):
    """Its feeds and fetches as tensors, which take less time than names."""

    def tensors(self, names: dict[str, str]) -> dict[str, Any]:
        find = self.session.graph.get_tensor_by_name
        return {key: find(name) for key, name in names.items()}

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        results: Any = self.call(inputs)()
        return dict(zip(self.fetches, results, strict=True))


class SessionRun(_Session):
    def call(self, inputs: Inputs) -> Call:
        feeds = self.tensors(self.feeds)
        given = {feeds[key]: array for key, array in inputs.items()}
        return partial(self.session.run, list(self.tensors(self.fetches).values()), given)


class MakeCallable(_Session):
    def call(self, inputs: Inputs) -> Call:
        feeds = self.tensors(self.feeds)
        fetches = list(self.tensors(self.fetches).values())
        function = self.session.make_callable(fetches, feed_list=[feeds[key] for key in inputs])
        return partial(function, *inputs.values())


def open_shared(request: Request) -> SavedModel:
    """On the pool that the process shares: ConfigProto.intra_op_parallelism_threads, field 2."""
    return SavedModel(request, sm.SessionOptions(config=b"\x10" + bytes([request.threads or 0])))


class Out(SavedModel):
    """Into memory of the caller."""

    def call(self, inputs: Inputs) -> Call:
        feeds = self.buffers(inputs)
        out = {name: sm.empty(result.shape, result.dtype) for name, result in self.outputs(inputs).items()}
        run = self.function.run
        return lambda: run(feeds, out=out)


class Unaligned(SavedModel):
    def buffers(self, inputs: Inputs) -> dict[str, Array]:
        return {name: aligned_copy(array, 16) for name, array in inputs.items()}


def open_ort(request: Request) -> OnnxRuntime:
    """It is told the batch size beforehand, which spares it work that a dynamic one costs."""

    def adjust(options: Any) -> None:
        options.add_free_dimension_override_by_name(BATCH, len(next(iter(request.first.values()))))
        if any(array.dtype.kind in "OS" for array in request.first.values()):
            import onnxruntime_extensions as extensions

            options.register_custom_ops_library(extensions.get_library_path())

    return OnnxRuntime(request, adjust)


def open_openvino(request: Request) -> OpenVino:
    try:
        runtime = OpenVino(request)
    except Exception as error:
        raise RuntimeError(explain(error)) from error
    used = runtime.compile(request.first).get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != request.precision:
        raise RuntimeError(f"asked for {request.precision}, it computes in {used}")
    return runtime


# By path: how it is opened, and what its request has beside the model.
OPENERS: dict[str, tuple[Callable[[Request], Runtime], dict[str, str]]] = {
    "tf2": (open_tf2, {}),
    "tf2_bf16": (partial(open_tf2, bf16=True), {}),
    "session_run": (SessionRun, {}),
    "make_callable": (MakeCallable, {}),
    "savedmodel": (SavedModel, {}),
    "savedmodel_none": (SavedModel, {"optimize": "none"}),
    "savedmodel_bf16": (SavedModel, {"optimize": "bf16"}),
    "savedmodel_int8": (SavedModel, {"optimize": "int8"}),
    "savedmodel_shared": (open_shared, {}),
    "savedmodel_out": (Out, {}),
    "savedmodel_unaligned": (Unaligned, {}),
    "savedmodel_saved": (SavedModel, {}),
    "ort": (open_ort, {}),
    "openvino": (open_openvino, {}),
    "openvino_bf16": (open_openvino, {"precision": "bf16"}),
    "openvino_ir": (open_openvino, {}),
}
