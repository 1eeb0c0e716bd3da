"""Recurrent layers of Keras 2 and 3, and loops written by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from ..build import Node, op
from .parts import known


class _Layer:
    """A layer whose weights are the step's, in the dtype that is computed in."""

    def __init__(self, node: Node, x: Any, make: Any) -> None:
        self.layer = make()
        # Keras 2 takes a list for a nest of shapes.
        self.layer.build(tuple(x.shape.as_list()))
        for i, weight in enumerate(self.layer.weights):
            if (
                "seed" in str(getattr(weight, "path", weight.name))
                or not tf.as_dtype(weight.dtype).is_floating
            ):
                continue
            shape = [int(n) for n in weight.shape]
            if node.get("stateful", False) and i >= len(self.layer.trainable_weights):
                continue  # its states begin at zero
            weight.assign(node.values(f"weight{i}", shape, node.get("spread", 0.4)))

    @property
    def tracked(self) -> list[Any]:
        if not isinstance(self.layer, keras.layers.Layer):
            return [self.layer]
        states = getattr(self.layer, "states", None) or []
        found = [*self.layer.variables, *(s for s in states if isinstance(s, keras.Variable))]
        return [v.value for v in found]


def _inner(library: Any, node: Node, dtype: str) -> Any:
    kind = node.get("kind", "LSTM")
    common = {
        "units": node.get("units", 4),
        "return_sequences": node.get("sequences", True),
        "go_backwards": node.get("backwards", False),
        "use_bias": node.get("use_bias", True),
        "dropout": node.get("dropout", 0.0),
        "recurrent_dropout": node.get("recurrent_dropout", 0.0),
        "unroll": node.get("unroll", False),
        "stateful": node.get("stateful", False),
        "return_state": node.get("states", False),
        "activation": node.get("activation", "tanh"),
        "dtype": dtype,
    }
    if kind == "cell":
        cell = library.layers.LSTMCell(common["units"], dtype=dtype)
        names = ("return_sequences", "go_backwards", "unroll", "return_state", "dtype")
        return library.layers.RNN(cell, **{name: common[name] for name in names})
    if kind == "cells":
        cells = [
            library.layers.GRUCell(3, dtype=dtype),
            library.layers.SimpleRNNCell(common["units"], dtype=dtype),
        ]
        # A list would be stacked in the library's default dtype.
        stacked = library.layers.StackedRNNCells(cells, dtype=dtype)
        return library.layers.RNN(stacked, return_sequences=common["return_sequences"], dtype=dtype)
    if kind == "SimpleRNN":
        return library.layers.SimpleRNN(**common)
    common["recurrent_activation"] = node.get("recurrent", "sigmoid")
    if kind == "GRU":
        common["reset_after"] = node.get("reset_after", True)
    if library is tf_keras:
        common["time_major"] = node.get("time_major", False)
        common["implementation"] = node.get("implementation", 2)
    return getattr(library.layers, kind)(**common)


@op
def recurrent(node: Node, x: Any) -> Any:
    library = tf_keras if node.get("library", "keras") == "tf_keras" else keras
    dtype = "float64" if node.exact else "float32"

    def make() -> Any:
        inner = _inner(library, node, dtype)
        if not node.get("both", False):
            return inner
        return library.layers.Bidirectional(inner, merge_mode=node.get("merge", "concat"), dtype=dtype)

    layer = node.builder.keep((node.step["id"], "layer"), lambda: _Layer(node, x, make)).layer
    arguments: dict[str, Any] = {"training": False}
    mask = node.get("mask", "none")
    if mask != "none":
        seen = x[:, :, 0] > -0.5
        if mask == "right":
            seen = tf.cumsum(tf.cast(seen, tf.int32), 1, exclusive=True) < 3
        elif mask == "left":
            seen = tf.cumsum(tf.cast(seen, tf.int32), 1) >= 2
        elif mask == "never":
            seen = tf.zeros_like(seen)
        arguments["mask"] = seen
    if node.get("initial", False) and not node.get("both", False):
        start = tf.tanh(
            tf.tensordot(
                tf.reduce_mean(x, 1), node.weight("start", [int(x.shape[-1]), node.get("units", 4)]), 1
            )
        )
        arguments["initial_state"] = [start, 0.5 * start] if node.get("kind", "LSTM") == "LSTM" else [start]
    major = node.get("time_major", False) and library is tf_keras
    batch_and_steps = x.shape[:2]
    if major:
        x = tf.transpose(x, [1, 0, 2])
        if "mask" in arguments:
            arguments["mask"] = tf.transpose(arguments["mask"])
    result = layer(x, **arguments)
    if isinstance(result, (list, tuple)):
        first, states = result[0], list(result[1:])
        total = tf.add_n([tf.reduce_sum(s, -1, keepdims=True) for s in states])
        result = first + (total if len(first.shape) == 2 else total[None] if major else total[:, None])
    if major and len(result.shape) == 3:
        result = tf.transpose(result, [1, 0, 2])
    # Keras 2 forgets the shape in some graphs.
    width = node.get("units", 4) * (
        2 if node.get("both", False) and node.get("merge", "concat") == "concat" else 1
    )
    steps = [batch_and_steps[1]] if node.get("sequences", True) else []
    return known(result, [batch_and_steps[0], *steps, width])


