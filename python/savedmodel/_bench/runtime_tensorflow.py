# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's Python. Apart from `export`, the only module of the package that imports it."""

from __future__ import annotations

import os
from typing import Any

from savedmodel._bench.runtime import Array, Call, Inputs, Request


def _tensorflow() -> Any:
    """TensorFlow, with the op libraries given to the command."""
    import tensorflow as tf

    for library in filter(None, os.environ.get("SAVEDMODEL_OP_LIBRARIES", "").split(":")):
        tf.load_op_library(library)
    return tf


def _inter_op(request: Request) -> int:
    return (request.threads or 0) if request.inter_op is None else request.inter_op


class Function:
    """`tf.saved_model.load`, and the signature called with tensors made of arrays."""

    def __init__(self, request: Request) -> None:
        tf = _tensorflow()
        self.version = tf.__version__
        self._constant = tf.constant
        if request.threads:
            tf.config.threading.set_intra_op_parallelism_threads(request.threads)
            tf.config.threading.set_inter_op_parallelism_threads(_inter_op(request))
        # A signature alone does not own its variables.
        self._loaded = tf.saved_model.load(request.path, tags=request.tags or None)
        self._function = self._loaded.signatures[request.signature]

    def call(self, inputs: Inputs) -> Call:
        constant, function = self._constant, self._function

        def run() -> dict[str, Any]:
            results = function(**{key: constant(array) for key, array in inputs.items()})
            return {key: tensor.numpy() for key, tensor in results.items()}

        return run

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        results: Any = self.call(inputs)()
        return dict(results)


open_runtime = Function


class Session:
    """A model in a session, as in saved_model_cli: it runs models that `tf.saved_model.load` does not."""

    def __init__(self, request: Request) -> None:
        tf = _tensorflow()
        self.version = tf.__version__
        config = tf.compat.v1.ConfigProto()
        if request.threads:
            config.intra_op_parallelism_threads = request.threads
            config.inter_op_parallelism_threads = _inter_op(request)
        self.session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        with self.session.graph.as_default():
            self._loaded = tf.compat.v1.saved_model.load(self.session, list(request.tags), request.path)
        self.feeds: dict[str, str] = {}
        self.fetches: dict[str, str] = {}
        if request.first:
            self.select(request.signature)

    def select(self, signature: str) -> None:
        """Call this signature from now on: `feeds` and `fetches` map its keys to names of tensors."""
        defined = self._loaded.signature_def[signature]
        self.feeds = {key: info.name for key, info in defined.inputs.items()}
        self.fetches = {key: info.name for key, info in sorted(defined.outputs.items())}

    def call(self, inputs: Inputs) -> Call:
        feeds = {self.feeds[key]: array for key, array in inputs.items()}
        return lambda: self.session.run(self.fetches, feeds)

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        results: Any = self.call(inputs)()
        return dict(results)
