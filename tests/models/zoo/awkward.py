"""Sound models that ask more of a runtime than they seem to."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import function

from .registry import Workspace, model
from .v1 import new_session, save, signature, v1


@model
def inplace(m: Workspace) -> None:
    """A kernel that writes into its input whoever owns it."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        y = tf.raw_ops.InplaceUpdate(x=x, i=[0], v=[7.0])
        save(m, session, {"serving_default": signature({"x": x}, {"y": y})})


@model
def staging(m: Workspace) -> None:
    """A node that blocks its thread until another node of the same run has done its part."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        put = tf.raw_ops.Stage(values=[x], shared_name="area")
        (taken,) = tf.raw_ops.Unstage(dtypes=[tf.float32], shared_name="area")
        with tf.control_dependencies([put]):
            y = x + taken
        save(m, session, {"serving_default": signature({"x": x}, {"y": y})})


@model
def uninitialised(m: Workspace) -> None:
    """A variable that is neither restored nor initialised."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [], name="x")
        restored = v1.get_variable("restored", initializer=2.0, use_resource=True)
        v1.get_variable("forgotten", initializer=3.0, use_resource=True)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(m.path))
        signatures = {"serving_default": signature({"x": x}, {"y": x * restored})}
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map=signatures, saver=v1.train.Saver([restored])
        )
        builder.save()
    m.golden("serving_default", {"x": np.float32(4.0)})


@model
def defun(m: Workspace) -> None:
    """An output of a node whose op is a function of the library, as TensorFlow 1 made them."""

    @function.Defun(tf.float32, func_name="square_plus_one")
    def square_plus_one(x: tf.Tensor) -> tf.Tensor:
        return x * x + 1.0

    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        y = square_plus_one(x)
        y.set_shape([None])
        save(m, session, {"serving_default": signature({"x": x}, {"y": y})})
    m.golden("serving_default", {"x": m.normal(5)})


@model
def prefix(m: Workspace) -> None:
    """A slice of the input, which may be empty."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        n = v1.placeholder(tf.int32, [], name="n")
        save(m, session, {"serving_default": signature({"x": x, "n": n}, {"y": x[:n]})})
    m.golden("serving_default", {"x": m.normal(5), "n": np.int32(3)})


@model
def v1_ref_string(m: Workspace) -> None:
    """A reference variable of strings, which an assignment changes in place."""
    with new_session() as session:
        value = v1.placeholder(tf.string, [2], name="value")
        variable = v1.get_variable("v", initializer=tf.constant(["a" * 40, "b" * 40]), use_resource=False)
        assigned = v1.assign(variable, value)
        signatures = {
            "get": signature({}, {"v": variable}),
            "set": signature({"value": value}, {"v": assigned}),
        }
        save(m, session, signatures)
