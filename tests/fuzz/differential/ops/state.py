"""Control flow, functions, and variables that a signature writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..build import Node, op
from .parts import activate, known


def _affine(node: Node, x: Any, key: str) -> Any:
    width = int(x.shape[-1])
    y = tf.matmul(x, node.weight(key, [width, width])) + node.weight(key + "bias", [width], 0.2)
    return activate(y, node.get("activation", "relu"))


@op
def branch(node: Node, x: Any) -> Any:
    weights = [_affine(node, x, "outside")] if node.get("outside", False) else [x]
    kind = node.get("kind", "data")
    test = {
        "data": lambda: tf.reduce_sum(x) > node.get("level", 0.0),
        "size": lambda: tf.size(x) > 8,
        "always": lambda: tf.constant(True),
        "never": lambda: tf.constant(False),
    }[kind]()
    first = node.weight("first", [int(x.shape[-1])], 0.5)
    width = int(x.shape[-1])
    kernel = node.weight("kernel", [width, width])
    return tf.cond(
        test,
        lambda: activate(tf.matmul(weights[0], kernel) + first, node.get("activation", "relu")),
        lambda: weights[0] * first - 1.0,
    )


@op
def switch(node: Node, x: Any) -> Any:
    kernel = node.weight("kernel", [int(x.shape[-1])], 0.5)
    which = tf.math.floormod(tf.size(x), 3)
    return tf.switch_case(
        which, [lambda: x * kernel, lambda: tf.nn.relu(x) + kernel, lambda: tf.nn.softmax(x)]
    )


@op
def repeat(node: Node, x: Any) -> Any:
    """A loop of layers."""
    width = int(x.shape[-1])
    kernel = node.weight("kernel", [width, width])
    offset = node.weight("offset", [width], 0.2)
    count: Any = node.get("count", 3)
    if node.get("from_data", False):
        count = tf.minimum(tf.shape(x)[0], count)

    def body(i: Any, y: Any) -> Any:
        z = activate(tf.nn.bias_add(tf.matmul(y, kernel), offset), node.get("activation", "tanh"))
        if node.get("inner", False):
            z = tf.cond(i % 2 > 0, lambda: z * 0.5, lambda: z + 1.0)
        return i + 1, z

    shapes = [tf.TensorShape([]), x.shape]
    return tf.while_loop(lambda i, _: i < count, body, [0, x], shape_invariants=shapes)[1]


@op
def nested(node: Node, x: Any) -> Any:
    kernel = node.weight("kernel", [int(x.shape[-1])], 0.5)

    def inner(i: Any, y: Any) -> Any:
        return tf.while_loop(lambda j, _: j < i, lambda j, z: (j + 1, tf.tanh(z * kernel)), (0, y))[1]

    return tf.while_loop(
        lambda i, _: i < node.get("count", 3), lambda i, y: (i + 1, inner(i, y) + 0.1), (0, x)
    )[1]


@op
def mapped(node: Node, x: Any) -> Any:
    kernel = node.weight("kernel", [int(x.shape[-1])], 0.5)
    y = tf.map_fn(lambda row: activate(row * kernel, node.get("activation", "relu")), x)
    return known(y, x.shape)


@op
def scanned(node: Node, x: Any) -> Any:
    start = node.weight("start", [int(x.shape[-1])], 0.5)
    return known(tf.scan(lambda a, row: 0.5 * a + row, x, start), x.shape)


@op
def called(node: Node, x: Any) -> Any:
    """A function in a function; twice, with one body."""
    kernel = node.weight("kernel", [int(x.shape[-1])] * 2)

    def body(y: Any) -> Any:
        return activate(tf.matmul(y, kernel), node.get("activation", "relu"))

    inner = tf.function(body, autograph=False)
    return inner(inner(x)) + x if node.get("twice", True) else inner(x)


@op
def written(node: Node, x: Any) -> Any:
    """A variable that each call changes, read before or after."""
    width = int(x.shape[-1])
    state = node.variable("state", node.values("state", [width], 0.3))
    before = tf.identity(state) if node.get("before", False) else tf.zeros_like(state)
    new = tf.reduce_sum(x, 0) * 0.1
    kind = node.get("kind", "add")
    with tf.control_dependencies([before]):
        if kind == "add":
            done = state.assign_add(new)
        elif kind == "sub":
            done = state.assign_sub(new)
        else:
            done = state.assign(0.5 * state + new)
    with tf.control_dependencies([done]):
        after = tf.identity(state)
        return x * tf.identity(after) + before


@op
def counter(node: Node, x: Any) -> Any:
    """Counts calls; the count may be used."""
    steps = node.variable("steps", np.asarray(0.0, x.dtype.as_numpy_dtype))
    with tf.control_dependencies([steps.assign_add(tf.ones([], x.dtype))]):
        y = tf.identity(x)
        return y * tf.convert_to_tensor(steps) if node.get("used", True) else y


@op
def written_weights(node: Node, x: Any) -> Any:
    """The weights of a product change with each call."""
    width = int(x.shape[-1])
    kernel = node.variable("kernel", node.values("kernel", [width, width]))
    before = tf.matmul(x, tf.convert_to_tensor(kernel))
    with (
        tf.control_dependencies([before]),
        tf.control_dependencies([kernel.assign_sub(0.1 * tf.ones_like(kernel))]),
    ):
        after = tf.matmul(x, tf.convert_to_tensor(kernel))
    return activate(before, node.get("activation", "relu")) + after


@op
def conditional_write(node: Node, x: Any) -> Any:
    """A variable that one branch writes."""
    state = node.variable("state", node.values("state", [int(x.shape[-1])], 0.3))

    def write() -> Any:
        with tf.control_dependencies([state.assign_add(tf.ones_like(state))]):
            return tf.identity(state)

    value = tf.cond(tf.size(x) > node.get("level", 6), write, lambda: tf.convert_to_tensor(state))
    return x + value


@op
def checked(node: Node, x: Any) -> Any:
    """An assertion that holds, or refuses some calls."""
    limit = node.get("limit", 10**6)
    check = tf.debugging.Assert(tf.size(x) < limit, ["too many"])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(x) * 2.0


@op
def unused_random(node: Node, x: Any) -> Any:
    """Draws that are thrown away, and dropout that is off."""
    noise = tf.random.uniform(tf.shape(x), dtype=x.dtype)
    kind = node.get("kind", "zero")
    if kind == "zero":
        return tf.where(tf.math.is_finite(noise), x, noise)
    if kind == "seeded":
        return x + tf.cast(tf.random.stateless_uniform(tf.shape(x), [1, 2], dtype=tf.float32), x.dtype)
    return tf.nn.dropout(x, 0.0) + x


@op
def table(node: Node, x: Any) -> Any:
    """Words to rows through what is sorted and gathered."""
    order = tf.argsort(tf.range(tf.shape(x)[0]), direction="DESCENDING")
    return tf.gather(x, order)
