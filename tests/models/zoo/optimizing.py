"""Models for what the graph optimizer may do, and must not."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from . import v1, v2
from .registry import Workspace, model


@model
def frozen_or_not(m: Workspace) -> None:
    """A weight that nothing writes, read in the open, in a loop, in a branch; a counter that is written."""
    weight = tf.Variable(m.normal(4), name="weight")
    count = tf.Variable(0.0, name="count")

    def looped(x: tf.Tensor) -> dict:
        steps = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 0.5 + weight), (0, x))
        return {"y": steps[1]}

    def branched(x: tf.Tensor) -> dict:
        return {"y": tf.cond(tf.reduce_sum(x) > 8, lambda: x * weight, lambda: x - weight)}

    four = v2.spec(tf.float32, [4])
    m.save(
        {
            "scale": v2.signature(lambda x: {"y": x * weight + count}, x=four),
            "count": v2.signature(lambda: {"count": count.assign_add(1.0)}),
            "looped": v2.signature(looped, x=four),
            "branched": v2.signature(branched, x=four),
        },
        weight=weight,
        count=count,
    )
    for name in ("scale", "looped", "branched"):
        m.golden(name, {"x": m.normal(4)})


@model
def assignable_v1(m: Workspace) -> None:
    """A resource variable that no signature assigns, beside an op that does."""
    with v1.new_session() as session:
        weight = v1.v1.get_variable("weight", initializer=2.0, use_resource=True)
        x = v1.v1.placeholder(tf.float32, [None], "x")
        new = v1.v1.placeholder(tf.float32, [], "new_weight")
        with tf.control_dependencies([weight.assign(new, read_value=False)]):
            tf.identity(weight.read_value(), "set_weight")
        y = x * weight
        v1.save(m, session, {"serving_default": v1.signature({"x": x}, {"y": y})})
    m.golden("serving_default", {"x": m.normal(3)})


@model
def different_weights(m: Workspace) -> None:
    """Two signatures with equal graphs but for their weights; ops that write, which no signature reaches."""
    with v1.new_session() as session:
        values = {name: m.normal(64, 64) / 8 for name in ("a", "b")}
        weights = [v1.v1.get_variable(n, initializer=v, use_resource=True) for n, v in values.items()]
        count = v1.v1.get_variable("count", initializer=0.0, use_resource=True)
        x = v1.v1.placeholder(tf.float32, [None, 64], "x")
        by = v1.v1.placeholder(tf.float32, [], "by")
        products = [tf.matmul(x, w, name=f"times_{n}") for n, w in zip(("a", "b"), weights, strict=True)]
        with tf.control_dependencies([weights[0].assign_add(tf.fill([64, 64], by), read_value=False)]):
            tf.reduce_sum(weights[0].read_value(), name="added")
        tf.group(count.assign_add(1.0, read_value=False), name="increment")
        tf.identity(count.read_value(), "count_now")
        named = zip(("times_a", "times_b"), products, strict=True)
        v1.save(m, session, {name: v1.signature({"x": x}, {"y": y}) for name, y in named})
    for name in ("times_a", "times_b"):
        m.golden(name, {"x": m.normal(2, 64)})


@model
def large_weights(m: Workspace) -> None:
    """Weights of 1 MB that several signatures pack, each in its own way, and one that is also a result."""
    w = tf.Variable(m.normal(512, 512) / 20, name="w")
    v = tf.Variable(m.normal(512, 256) / 20, name="v")
    signatures = {
        "forward": v2.signature(
            lambda x: {"y": tf.matmul(tf.nn.relu(tf.matmul(x, w)), v)}, x=tf.TensorSpec([None, 512])
        ),
        "backward": v2.signature(
            lambda x: {"y": tf.matmul(x, w, transpose_b=True)}, x=tf.TensorSpec([None, 512])
        ),
        "part": v2.signature(
            lambda x: {"y": tf.matmul(x, w[:256]), "v": v[:128]}, x=tf.TensorSpec([None, 256])
        ),
    }
    m.save(signatures, w=w, v=v)
    for name, width in (("forward", 512), ("backward", 512), ("part", 256)):
        m.golden(name, {"x": m.normal(2, width)})


@model
def returns_weights(m: Workspace) -> None:
    """Returns a weight that is too large for a place inside the graph."""
    large = tf.Variable(m.normal(128, 256), name="large")
    m.save({"serving_default": v2.signature(lambda: {"large": large, "rows": large[:2]})}, large=large)
    m.golden("serving_default", {})
    assert np.prod(large.shape) * 4 > 1 << 16


@model
def many_signatures(m: Workspace) -> None:
    """Six signatures over the same 16 MB of weights, of which a batch norm written out scales a part."""
    first = tf.Variable(m.normal(1024, 2048) / 32, name="first")
    second = tf.Variable(m.normal(2048, 1024) / 450, name="second")
    norm = tf.Variable(m.normal(2048), name="norm")
    signatures = {}
    for i in range(6):

        def call(x: tf.Tensor, i: int = i) -> dict:
            hidden = tf.nn.relu(tf.matmul(x, first) * norm + 0.5)
            return {"y": tf.nn.relu(tf.matmul(hidden, second)) * (i + 1.0)}

        signatures[f"s{i}"] = v2.signature(call, x=v2.spec(tf.float32, [None, 1024]))
    m.save(signatures, first=first, second=second, norm=norm)
    for i in (0, 5):
        m.golden(f"s{i}", {"x": m.normal(1, 1024)})


@model
def large_in_branches(m: Workspace) -> None:
    """Weights of the size that is kept beside the graph, in a v1 branch and a v1 loop, which own them."""
    matrix, other = m.normal(80, 80) / 9, m.normal(80, 80) / 9
    with v1.new_session() as session:
        v1.v1.disable_control_flow_v2()
        x = v1.v1.placeholder(tf.float32, [None, 80], "x")
        flag = v1.v1.placeholder(tf.bool, [], "flag")
        weights = v1.v1.cond(flag, lambda: tf.transpose(tf.constant(matrix)), lambda: tf.constant(other))
        loop = v1.v1.while_loop(
            lambda i, y: i < 3, lambda i, y: (i + 1, tf.matmul(y, tf.constant(matrix)) + 1.0), [0, x]
        )
        v1.v1.enable_control_flow_v2()
        outputs = {"branch": tf.matmul(x, weights), "loop": loop[1]}
        v1.save(m, session, {"serving_default": v1.signature({"x": x, "flag": flag}, outputs)})
    for flag_value in (True, False):
        m.golden("serving_default", {"x": m.normal(3, 80), "flag": np.bool_(flag_value)})


@model
def asserted_v1(m: Workspace) -> None:
    """Assertions that hang on constants and Identity nodes alone, which passes take into layers."""
    with v1.new_session() as session:
        x = v1.v1.placeholder(tf.float32, [None, 4], "x")
        kernel = v1.v1.get_variable("kernel", initializer=m.normal(4, 4), use_resource=True)
        bias = v1.v1.get_variable("bias", initializer=m.normal(4), use_resource=True)
        layer = tf.nn.bias_add(tf.matmul(x, kernel), bias)
        outputs = {}
        for name in ("factor", "passed_on", "gelu", "read"):
            check = v1.v1.debugging.Assert(tf.reduce_sum(x) < 6, [name])
            with tf.control_dependencies([check]):
                if name == "factor":
                    two = tf.constant(2.0)
                elif name == "passed_on":
                    y = tf.identity(layer) * 2.0
                elif name == "gelu":
                    y = 0.5 * x * (1.0 + tf.math.erf(x / np.float32(np.sqrt(2.0))))
                else:
                    y = tf.nn.relu(tf.matmul(x, tf.identity(kernel)))
            outputs[name] = layer * two if name == "factor" else y
        session.run(v1.v1.global_variables_initializer())
        signatures = {name: v1.signature({"x": x}, {"y": y}) for name, y in outputs.items()}
        v1.save(m, session, signatures)
    for name in signatures:
        m.golden(name, {"x": np.abs(m.normal(2, 4)) / 8})


@model
def larger_of_products(m: Workspace) -> None:
    """The larger of x and a * x, which is a LeakyRelu for slopes up to 1 only."""
    slopes = {
        name: tf.Variable([slope]) for name, slope in {"half": 0.5, "more": 1.25, "minus": -2.0}.items()
    }

    def larger(x: tf.Tensor) -> dict:
        return {name: tf.maximum(x * slope, x) for name, slope in slopes.items()}

    m.save({"serving_default": v2.signature(larger, x=v2.spec(tf.float32, [None, 1]))}, **slopes)
    m.golden("serving_default", {"x": np.array([[-2.0], [3.0], [0.0]], np.float32)})


@model
def layer_norm_of_scalars(m: Workspace) -> None:
    """A scale and an offset for all features; TensorFlow's own rewrite wants one for each."""

    def normalize(x: tf.Tensor) -> dict:
        scale, offset = tf.constant(1.25), tf.constant(0.5)
        mean = tf.reduce_mean(x, 1, keepdims=True)
        variance = tf.reduce_mean(tf.square(x - mean), 1, keepdims=True)
        factor = tf.math.rsqrt(variance + 0.001) * scale
        return {"y": x * factor + (offset - mean * factor)}

    # Without a golden: TensorFlow's Python fails, too.
    m.save({"serving_default": v2.signature(normalize, x=v2.spec(tf.float32, [None, 6]))})


