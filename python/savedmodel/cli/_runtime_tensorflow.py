# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's Python, in a process of its own: the only module of the package that imports it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from savedmodel.cli._runtimes import Array, Inputs, Request


def _tensorflow() -> Any:
    """TensorFlow, with the op libraries that the command was given."""
    import tensorflow as tf

    for library in filter(None, os.environ.get("SAVEDMODEL_OP_LIBRARIES", "").split(":")):
        tf.load_op_library(library)
    return tf


class _TensorFlow:
    """`tf.saved_model.load`, and the signature called with tensors made of arrays."""

    def __init__(self, request: Request) -> None:
        tf = _tensorflow()
        self.version = tf.__version__
        self._tf = tf
        self._inputs = Inputs(request)
        if request["threads"]:
            tf.config.threading.set_intra_op_parallelism_threads(request["threads"])
            tf.config.threading.set_inter_op_parallelism_threads(request["threads"])
        # A signature alone does not own its variables.
        self._loaded = tf.saved_model.load(request["path"], tags=request["tags"] or None)
        self._function = self._loaded.signatures[request["signature"]]

    def call(self, batch: str, caller: int) -> Callable[[], object]:
        feeds = self._inputs[batch]
        constant, function = self._tf.constant, self._function

        def run() -> dict[str, Any]:
            results = function(**{key: constant(array) for key, array in feeds.items()})
            return {key: tensor.numpy() for key, tensor in results.items()}

        return run

    def outputs(self, batch: str) -> dict[str, Array]:
        results: Any = self.call(batch, 0)()
        return dict(results)


class _Session:
    """A session, as saved_model_cli has it: it runs what `tf.saved_model.load` does not.

    `select` comes before the first call.
    """

    def __init__(self, request: Request) -> None:
        tf = _tensorflow()
        self.version = tf.__version__
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            self._loaded = tf.compat.v1.saved_model.load(self._session, request["tags"], request["path"])

    def select(self, signature: str, batches: Mapping[str, str]) -> None:
        """Call this signature, with these inputs, from now on."""
        self._inputs = Inputs({"batches": batches})
        defined = self._loaded.signature_def[signature]
        self._feeds = {key: info.name for key, info in defined.inputs.items()}
        self._fetches = {key: info.name for key, info in sorted(defined.outputs.items())}

    def call(self, batch: str, caller: int) -> Callable[[], object]:
        feeds = {self._feeds[key]: array for key, array in self._inputs[batch].items()}
        return lambda: self._session.run(self._fetches, feeds)

    def outputs(self, batch: str) -> dict[str, Array]:
        results: Any = self.call(batch, 0)()
        return dict(results)


def open_model(request: Request) -> _TensorFlow | _Session:
    """The signature as a function, or, asked for with "session", in a session."""
    return _Session(request) if request.get("session") else _TensorFlow(request)
