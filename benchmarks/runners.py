"""How each Python path opens a model and calls it. Imported by the child processes only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Call = Callable[[], object]
SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Request:
    """One model and its inputs. `threads` is per kernel, `inter_op` for kernels side by side.

    `model` is the folder of the SavedModel, or what a peer's converter made of it.
    """

    model: Path
    inputs: Mapping[str, Array]
    threads: int
    inter_op: int


@dataclass(frozen=True)
class Opened:
    """`make_call` gives a call with buffers of its own, so that each thread can have one."""

    make_call: Callable[[], Call]
    answer: Callable[[], dict[str, Array]]


def aligned_copy(array: Array, offset: int) -> Array:
    """A copy whose data starts `offset` bytes after a multiple of 64."""
    room = np.empty(array.nbytes + 64 + offset, np.uint8)
    start = -room.ctypes.data % 64 + offset
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def open_tf2(request: Request, bf16: bool = False) -> Opened:
    import tensorflow as tf

    if bf16:
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    tf.config.threading.set_intra_op_parallelism_threads(request.threads)
    tf.config.threading.set_inter_op_parallelism_threads(request.inter_op)
    loaded = tf.saved_model.load(str(request.model))
    function = loaded.signatures[SIGNATURE]

    def answer() -> dict[str, Array]:
        given = {name: tf.constant(array) for name, array in request.inputs.items()}
        return {name: tensor.numpy() for name, tensor in function(**given).items()}

    # The closure keeps `loaded` alive: a signature alone does not own its variables.
    def make_call(keep: object = loaded) -> Call:
        return answer

    return Opened(make_call, answer)


def _open_session(request: Request) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A session with the model loaded; its feeds and fetches by the signature's names."""
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=request.threads, inter_op_parallelism_threads=request.inter_op
    )
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(request.model))
    defined = loaded.signature_def[SIGNATURE]
    tensor = session.graph.get_tensor_by_name
    feeds = {name: tensor(defined.inputs[name].name) for name in request.inputs}
    fetches = {name: tensor(info.name) for name, info in defined.outputs.items()}
    return session, feeds, fetches


def open_session_run(request: Request) -> Opened:
    session, feeds, fetches = _open_session(request)
    wanted = list(fetches.values())
    given = {feeds[name]: array for name, array in request.inputs.items()}
    call = partial(session.run, wanted, given)
    return Opened(lambda: call, lambda: dict(zip(fetches, call(), strict=True)))


def open_make_callable(request: Request) -> Opened:
    session, feeds, fetches = _open_session(request)
    function = session.make_callable(list(fetches.values()), feed_list=list(feeds.values()))
    call = partial(function, *(request.inputs[name] for name in feeds))
    return Opened(lambda: call, lambda: dict(zip(fetches, call(), strict=True)))


def open_savedmodel(request: Request, kind: str, optimize: str | None = None) -> Opened:
    import savedmodel as sm

    settings: dict[str, Any] = {} if optimize is None else {"optimize": optimize}
    if kind == "shared":
        # ConfigProto.intra_op_parallelism_threads, field 2: the size of the pool that the process shares.
        settings["session"] = sm.SessionOptions(config=b"\x10" + bytes([request.threads]))
    else:
        settings["threads"] = request.threads
    model = sm.load(request.model, **settings)
    function = model.signatures[SIGNATURE]

    def borrowable(array: Array) -> Array:
        if array.dtype.kind == "S":
            return array  # strings are always copied
        copy = sm.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def arrays() -> dict[str, Array]:
        if kind == "unaligned":
            return {name: aligned_copy(array, 16) for name, array in request.inputs.items()}
        return {name: borrowable(array) for name, array in request.inputs.items()}

    def make_call(keep: object = model) -> Call:
        inputs = arrays()
        if kind != "out":
            # By position: a partial() with keywords would add its own 0.1 us of argument copying.
            return partial(function, *(inputs[name] for name in function.inputs))
        shapes = {name: (result.shape, result.dtype) for name, result in answer().items()}
        out = {name: sm.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}
        run = function.run
        return lambda: run(inputs, out=out)

    def answer() -> dict[str, Array]:
        return dict(function(**arrays()))

    return Opened(make_call, answer)
