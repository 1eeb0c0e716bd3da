"""Activations, norms and biases in the spellings that people use, and near misses of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ..build import Node

Spelling = Callable[[Any], Any]


def _gelu_cube(x: Any) -> Any:
    return 0.5 * x * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * tf.pow(x, 3))))


def _gelu_cube_products(x: Any) -> Any:
    return x * 0.5 * (1.0 + tf.tanh(0.7978845608 * x * (1.0 + 0.044715 * x * x)))


ACTIVATIONS: dict[str, Spelling] = {
    "none": lambda x: x,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.2),
    "leaky_maximum": lambda x: tf.maximum(x, 0.1 * x),
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "swish": tf.nn.silu,
    "swish_by_hand": lambda x: x * tf.sigmoid(x),
    "swish_turned": lambda x: tf.sigmoid(x) * x,
    "swish_1.702": lambda x: x * tf.sigmoid(1.702 * x),
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3.0) / 6.0,
    "hard_swish_factor": lambda x: x * (tf.nn.relu6(x + 3.0) * (1.0 / 6.0)),
    "hard_swish_clipped": lambda x: x * tf.clip_by_value(x / 6.0 + 0.5, 0.0, 1.0),
    "hard_swish_shifted": lambda x: x * tf.nn.relu6(x + 3.5) / 6.0,
    "hard_sigmoid": lambda x: tf.nn.relu6(x + 3.0) / 6.0,
    "hard_sigmoid_0.2": lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0),
    "gelu": tf.nn.gelu,
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "gelu_erf": lambda x: 0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2.0))),
    "gelu_erfc": lambda x: 0.5 * x * tf.math.erfc(-x * math.sqrt(0.5)),
    "gelu_cube": _gelu_cube,
    "gelu_cube_products": _gelu_cube_products,
    "gelu_near": lambda x: 0.5 * x * (1.0 + tf.math.erf(x / 1.5)),
    "mish": lambda x: x * tf.tanh(tf.nn.softplus(x)),
    "clip": lambda x: tf.clip_by_value(x, -1.0, 2.0),
    "maximum_0": lambda x: tf.maximum(x, 0.0),
    "capped": lambda x: tf.minimum(tf.nn.relu(x), 3.0),
    "abs": tf.abs,
    "twice": lambda x: tf.nn.relu(x) + tf.sigmoid(x),
    "negative": lambda x: -tf.nn.relu(-x),
}


def known(x: Any, shape: Any) -> Any:
    """Of a shape that TensorFlow could not tell; no op is added, which a pass would see."""
    x.set_shape(shape)
    return x


def activate(x: Any, name: str) -> Any:
    return ACTIVATIONS[name](x)


def per_channel(node: Node, key: str, x: Any, shape: str, scale: float, mean: float) -> Any:
    """Values that are added to `x` or multiplied with it: for each channel, for all, or in between."""
    channels = int(x.shape[-1])
    rank = len(x.shape)
    shapes: dict[str, list[int]] = {
        "channel": [channels],
        "ranked": [1] * (rank - 1) + [channels],
        "one": [1],
        "ones": [1] * rank,
        "scalar": [],
        "short": [1, channels],
    }
    return node.weight(key, shapes[shape], scale, mean)


def bias(node: Node, x: Any, key: str = "bias") -> Any:
    kind = node.get(key, "none")
    if kind == "none":
        return x
    if kind == "bias_add":
        return tf.nn.bias_add(x, node.weight(key, [int(x.shape[-1])], 0.3))
    how, shape = kind.split(" ")
    value = per_channel(node, key, x, shape, 0.3, 1.0 if how in ("mul", "div") else 0.0)
    if how == "add":
        return x + value
    if how == "turned":
        return value + x
    if how == "sub":
        return x - value
    if how == "from":
        return value - x
    return x * value if how == "mul" else x / (tf.abs(value) + 0.5)


BIASES = [
    "none",
    "bias_add",
    "bias_add",
    "add channel",
    "add ranked",
    "add ones",
    "add scalar",
    "turned channel",
]
SCALES = [
    "none",
    "none",
    "mul channel",
    "mul ranked",
    "mul scalar",
    "div channel",
    "sub channel",
    "from channel",
]


def fused_batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float) -> Any:
    """The op, whose statistics are never narrower than float32. Without a mean it takes the batch's."""
    statistics = [None if one is None else tf.cast(one, tf.float32) for one in (gamma, beta, mean, variance)]
    return tf.compat.v1.nn.fused_batch_norm(x, *statistics, epsilon=epsilon, is_training=mean is None)[0]


