"""Dense layers and attention: what the optimizer turns into ops of its own."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from .keras_models import export
from .registry import Workspace, model


def _encoder(m: Workspace, activation: str | layers.Layer) -> None:
    x = series = keras.Input((6, 16), name="series")
    for _ in range(2):
        attended = layers.MultiHeadAttention(2, 8)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        dense = layers.Dense(16)(layers.Activation(activation)(layers.Dense(32)(x)))
        x = layers.LayerNormalization()(layers.Add()([x, dense]))
    export(m, keras.Model(series, x))
    m.golden("serving_default", {"series": m.normal(3, 6, 16)})


@model
def encoder_exact(m: Workspace) -> None:
    """Two layers of a transformer's encoder, with GELU through erfc."""
    _encoder(m, "gelu")


@model
def encoder_tanh(m: Workspace) -> None:
    """The same with GELU through tanh."""
    _encoder(m, layers.Lambda(lambda x: keras.ops.gelu(x, approximate=True)))


@model
def dense_epilogues(m: Workspace) -> None:
    """A dense layer for each activation, without a bias, and on more than two dimensions."""
    x = data = keras.Input((12,), name="data")
    kinds = ["relu", "relu6", "leaky_relu", "elu", "tanh", "sigmoid", "gelu", None]
    outputs = [layers.Dense(5 + i, activation=kind)(x) for i, kind in enumerate(kinds)]
    outputs.append(layers.Dense(9, use_bias=False, activation="tanh")(x))
    outputs.append(layers.Flatten()(layers.Dense(3, activation="relu")(layers.Reshape((4, 3))(x))))
    export(m, keras.Model(data, layers.Concatenate()(outputs)))
    m.golden("serving_default", {"data": m.normal(7, 12)})


@model
def norm_forms(m: Workspace) -> None:
    """Layer normalization as people write it, and two that only look like it."""
    gamma = tf.Variable(m.normal(8), name="gamma")
    beta = tf.Variable(m.normal(8), name="beta")

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 8], tf.float32, name="x")])
    def norm(x: tf.Tensor) -> dict[str, tf.Tensor]:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        other_mean, other_variance = tf.nn.moments(x, [1], keepdims=True)
        by_hand = tf.reduce_mean(x, -1, keepdims=True)
        off = x - by_hand
        root = tf.sqrt(tf.reduce_mean(tf.square(off), -1, keepdims=True) + 1e-5)
        return {
            "batch_norm": tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3),
            "other_axis": tf.nn.batch_normalization(x, other_mean, other_variance, beta, gamma, 1e-3),
            "divided": off / root * gamma + beta,
            "no_gamma": x - tf.reduce_mean(x, -1, keepdims=True) + beta,
        }

    m.save({"serving_default": norm}, gamma=gamma, beta=beta)
    m.golden("serving_default", {"x": np.concatenate([m.normal(2, 4, 8), 2 + m.normal(1, 4, 8)])})
