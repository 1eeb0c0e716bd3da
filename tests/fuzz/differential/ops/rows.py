"""Steps on rows: dense layers, attention, norms."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from ..build import Node, op
from .parts import activate, batch_norm, bias, known, layer_norm


@op
def dense(node: Node, x: Any) -> Any:
    width, units = int(x.shape[-1]), node.get("units", 4)
    how = node.get("how", "tensordot" if len(x.shape) > 2 else "matmul")
    turned = node.get("turned", False)
    weights = node.weight("kernel", [units, width] if turned else [width, units], 1 / math.sqrt(width))
    if how == "einsum":
        letters = "abcefgh"[: len(x.shape) - 1]
        y = tf.einsum(f"{letters}d,{'ud' if turned else 'du'}->{letters}u", x, weights)
    elif how == "tensordot":
        y = tf.tensordot(x, weights, [[len(x.shape) - 1], [1 if turned else 0]])
    elif how == "reshaped":
        shape = tf.shape(x)
        y = tf.matmul(tf.reshape(x, [-1, width]), weights, transpose_b=turned)
        y = known(tf.reshape(y, tf.concat([shape[:-1], [units]], 0)), [*x.shape[:-1], units])
    elif how == "conv1d" and len(x.shape) == 3:
        kernel = tf.transpose(weights) if turned else weights
        y = tf.nn.conv1d(x, tf.reshape(kernel, [1, width, units]), 1, "SAME")
    else:
        y = tf.matmul(x, weights, transpose_b=turned)
    for part in node.get("order", ["bias", "scale", "norm"]):
        y = batch_norm(node, y, node.get("norm", "none")) if part == "norm" else bias(node, y, part)
    return activate(y, node.get("activation", "none"))


@op
def conv1d(node: Node, x: Any) -> Any:
    filters, size = node.get("filters", 4), node.get("size", 3)
    kernel = node.weight("kernel", [size, int(x.shape[-1]), filters])
    padding = node.get("padding", "SAME")
    if padding == "causal":
        x, padding = tf.pad(x, [[0, 0], [size - 1, 0], [0, 0]]), "VALID"
    y = tf.nn.conv1d(x, kernel, node.get("stride", 1), padding, dilations=node.get("dilation", 1))
    return activate(batch_norm(node, bias(node, y), node.get("norm", "none")), node.get("activation", "none"))


@op
def norm(node: Node, x: Any) -> Any:
    return activate(layer_norm(node, x, node.get("kind", "function")), node.get("activation", "none"))


@op
def softmax(node: Node, x: Any) -> Any:
    kind, axis = node.get("kind", "function"), node.get("axis", -1)
    if kind == "function":
        return tf.nn.softmax(x, axis)
    if kind == "log":
        return tf.nn.log_softmax(x, axis)
    if kind == "shifted":
        x = x - tf.reduce_max(x, axis, keepdims=True)
    if kind == "scaled":
        return tf.nn.softmax(x * 0.25 + 1.0, axis)
    powers = tf.exp(x)
    return powers / tf.reduce_sum(powers, axis, keepdims=True)


def _heads(node: Node, x: Any, key: str, heads: int, depth: int) -> Any:
    """[sample, position, head, depth]"""
    width = int(x.shape[-1])
    if node.get("project", "einsum") == "einsum":
        y = tf.einsum("btd,dnh->btnh", x, node.weight(key, [width, heads, depth], 1 / math.sqrt(width)))
        return y + node.weight(key + "bias", [heads, depth], 0.2) if node.get("bias", True) else y
    y = tf.tensordot(x, node.weight(key, [width, heads * depth]), 1)
    y = tf.nn.bias_add(y, node.weight(key + "bias", [heads * depth], 0.2)) if node.get("bias", True) else y
    shape = tf.shape(x)
    return tf.reshape(y, tf.stack([shape[0], shape[1], heads, depth]))


def _mask(node: Node, scores: Any, source: Any) -> Any:
    """Scores [b, n, t, s] with a mask; `source` says which keys count."""
    kind = node.get("mask", "none")
    queries, keys = tf.shape(scores)[2], tf.shape(scores)[3]
    low = node.constant(node.get("low", -1e9))
    seen = source[:, :, 0] > -0.5  # [b, s]
    if kind == "keys":
        return scores + (1.0 - tf.cast(seen, scores.dtype))[:, None, None, :] * low
    if kind == "where":
        return tf.where(seen[:, None, None, :], scores, low)
    if kind == "select":
        return tf.where(tf.broadcast_to(seen[:, None, None, :], tf.shape(scores)), scores, low)
    if kind == "causal":
        places = tf.range(queries)[:, None] >= tf.range(keys)[None, :]
        return tf.where(places, scores, low)
    if kind == "causal_sum":
        places = tf.linalg.band_part(tf.ones([queries, keys], scores.dtype), -1, 0)
        return scores + (1.0 - places) * low
    if kind == "both":
        places = tf.cast(tf.range(queries)[:, None] >= tf.range(keys)[None, :], scores.dtype)
        return scores + (1.0 - places * tf.cast(seen, scores.dtype)[:, None, None, :]) * low
    if kind == "heads":
        heads = node.get("heads", 2)
        slope = node.weight("slope", [heads, 1, 1], 0.3)
        distance = tf.cast(tf.range(queries)[:, None] - tf.range(keys)[None, :], scores.dtype)
        return scores + slope * distance
    if kind == "turned":
        return (1.0 - tf.cast(seen, scores.dtype))[:, None, None, :] * low + scores
    return scores


@op
def attention(node: Node, x: Any, source: Any) -> Any:
    heads, depth = node.get("heads", 2), node.get("depth", 4)
    key_heads = math.gcd(node.get("key_heads", heads), heads)
    value_depth = node.get("value_depth", depth)
    query = _heads(node, x, "query", heads, depth)
    key = _heads(node, source, "key", key_heads, depth)
    value = _heads(node, source, "value", key_heads, value_depth)
    if key_heads != heads:
        key, value = (tf.repeat(t, heads // key_heads, axis=2) for t in (key, value))
    factor = node.get("factor", 1 / math.sqrt(depth))
    scaled = node.get("scaled", "query")
    query = query * factor if scaled == "query" else query
    key = key * factor if scaled == "key" else key
    how = node.get("how", "einsum")
    if how == "matmul":
        query, key, value = (tf.transpose(t, [0, 2, 1, 3]) for t in (query, key, value))
        scores = tf.matmul(query, key, transpose_b=True)
    elif how == "key_turned":
        query, value = tf.transpose(query, [0, 2, 1, 3]), tf.transpose(value, [0, 2, 1, 3])
        scores = tf.matmul(query, tf.transpose(key, [0, 2, 3, 1]))
    elif how == "swapped":
        scores = tf.einsum("bsnh,btnh->bnts", key, query)
    else:
        scores = tf.einsum("btnh,bsnh->bnts", query, key)
    scores = scores * factor if scaled == "scores" else scores
    scores = scores / (1 / factor) if scaled == "divided" else scores
    if node.get("cap", False):
        scores = 5.0 * tf.tanh(scores / 5.0)
    scores = _mask(node, scores, source)
    if node.get("softmax", "function") == "function":
        weights = tf.nn.softmax(scores)
    else:
        powers = tf.exp(scores - tf.reduce_max(scores, -1, keepdims=True))
        weights = powers / tf.reduce_sum(powers, -1, keepdims=True)
    if how in ("matmul", "key_turned"):
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
    elif how == "swapped":
        mixed = tf.einsum("bsnh,bnts->btnh", value, weights)
    else:
        mixed = tf.einsum("bnts,bsnh->btnh", weights, value)
    out = node.get("out", int(x.shape[-1]))
    if node.get("project", "einsum") == "einsum":
        kernel = node.weight("out", [heads, value_depth, out], 1 / math.sqrt(heads * value_depth))
        y = tf.einsum("btnh,nhd->btd", mixed, kernel)
    else:
        shape = tf.shape(mixed)
        rows = tf.reshape(mixed, tf.stack([shape[0], shape[1], heads * value_depth]))
        y = tf.tensordot(rows, node.weight("out", [heads * value_depth, out]), 1)
    y = known(y, [*x.shape[:2], out])
    if node.get("seen", False):
        y = y + tf.reduce_max(weights)
    return y + x if node.get("residual", False) and out == int(x.shape[-1]) else y


@op
def plain_attention(node: Node, x: Any, source: Any) -> Any:
    """Of one head, without projections."""
    scores = tf.matmul(x, source, transpose_b=True) * node.get("factor", 0.3)
    return tf.matmul(tf.nn.softmax(scores), source)


@op
def feed_forward(node: Node, x: Any) -> Any:
    width = int(x.shape[-1])
    first = tf.tensordot(x, node.weight("first", [width, node.get("hidden", 8)]), 1)
    first = activate(bias(node, first), node.get("activation", "gelu"))
    if node.get("gated", False):
        first = first * tf.tensordot(x, node.weight("gate", [width, node.get("hidden", 8)]), 1)
    y = bias(node, tf.tensordot(first, node.weight("second", [node.get("hidden", 8), width]), 1), "last")
    y = x + y if node.get("turned", False) else y + x
    return layer_norm(node, y, node.get("norm", "function")) if node.get("norm", "none") != "none" else y


@op
def product(node: Node, x: Any, y: Any) -> Any:
    """Of two that are both computed."""
    kind = node.get("kind", "sum")
    if kind == "matmul":
        return (
            tf.matmul(x, y, transpose_a=True)
            if node.get("first", False)
            else tf.matmul(x, y, transpose_b=True)
        )
    if kind == "concat":
        return tf.concat([x, y], node.get("axis", -1))
    if kind == "sum":
        return x + y
    return x * y if kind == "product" else tf.maximum(x, y)


@op
def positions(node: Node, x: Any) -> Any:
    """Learned ones, added; or rotated in pairs."""
    width, steps = int(x.shape[-1]), tf.shape(x)[1]
    if node.get("kind", "learned") == "learned" or width % 2:
        return x + node.weight("table", [64, width], 0.3)[:steps]
    angles = tf.cast(tf.range(steps), x.dtype)[:, None] * node.weight("speeds", [width // 2], 1.0)
    left, right = tf.split(x, 2, -1)
    sine, cosine = tf.sin(angles), tf.cos(angles)
    return tf.concat([left * cosine - right * sine, right * cosine + left * sine], -1)


@op
def embedding(node: Node, ids: Any) -> Any:
    table = node.weight("table", [node.get("size", 10), node.get("units", 4)], 1.0)
    return (
        tf.gather(table, ids) if node.get("how", "gather") == "gather" else tf.nn.embedding_lookup(table, ids)
    )


@op
def moved(node: Node, x: Any) -> Any:
    """Rows that change places."""
    kind = node.get("kind", "transposed")
    if kind == "transposed":
        return tf.transpose(tf.transpose(x, [0, 2, 1]) * 1.5, [0, 2, 1])
    if kind == "reversed":
        return tf.reverse(x, [1])
    if kind == "cut":
        return x[:, 1:]
    if kind == "first":
        return x[:, :1]
    if kind == "shifted":
        return tf.pad(x, [[0, 0], [1, 0], [0, 0]])[:, :-1]
    if kind == "cumsum":
        return tf.cumsum(x, 1) * 0.1
    return tf.concat([x, x], 1)


@op
def last(node: Node, x: Any) -> Any:
    """Sequences to rows."""
    kind = node.get("kind", "mean")
    if kind == "mean":
        return tf.reduce_mean(x, 1)
    return tf.reduce_max(x, 1) if kind == "max" else x[:, -1] if kind == "last" else x[:, 0]


@op
def spread(node: Node, x: Any) -> Any:
    """Rows to sequences."""
    return tf.stack([x, x * 0.5, -x], 1)
