"""Steps on images (NHWC)."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from ..build import Node, op
from .parts import activate, batch_norm, bias, fused_batch_norm, known


def _padding(node: Node) -> Any:
    padding = node.get("padding", "SAME")
    return [[0, 0], *padding, [0, 0]] if isinstance(padding, list) else padding


def _conv(node: Node, x: Any, filters: int, kernel: list[int], key: str = "kernel") -> Any:
    channels = int(x.shape[-1])
    groups = math.gcd(math.gcd(node.get("groups", 1), channels), filters)
    weights = node.weight(key, [*kernel, channels // groups, filters])
    strides, dilations = node.get("stride", [1, 1]), node.get("dilation", [1, 1])
    padding = _padding(node)
    if node.exact and isinstance(padding, list):
        x, padding = tf.pad(x, padding), "VALID"
    if not node.exact or groups == 1:
        return tf.nn.conv2d(x, weights, strides, padding, dilations=dilations)
    parts = zip(tf.split(x, groups, -1), tf.split(weights, groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(a, w, strides, padding, dilations=dilations) for a, w in parts], -1)


def _behind(node: Node, x: Any) -> Any:
    """What follows the product of a layer, in the order that the step says."""
    for part in node.get("order", ["bias", "scale", "norm"]):
        if part in ("bias", "scale"):
            x = bias(node, x, part)
        else:
            x = batch_norm(node, x, node.get("norm", "none"))
    return activate(x, node.get("activation", "none"))


@op
def conv(node: Node, x: Any) -> Any:
    x = bias(node, x, "before")
    if node.get("pad") is not None:
        x = tf.pad(x, [[0, 0], *node.get("pad"), [0, 0]])
    return _behind(node, _conv(node, x, node.get("filters", 4), node.get("kernel", [3, 3])))


@op
def depthwise(node: Node, x: Any) -> Any:
    if node.get("pad") is not None:
        x = tf.pad(x, [[0, 0], *node.get("pad"), [0, 0]])
    weights = node.weight(
        "kernel", [*node.get("kernel", [3, 3]), int(x.shape[-1]), node.get("multiplier", 1)], 0.3
    )
    stride = node.get("stride", [1, 1])[0]
    padding = _padding(node)
    if node.exact and isinstance(padding, list):
        x, padding = tf.pad(x, padding), "VALID"
    y = tf.nn.depthwise_conv2d(
        x, weights, [1, stride, stride, 1], padding, dilations=node.get("dilation", [1, 1])
    )
    return _behind(node, y)


@op
def separable(node: Node, x: Any) -> Any:
    channels, multiplier = int(x.shape[-1]), node.get("multiplier", 1)
    depth = node.weight("depth", [*node.get("kernel", [3, 3]), channels, multiplier], 0.3)
    point = node.weight("point", [1, 1, channels * multiplier, node.get("filters", 4)])
    return _behind(node, tf.nn.separable_conv2d(x, depth, point, [1, 1, 1, 1], "SAME"))


@op
def conv_transpose(node: Node, x: Any) -> Any:
    filters, stride = node.get("filters", 4), node.get("stride", [2, 2])[0]
    weights = node.weight("kernel", [*node.get("kernel", [3, 3]), filters, int(x.shape[-1])], 0.2)
    shape = tf.shape(x)
    target = tf.stack([shape[0], shape[1] * stride, shape[2] * stride, filters])
    y = tf.nn.conv2d_transpose(x, weights, target, [stride, stride], "SAME")
    return _behind(node, known(y, [x.shape[0], None, None, filters]))


@op
def conv3d(node: Node, x: Any) -> Any:
    weights = node.weight("kernel", [2, 3, 3, int(x.shape[-1]), node.get("filters", 4)])
    y = tf.nn.conv3d(tf.stack([x, x], 1), weights, [1, 1, 1, 1, 1], "SAME")
    return _behind(node, tf.reduce_mean(y, 1))


@op
def batch_norms(node: Node, x: Any) -> Any:
    return activate(batch_norm(node, x, node.get("norm", "fused")), node.get("activation", "none"))


@op
def pad(node: Node, x: Any) -> Any:
    amounts = [[0, 0], *node.get("amounts", [[1, 1], [1, 1]]), [0, 0]]
    mode = node.get("mode", "CONSTANT")
    if mode == "value":
        return tf.pad(x, amounts, constant_values=node.get("value", 1.0))
    return tf.pad(x, amounts, mode)


@op
def pool(node: Node, x: Any) -> Any:
    size, stride, padding = node.get("size", 2), node.get("stride", 2), node.get("padding", "SAME")
    run = tf.nn.max_pool2d if node.get("kind", "max") == "max" else tf.nn.avg_pool2d
    return run(x, size, stride, padding)


@op
def squeeze_excite(node: Node, x: Any) -> Any:
    channels = int(x.shape[-1])
    hidden = node.get("hidden", 2)
    if node.get("dense", False):
        mean = tf.reduce_mean(x, [1, 2])
        first = tf.matmul(mean, node.weight("first", [channels, hidden]))
        second = tf.matmul(
            activate(bias(node, first, "bias"), node.get("activation", "relu")),
            node.weight("second", [hidden, channels]),
        )
        factor = activate(bias(node, second, "scale"), node.get("gate", "sigmoid"))
        factor = tf.reshape(factor, [-1, 1, 1, channels])
    else:
        mean = tf.reduce_mean(x, node.get("axes", [1, 2]), keepdims=True)
        first = tf.nn.conv2d(mean, node.weight("first", [1, 1, channels, hidden]), 1, "SAME")
        second = tf.nn.conv2d(
            activate(bias(node, first, "bias"), node.get("activation", "relu")),
            node.weight("second", [1, 1, hidden, channels]),
            1,
            "SAME",
        )
        factor = activate(bias(node, second, "scale"), node.get("gate", "sigmoid"))
    y = factor * x if node.get("turned", False) else x * factor
    return y + factor if node.get("twice", False) else y


@op
def bottleneck(node: Node, x: Any) -> Any:
    """Expand, convolve each channel, project; with batch norms and the input added."""
    channels = int(x.shape[-1])
    wide, out = channels * node.get("expansion", 2), node.get("filters", channels)
    stride = node.get("stride", [1, 1])[0]

    def norm(y: Any, key: str) -> Any:
        kind = node.get("norm", "fused")
        if kind == "bias":
            return tf.nn.bias_add(y, node.weight(key + "bias", [int(y.shape[-1])], 0.3))
        factor = node.weight(key + "factor", [int(y.shape[-1])], 0.2, 1.0)
        shift = node.weight(key + "shift", [int(y.shape[-1])], 0.2)
        if kind != "fused" or node.exact:
            return y * factor + shift
        ones, zeros = tf.ones_like(shift), tf.zeros_like(shift)
        return fused_batch_norm(y, factor, shift, zeros, ones, 0.0)

    y = x
    if node.get("expand", True):
        y = norm(tf.nn.conv2d(x, node.weight("expand", [1, 1, channels, wide]), 1, "SAME"), "expand")
        y = activate(y, node.get("activation", "relu6"))
    depth = node.weight("depth", [*node.get("kernel", [3, 3]), int(y.shape[-1]), 1], 0.3)
    y = tf.nn.depthwise_conv2d(y, depth, [1, stride, stride, 1], node.get("padding", "SAME"))
    middle = y = activate(norm(y, "depth"), node.get("activation", "relu6"))
    y = norm(tf.nn.conv2d(y, node.weight("project", [1, 1, int(y.shape[-1]), out]), 1, "SAME"), "project")
    y = activate(y, node.get("last", "none"))
    if node.get("seen", False):
        y = y + tf.reduce_mean(middle, [1, 2, 3], keepdims=True)
    if (
        node.get("residual", True)
        and stride == 1
        and out == channels
        and node.get("padding", "SAME") == "SAME"
    ):
        y = x + y if node.get("turned", False) else y + x
    return y


@op
def residual(node: Node, x: Any) -> Any:
    """Two convolutions, and what came in added; a projection where channels differ."""
    filters, kernel = node.get("filters", 4), node.get("kernel", [3, 3])
    y = activate(_conv(node, x, filters, kernel, "first"), node.get("activation", "relu"))
    y = _behind_without_activation(node, _conv(node, y, filters, kernel, "second"))
    if int(x.shape[-1]) != filters or node.get("project", False) or node.get("stride", [1, 1]) != [1, 1]:
        size = node.get("stride", [1, 1])[0] ** 2
        x = tf.nn.conv2d(x, node.weight("project", [1, 1, int(x.shape[-1]), filters]), size, "SAME")
    total = x + y if node.get("turned", False) else y + x
    if node.get("shared", False):
        total = tf.add_n([total, x, y])
    return activate(total, node.get("last", "relu"))


def _behind_without_activation(node: Node, x: Any) -> Any:
    return batch_norm(node, bias(node, x), node.get("norm", "none"))


@op
def join(node: Node, x: Any) -> Any:
    """Branches of one image put together."""
    filters = node.get("filters", 4)
    parts = [
        activate(
            tf.nn.conv2d(x, node.weight(f"branch{i}", [k, k, int(x.shape[-1]), filters]), 1, "SAME"), "relu"
        )
        for i, k in enumerate(node.get("kernels", [1, 3]))
    ]
    if node.get("how", "concat") == "concat":
        return tf.concat([*parts, x], -1)
    total = parts[0]
    for part in parts[1:]:
        total = total + part if node.get("how") == "sum" else total * part
    return total


@op
def shuffle(node: Node, x: Any) -> Any:
    channels = int(x.shape[-1])
    groups = math.gcd(node.get("groups", 2), channels)
    shape = tf.shape(x)
    y = tf.reshape(x, tf.stack([shape[0], shape[1], shape[2], groups, channels // groups]))
    y = tf.transpose(y, [0, 1, 2, 4, 3])
    return known(tf.reshape(y, shape), x.shape)


@op
def resize(node: Node, x: Any) -> Any:
    kind = node.get("kind", "nearest")
    if kind == "depth_to_space":
        return tf.nn.depth_to_space(tf.concat([x, x, x, x], -1), 2)
    if kind == "transposed":
        return tf.transpose(x, [0, 2, 1, 3])
    if kind == "reversed":
        return tf.reverse(x, [1])
    if kind == "cut":
        return x[:, :-1, 1:, :]
    if kind == "nhwc":
        y = tf.transpose(tf.nn.relu(tf.transpose(x, [0, 3, 1, 2])), [0, 2, 3, 1])
        return y
    shape = tf.shape(x)
    return (
        tf.repeat(tf.repeat(x, 2, 1), 2, 2)
        if kind == "nearest"
        else tf.image.flip_left_right(tf.reshape(x, shape))
    )


@op
def activation(node: Node, x: Any) -> Any:
    return activate(x, node.get("activation", "relu"))


@op
def pooled(node: Node, x: Any) -> Any:
    """Images to rows."""
    axes = node.get("axes", [1, 2])
    run = {"mean": tf.reduce_mean, "max": tf.reduce_max, "sum": tf.reduce_sum}[node.get("kind", "mean")]
    return tf.reshape(run(x, axes, keepdims=True), [-1, int(x.shape[-1])])


@op
def as_rows(node: Node, x: Any) -> Any:
    """Pixels as a sequence."""
    shape = tf.shape(x)
    return tf.reshape(x, tf.stack([shape[0], shape[1] * shape[2], int(x.shape[-1])]))
