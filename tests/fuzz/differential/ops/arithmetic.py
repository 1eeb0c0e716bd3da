"""Steps of one op or a few, on tensors of any shape and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..build import Node, op
from .parts import activate, per_channel


@op
def chain(node: Node, x: Any) -> Any:
    """Sums, differences, products and quotients with constants, one after the other."""
    for i, item in enumerate(node.get("chain", [])):
        how, shape = item.split(" ")
        value = per_channel(node, f"{i}", x, shape, 0.4, 1.0 if how in ("mul", "div") else 0.0)
        if how in ("add", "turned"):
            x = x + value if how == "add" else value + x
        elif how in ("sub", "from"):
            x = x - value if how == "sub" else value - x
        else:
            x = x * value if how == "mul" else x / (tf.abs(value) + 0.5)
    return activate(x, node.get("activation", "none"))


UNARY: dict[str, Any] = {
    "neg": lambda x: -x,
    "abs": tf.abs,
    "square": tf.square,
    "sqrt": lambda x: tf.sqrt(tf.abs(x)),
    "rsqrt": lambda x: tf.math.rsqrt(tf.abs(x) + 0.1),
    "reciprocal": lambda x: 1.0 / (tf.abs(x) + 0.3),
    "exp": lambda x: tf.exp(-tf.abs(x)),
    "log1p": lambda x: tf.math.log1p(tf.abs(x)),
    "log": lambda x: tf.math.log(tf.abs(x) + 0.2),
    "sin": tf.sin,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "erf": tf.math.erf,
    "cube": lambda x: tf.pow(x, 3.0),
    "double_neg": lambda x: tf.negative(tf.negative(x)),
    "zero": lambda x: x - x,
    "one": lambda x: x * 0.0 + 1.0,
    "itself": lambda x: tf.maximum(x, x),
    "identity": tf.identity,
    "stop": tf.stop_gradient,
    "half": lambda x: x / 2.0,
    "sign": lambda x: tf.sign(x) * x,
    "cast": lambda x: tf.cast(tf.cast(x, tf.float64), x.dtype),
    "where": lambda x: tf.where(x > 0, x, 0.1 * x),
    "where_nan": lambda x: tf.where(tf.math.is_finite(x), x, tf.zeros_like(x)),
    "softmax": lambda x: tf.nn.softmax(x),
}


@op
def unary(node: Node, x: Any) -> Any:
    return UNARY[node.get("kind", "neg")](x)


BINARY: dict[str, Any] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (tf.abs(y) + 0.3),
    "no_nan": tf.math.multiply_no_nan,
    "div_no_nan": tf.math.divide_no_nan,
    "max": tf.maximum,
    "min": tf.minimum,
    "squared_difference": tf.math.squared_difference,
    "add_n": lambda x, y: tf.add_n([x, y, x]) if x.shape == y.shape else x + y,
    "fma": lambda x, y: x * y + x,
    "where": lambda x, y: tf.where(x > y, x, y),
    "stack": lambda x, y: tf.reduce_sum(tf.stack([x + 0.0 * y, y + 0.0 * x]), 0),
}


@op
def binary(node: Node, x: Any, y: Any) -> Any:
    return BINARY[node.get("kind", "add")](x, y)


@op
def with_constant(node: Node, x: Any) -> Any:
    """The other operand broadcasts, or makes `x` broadcast."""
    y = node.weight("other", node.get("shape", []), node.get("scale", 0.5), node.get("mean", 0.3))
    kind = node.get("kind", "add")
    return BINARY[kind](y, x) if node.get("turned", False) else BINARY[kind](x, y)


@op
def reduced(node: Node, x: Any) -> Any:
    run = {
        "sum": tf.reduce_sum,
        "mean": tf.reduce_mean,
        "max": tf.reduce_max,
        "min": tf.reduce_min,
        "prod": lambda v, *a, **k: tf.reduce_prod(tf.tanh(v), *a, **k),
        "logsumexp": tf.reduce_logsumexp,
        "norm": lambda v, *a, **k: tf.sqrt(tf.reduce_sum(tf.square(v), *a, **k)),
    }[node.get("kind", "sum")]
    axes = sorted({a % max(1, len(x.shape)) for a in node.get("axes", [-1])}) if len(x.shape) else []
    return run(x, axis=axes, keepdims=node.get("keep", True)) if axes else run(x)


@op
def shaped(node: Node, x: Any) -> Any:
    kind = node.get("kind", "flat")
    rank = len(x.shape)
    if kind == "expanded":
        return tf.expand_dims(x, node.get("axis", 0) % (rank + 1))
    if kind == "flat":
        return tf.reshape(x, [-1])
    if kind == "turned":
        return tf.transpose(x)
    if kind == "there_and_back":
        return tf.transpose(tf.tanh(tf.transpose(x)))
    if kind == "tiled":
        return tf.tile(x, [2] * rank)
    if kind == "cut" and rank:
        return x[..., 1:]
    if kind == "strided" and rank:
        return x[..., ::2]
    if kind == "concat" and rank:
        return tf.concat([x, -x], rank - 1)
    if kind == "split" and rank:
        return tf.concat(list(reversed(tf.split(tf.concat([x, x + 1.0], rank - 1), 2, rank - 1))), rank - 1)
    if kind == "pad":
        return tf.pad(x, [[1, 0]] * rank)
    if kind == "gather" and rank:
        return tf.gather(x, tf.zeros([2], tf.int32), axis=rank - 1)
    return tf.squeeze(x)


WHOLE: dict[str, Any] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "max": tf.maximum,
    "min": tf.minimum,
    "floordiv": lambda x, y: x // (tf.math.floormod(y, 5) + 1),
    "mod": lambda x, y: x % (tf.math.floormod(y, 5) + 1),
    "equal": lambda x, y: tf.cast(tf.equal(x, y), x.dtype),
    "less": lambda x, y: tf.cast(x < y, x.dtype),
    "square": lambda x, y: tf.square(x % 100),
}


@op
def whole(node: Node, x: Any) -> Any:
    """Integers."""
    value = node.random("whole").integers(-4, 9, size=node.get("shape", []))
    return WHOLE[node.get("kind", "add")](x, tf.constant(np.asarray(value), x.dtype))


@op
def to_float(node: Node, x: Any) -> Any:
    return tf.cast(x, node.dtype) * node.constant(0.1)
