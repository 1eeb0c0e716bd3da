"""TensorFlow's Python in a process of its own, which loads what a test wrote and says what it computes.

Run as a program, it answers requests: how, {"path": ..., ...} -> {...}.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from savedmodel._process import Process, serve


class TensorFlow(Process):
    """The parent's side."""

    def __init__(self) -> None:
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        super().__init__([sys.executable, __file__], env=quiet)

    def of(self, how: str, path: Path, **rest: Any) -> dict[str, Any]:
        return self.ask(how, path=str(path), **rest)

    def run(
        self,
        how: str,
        path: Path,
        signature: str,
        inputs: Mapping[str, Any],
        tags: Collection[str] = ("serve",),
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The results of a signature: how is "v1", in a session, or "v2", by tf.saved_model.load."""
        with tempfile.TemporaryDirectory() as folder:
            arrays: dict[str, Any] = {key: np.asarray(value) for key, value in inputs.items()}
            np.savez(f"{folder}/in.npz", **arrays)
            self.of(how, path, signature=signature, tags=sorted(tags), folder=folder)
            with np.load(f"{folder}/out.npz", allow_pickle=True) as results:
                return dict(results)

    def signatures(self, path: Path, tags: Collection[str] = ("serve",)) -> dict[str, list[str]]:
        """Those that tf.saved_model.load finds: name -> keys of the outputs."""
        found: dict[str, list[str]] = self.of("signatures", path, tags=sorted(tags))["signatures"]
        return found

    def cli(self, path: Path) -> str:
        """What `saved_model_cli show --all` prints."""
        text: str = self.of("cli", path)["text"]
        return text


def _inputs(request: dict[str, Any]) -> dict[str, Any]:
    with np.load(f"{request['folder']}/in.npz", allow_pickle=True) as arrays:
        return dict(arrays)


def _write(request: dict[str, Any], results: Mapping[str, Any]) -> None:
    arrays: dict[str, Any] = {key: np.asarray(value) for key, value in results.items()}
    np.savez(f"{request['folder']}/out.npz", **arrays)


def _v1(request: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session(config=v1.ConfigProto(allow_soft_placement=True)) as session:
        meta_graph = v1.saved_model.load(session, request["tags"], request["path"])
        signature = meta_graph.signature_def[request["signature"]]
        fetches = {key: info.name for key, info in signature.outputs.items()}
        feeds = {signature.inputs[key].name: value for key, value in _inputs(request).items()}
        _write(request, session.run(fetches, feeds))
    return {}


def _v2(request: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    model = tf.saved_model.load(request["path"], request["tags"])
    inputs = {key: tf.constant(value) for key, value in _inputs(request).items()}
    results = model.signatures[request["signature"]](**inputs)
    _write(request, {key: value.numpy() for key, value in results.items()})
    return {}


def _function(request: dict[str, Any]) -> dict[str, Any]:
    """Calls a function of the object, or a signature, with the arguments of a Python expression, in which t
    is tf.constant."""
    import tensorflow as tf

    loaded = function = tf.saved_model.load(request["path"])  # which has to live while it is called
    if "signature" in request:
        function = loaded.signatures[request["signature"]]
    for name in filter(None, request.get("function", "").split(".")):
        function = getattr(function, name)
    scope = {
        "t": tf.constant,
        "np": np,
        "ragged": tf.ragged.constant,
        "sparse": tf.SparseTensor,
        "call": lambda *a, **k: (a, k),
        **{name: namedtuple(name, "a b") for name in ("Point", "Other")},
        "Swapped": namedtuple("Point", "b a"),
    }
    args, kwargs = eval(f"call({request['arguments']})", scope)  # the test's own text
    try:
        results = function(*args, **kwargs)
    except (TypeError, ValueError):
        return {"refused": True}
    del loaded
    flat = tf.nest.flatten(results, expand_composites=True)
    return {"results": [x if x is None else _plain(x.numpy()) for x in flat]}


def _plain(value: Any) -> Any:
    text = np.asarray(value)
    return text.astype("U").tolist() if text.dtype.kind in "OS" else text.tolist()


def _checkpoint(request: dict[str, Any]) -> dict[str, Any]:
    """What tf.train has in a checkpoint's directory."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(request["path"])
    names = sorted(reader.get_variable_to_shape_map())
    return {"values": {name: _plain(reader.get_tensor(name)) for name in names if name[0] != "_"}}


def _signatures(request: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    model = tf.saved_model.load(request["path"], request["tags"])
    names = {name: sorted(f.structured_outputs) for name, f in model.signatures.items()}
    return {"signatures": names}


def _cli(request: dict[str, Any]) -> dict[str, Any]:
    from tensorflow.python.tools import saved_model_cli

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        saved_model_cli._show_all(request["path"])
    return {"text": text.getvalue()}


def _main() -> None:
    kinds = {"v1": _v1, "v2": _v2, "signatures": _signatures, "cli": _cli}
    kinds |= {"function": _function, "checkpoint": _checkpoint}

    def handler(kind: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        return lambda **request: kind(request)

    serve({how: handler(kind) for how, kind in kinds.items()})


if __name__ == "__main__":
    _main()