def batch_norm(node: Node, x: Any, kind: str) -> Any:
    """Over the last axis, with statistics that are known."""
    if kind == "none":
        return x
    channels = int(x.shape[-1])
    mean = node.weight("mean", [channels], 0.3)
    spread = node.values("variance", [channels], 0.3)
    variance = node.tensor("variance", np.abs(spread) + spread.dtype.type(0.3))
    gamma = node.weight("gamma", [channels], 0.3, 1.0)
    beta = node.weight("beta", [channels], 0.3)
    epsilon = node.get("epsilon", 1e-3)
    if kind == "fused" and not node.exact and len(x.shape) == 4:
        return fused_batch_norm(x, gamma, beta, mean, variance, epsilon)
    if kind == "divided":
        return (x - mean) / tf.sqrt(variance + epsilon) * gamma + beta
    if kind == "by_hand":
        return gamma * (x - mean) * tf.math.rsqrt(variance + epsilon) + beta
    if kind == "factor":
        factor = gamma * tf.math.rsqrt(variance + epsilon)
        return x * factor + (beta - mean * factor)
    if kind == "training":
        axes = list(range(len(x.shape) - 1))
        if not node.exact and len(x.shape) == 4:
            return fused_batch_norm(x, gamma, beta, None, None, epsilon)
        mean, variance = tf.nn.moments(x, axes)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


NORMS = ["none", "none", "fused", "fused", "function", "divided", "by_hand", "factor", "training"]


def layer_norm(node: Node, x: Any, kind: str, key: str = "") -> Any:
    """Over the last axis, with statistics of each row."""
    epsilon = node.get("epsilon", 1e-3)
    axis = node.get("axis", -1)
    size = int(x.shape[-1])
    gamma = node.weight(key + "gamma", [size], 0.3, 1.0) if node.get("gamma", True) else None
    beta = node.weight(key + "beta", [size], 0.3) if node.get("beta", True) else None

    def scaled(y: Any) -> Any:
        y = y if gamma is None else y * gamma
        return y if beta is None else y + beta

    if kind == "function":
        mean, variance = tf.nn.moments(x, [axis], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)
    if kind == "rms":
        return scaled(x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis, keepdims=True) + epsilon))
    mean = tf.reduce_mean(x, axis, keepdims=True)
    off = x - mean
    if kind == "centred":
        return scaled(off)
    if kind == "std":
        return scaled(off / (tf.math.reduce_std(x, axis, keepdims=True) + epsilon))
    if kind == "mean_of_squares":
        variance = tf.reduce_mean(tf.square(x), axis, keepdims=True) - tf.square(mean)
        return scaled(off * tf.math.rsqrt(tf.nn.relu(variance) + epsilon))
    square = tf.math.squared_difference(x, mean) if kind == "rsqrt" else tf.square(off)
    variance = tf.reduce_mean(square, axis, keepdims=True)
    if kind in ("rsqrt", "rsqrt_square"):
        return scaled(off * tf.math.rsqrt(variance + epsilon))
    if kind == "factor":
        factor = tf.math.rsqrt(variance + epsilon) * (1.0 if gamma is None else gamma)
        return x * factor + ((0.0 if beta is None else beta) - mean * factor)
    return scaled(off / tf.sqrt(variance + epsilon))


LAYER_NORMS = [
    "function",
    "rsqrt",
    "rsqrt_square",
    "divided",
    "factor",
    "rms",
    "centred",
    "std",
    "mean_of_squares",
]
