"""Models whose signatures say what a sound exporter would not: the loader accepts them all."""

from __future__ import annotations

import tensorflow as tf

from .registry import Workspace, model
from .v1 import new_session, save, signature, v1


@model
def bad_sig(m: Workspace) -> None:
    """Signatures that contradict the graph ("good" does not); TensorFlow loads them silently."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        y = tf.multiply(x, 2.0, "y")

        def info(tensor: tf.Tensor, **changes: object) -> object:
            result = v1.saved_model.build_tensor_info(tensor)
            if "dtype" in changes:
                result.dtype = changes["dtype"].as_datatype_enum
            if "shape" in changes:
                result.tensor_shape.CopyFrom(tf.TensorShape(changes["shape"]).as_proto())
            if "name" in changes:
                result.name = changes["name"]
            return result

        signatures = {
            "good": signature({"x": x}, {"y": y}),
            "wrong_dtype": signature({"x": info(x, dtype=tf.int32)}, {"y": y}),
            "wrong_out_dtype": signature({"x": x}, {"y": info(y, dtype=tf.int32)}),
            "wrong_shape": signature({"x": info(x, shape=[None, 5])}, {"y": y}),
            "dangling": signature({"x": x}, {"y": info(y, name="no_such_node:0")}),
            "dangling_in": signature({"x": info(x, name="no_such_input:0")}, {"y": y}),
            "bad_index": signature({"x": x}, {"y": info(y, name="y:7")}),
            "dup_in": signature({"x": x, "also_x": x}, {"y": y}),
            "dup_out": signature({"x": x}, {"y": y, "also_y": y}),
            "fed_fetched": signature({"x": x}, {"x": x, "y": y}),
        }
        save(m, session, signatures)
    # The graph decides where a signature errs, so these run.
    for name in "good", "wrong_dtype", "wrong_out_dtype", "wrong_shape", "dup_out", "fed_fetched":
        m.golden(name, {"x": m.normal(2, 3)})


@model
def resource_out(m: Workspace) -> None:
    """Results that no array can hold: a resource handle and a variant ("good" is neither)."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        w = v1.get_variable("w", initializer=2.0, use_resource=True)
        shape = tf.constant([], tf.int32)
        count = tf.constant(3)
        tensors = tf.raw_ops.EmptyTensorList(
            element_shape=shape, max_num_elements=count, element_dtype=tf.float32
        )
        signatures = {
            "good": signature({"x": x}, {"y": x * w}),
            "resource": signature({"x": x}, {"handle": w.handle, "y": x * w}),
            "variant": signature({}, {"list": tensors}),
        }
        save(m, session, signatures)
    m.golden("good", {"x": m.normal(3)})
