"""Networks in float16 and bfloat16, as mixed-precision training leaves them."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from .keras_models import export
from .registry import Workspace, model


def _mixed(m: Workspace, policy: str, shape: tuple[int, ...], build: Callable[[object], object]) -> None:
    """Exports a network under a policy of mixed precision. Its golden is the same network's in float32."""

    def network(name: str) -> keras.Model:
        keras.config.set_dtype_policy(name)
        x = keras.Input(shape, name="x")
        return keras.Model(x, layers.Activation("linear", dtype="float32", name="y")(build(x)))

    try:
        narrow, wide = network(policy), network("float32")
    finally:
        keras.config.set_dtype_policy("float32")
    export(m, narrow)
    wide.set_weights([np.asarray(weight) for weight in narrow.get_weights()])
    data = m.normal(3, *shape)
    m.record("serving_default", {"x": data}, {"output_0": np.asarray(wide(data))})


@model
def mixed_cnn(m: Workspace) -> None:
    """Convolutions of all kinds, norms and activations in float16."""

    def build(x: object) -> object:
        x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU(6)(layers.BatchNormalization()(x))
        y = layers.DepthwiseConv2D(3, padding="same", activation="swish")(x)
        x = layers.Add()([x, layers.Conv2D(8, 1, activation="leaky_relu")(y)])
        x = layers.Conv2DTranspose(4, 2, strides=2, activation="gelu")(layers.MaxPooling2D()(x))
        return layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x))

    _mixed(m, "mixed_float16", (8, 8, 3), build)


@model
def mixed_encoder(m: Workspace) -> None:
    """A transformer's layer in float16."""

    def build(x: object) -> object:
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, x)]))
        dense = layers.Dense(16)(layers.Dense(32, activation="gelu")(x))
        return layers.LayerNormalization()(layers.Add()([x, dense]))

    _mixed(m, "mixed_float16", (6, 16), build)


@model
def mixed_recurrent(m: Workspace) -> None:
    """Recurrent layers in float16."""

    def build(x: object) -> object:
        x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
        return layers.SimpleRNN(4)(layers.GRU(5, return_sequences=True)(x))  # one stays a loop

    _mixed(m, "mixed_float16", (7, 5), build)


@model
def bfloat16_dense(m: Workspace) -> None:
    """Dense layers in bfloat16 and one in float32, whose factors must not be rounded."""
    x = keras.Input((4, 64), name="x")
    y = layers.Dense(48, activation="relu", dtype="mixed_bfloat16")(x)
    y = layers.LSTM(8, return_sequences=True, dtype="mixed_bfloat16")(y)
    exact = layers.Dense(48, dtype="float32", name="exact")(x)
    export(m, keras.Model(x, {"narrow": layers.Activation("linear", dtype="float32")(y), "exact": exact}))


@model
def half_dense(m: Workspace) -> None:
    """All in float16: inputs, weights, results; and what would give other results in float32."""
    kernel = tf.Variable(m.normal(6, 4).astype(np.float16), name="kernel")
    table = tf.Variable(m.normal(9, 6).astype(np.float16), name="table")
    rows = tf.TensorSpec([None, 6], tf.float16, name="x")

    @tf.function(input_signature=[rows, tf.TensorSpec([None], tf.int32, name="at")])
    def dense(x: tf.Tensor, at: tf.Tensor) -> dict[str, tf.Tensor]:
        y = tf.nn.relu(tf.matmul(x + tf.gather(table, at), kernel))
        while_loop = tf.while_loop(
            lambda i, _: i < 3, lambda i, z: (i + 1, z / 2 + tf.reduce_max(table)), [0, y]
        )
        return {"y": y, "through": x, "loop": while_loop[1]}

    @tf.function(input_signature=[rows])
    def sums(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * x + x}  # no product: rounding stays TensorFlow's

    @tf.function(input_signature=[rows])
    def steps(x: tf.Tensor) -> dict[str, tf.Tensor]:
        wide = tf.cast(tf.matmul(x, kernel), tf.float32)
        return {"y": tf.cast(wide, tf.int32)}

    @tf.function(input_signature=[rows])
    def text(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.strings.as_string(tf.matmul(x, kernel))}

    m.save({"serving_default": dense, "sums": sums, "steps": steps, "text": text}, kernel=kernel, table=table)