@op
def conv_recurrent(node: Node, x: Any) -> Any:
    """ConvLSTM1D over features as places."""
    dtype = "float64" if node.exact else "float32"
    image = x[..., None]

    def make() -> Any:
        return keras.layers.ConvLSTM1D(
            node.get("filters", 2),
            3,
            padding="same",
            return_sequences=node.get("sequences", True),
            dtype=dtype,
        )

    layer = node.builder.keep((node.step["id"], "layer"), lambda: _Layer(node, image, make)).layer
    y = layer(image, training=False)
    return tf.reduce_mean(y, -1)


@op
def loop(node: Node, x: Any) -> Any:
    """A recurrent step written out, in a while loop."""
    width, units = int(x.shape[-1]), node.get("units", 4)
    kind = node.get("kind", "lstm")
    gates = {"lstm": 4, "gru": 3, "simple": 1}[kind]
    kernel = node.weight("kernel", [width, gates * units], 0.4)
    recurrent_kernel = node.weight("recurrent", [units, gates * units], 0.4)
    offset = node.weight("bias", [gates * units], 0.2)
    times = tf.transpose(x, [1, 0, 2])
    count = tf.shape(times)[0]
    zeros = tf.zeros(tf.stack([tf.shape(x)[0], units]), x.dtype)
    source = tf.TensorArray(x.dtype, count).unstack(times)
    target = tf.TensorArray(x.dtype, count, element_shape=[x.shape[0], units])
    forget = node.get("forget", 0.0)

    def body(i: Any, h: Any, c: Any, out: Any) -> Any:
        row = source.read(count - 1 - i if node.get("backwards", False) else i)
        if kind == "gru":
            a, b = tf.split(tf.matmul(row, kernel) + offset, [2 * units, units], 1)
            p, q = tf.split(tf.matmul(h, recurrent_kernel), [2 * units, units], 1)
            z, r = tf.split(tf.sigmoid(a + p), 2, 1)
            h = z * h + (1.0 - z) * tf.tanh(b + r * q)
        else:
            if node.get("joined", False):
                both = tf.matmul(tf.concat([row, h], 1), tf.concat([kernel, recurrent_kernel], 0))
                y = tf.nn.bias_add(both, offset)
            else:
                y = tf.nn.bias_add(tf.matmul(row, kernel) + tf.matmul(h, recurrent_kernel), offset)
            if kind == "simple":
                h = tf.tanh(y)
            else:
                g_i, g_f, g_c, g_o = tf.split(y, 4, 1)
                c = tf.sigmoid(g_f + forget) * c + tf.sigmoid(g_i) * tf.tanh(g_c)
                h = tf.sigmoid(g_o) * tf.tanh(c)
        return i + 1, h, c, out.write(i, h)

    limit = count if node.get("limit") is None else tf.minimum(count, node.get("limit"))
    start = (0, zeros, zeros, target)
    _, h, c, out = tf.while_loop(lambda i, *_: i < limit, body, start, maximum_iterations=node.get("maximum"))
    if node.get("sequences", True) and node.get("limit") is None and node.get("maximum") is None:
        result = tf.transpose(out.stack(), [1, 0, 2])
        return known(result, [x.shape[0], x.shape[1], units])
    return known(h + c if node.get("cell", False) else h, [x.shape[0], units])


@op
def static_batch(node: Node, x: Any) -> Any:
    return np.asarray(0.5).astype(x.dtype.as_numpy_dtype) * x