@model
def layer_norm_by_number(m: Workspace) -> None:
    """The last axis by its number, not as -1: in a session TensorFlow's own rewrite loses the epsilon."""
    scale, offset = tf.Variable(m.normal(6)), tf.Variable(m.normal(6))

    def normalize(x: tf.Tensor) -> dict:
        mean = tf.reduce_mean(x, 1, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), 1, keepdims=True)
        y = (x - mean) * tf.math.rsqrt(variance + 0.1) * scale + offset
        factor = tf.math.rsqrt(variance + 0.2) * tf.constant(np.linspace(0.5, 1.5, 6).astype(np.float32))
        return {"y": y, "z": x * factor + (offset - mean * factor)}

    kept = {"scale": scale, "offset": offset}
    m.save({"serving_default": v2.signature(normalize, x=v2.spec(tf.float32, [None, 6]))}, **kept)
    m.golden("serving_default", {"x": m.normal(3, 6)})


@model
def embedded_columns(m: Workspace) -> None:
    """Embeddings of a table's columns side by side: all ways to index them, and what only looks like it."""
    tables = [tf.Variable(m.normal(5 + i, 2 + i), name=f"table_{i}") for i in range(6)]
    matrix = tf.TensorSpec([None, 3], tf.int32, name="columns")
    several = tf.TensorSpec([None, 2], tf.int32, name="several")
    single = tf.TensorSpec([None], tf.int32, name="single")
    numbers = tf.TensorSpec([None, 4], tf.float32, name="numbers")

    def from_end(table: tf.Variable, at: tf.Tensor) -> tf.Tensor:
        return tf.gather(table, tf.where(at < 0, at + table.shape[0], at))

    @tf.function(input_signature=[matrix, several, single, numbers])
    def rows(columns: tf.Tensor, several: tf.Tensor, single: tf.Tensor, numbers: tf.Tensor) -> dict:
        parts = [
            tf.gather(tables[0], columns[:, 0]),
            numbers,
            from_end(tables[1], columns[:, 2]),
            tf.reshape(tf.gather(tables[2], several), [-1, 8]),
            tf.reshape(from_end(tables[3], columns[:, 1:2]), [-1, 5]),
            tf.gather(tables[4], single),
            from_end(tables[5], tf.unstack(columns, axis=1)[1]),
        ]
        return {"rows": tf.concat(parts, -1)}

    @tf.function(input_signature=[several])
    def deeper(several: tf.Tensor) -> dict:
        """Axis 1 of three: not a row's end."""
        return {"steps": tf.concat([tf.gather(tables[0], several), tf.gather(tables[0], several + 1)], 1)}

    @tf.function(input_signature=[single])
    def read_twice(single: tf.Tensor) -> dict:
        a, b = tf.gather(tables[0], single), tf.gather(tables[1], single)
        return {"both": tf.concat([a, b], 1), "first": a, "second": b}

    signatures = {"serving_default": rows, "deeper": deeper, "read_twice": read_twice}
    m.save(signatures, tables=tables)
    feeds = {
        "columns": np.array([[0, 7, 5], [4, -8, -6], [2, -1, 0]], np.int32),
        "several": np.array([[0, 6], [3, 3], [5, 1]], np.int32),
        "single": np.array([8, 0, 4], np.int32),
        "numbers": m.normal(3, 4),
    }
    m.golden("serving_default", feeds)
    m.golden("deeper", {"several": np.array([[0, 3], [1, 2]], np.int32)})
    m.golden("read_twice", {"single": np.array([4, 0], np.int32)})
