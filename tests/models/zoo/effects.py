"""Signatures whose calls do more than compute, and functions that TensorFlow would run elsewhere."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from . import v1 as old
from .recurrent import sequence
from .registry import Workspace, model
from .v2 import VECTOR, WORDS, signature, spec

v1 = tf.compat.v1
ROWS = spec(tf.float32, [None, 8])


@model
def effects(m: Workspace) -> None:
    """Layers beside a counter, draws with seeds, a step of training, a table that grows, a loop of them."""
    w = tf.Variable(m.normal(8, 8), name="w")
    calls = tf.Variable(0, name="calls")
    seen = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=-1)

    def count(x: tf.Tensor) -> dict:
        calls.assign_add(1)
        before = calls.read_value()
        y = tf.nn.gelu(tf.matmul(x, w))
        with tf.control_dependencies([y]):
            calls.assign_add(10)
        return {"before": before, "y": y, "after": calls.read_value()}

    def draw(x: tf.Tensor) -> dict:
        y = tf.matmul(x, w)
        noise = tf.random.normal(tf.shape(y), seed=7)
        return {"y": y, "noisy": y + noise, "choice": tf.random.categorical(y, 3, seed=8)}

    def train(x: tf.Tensor) -> dict:
        with tf.GradientTape() as tape:
            tape.watch(w)
            loss = tf.reduce_mean(tf.square(tf.matmul(x, w) - 1.0))
        w.assign_sub(0.05 * tape.gradient(loss, w))
        return {"loss": loss, "after": tf.reduce_mean(tf.square(tf.matmul(x, w) - 1.0))}

    def note(words: tf.Tensor, x: tf.Tensor) -> dict:
        known = seen.lookup(words)
        seen.insert(words, tf.range(tf.size(words, tf.int64)))
        return {"known": known, "size": seen.size(), "y": tf.nn.softmax(x)}

    def loop(x: tf.Tensor, n: tf.Tensor) -> dict:
        def step(i: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            factor = tf.cast(calls.assign_add(1), tf.float32)
            y = y + 0.1 * tf.random.normal(tf.shape(y), seed=9)
            return i + 1, tf.cond(i % 2 == 0, lambda: y + factor, lambda: tf.nn.relu(y) / factor)

        i, y = tf.while_loop(lambda i, _: i < n, step, [tf.constant(0), x])
        chosen = tf.switch_case(n, [lambda: y, lambda: -y], default=lambda: 2 * y)
        return {"i": i, "y": y, "chosen": chosen}

    m.save(
        {
            "loop": signature(loop, x=ROWS, n=spec(tf.int32, [])),
            "serving_default": signature(count, x=ROWS),
            "draw": signature(draw, x=ROWS),
            "train": signature(train, x=ROWS),
            "note": signature(note, words=WORDS, x=VECTOR),
        },
        w=w,
        calls=calls,
        seen=seen,
    )
    for name in "serving_default", "draw", "train":
        m.golden(name, {"x": m.normal(4, 8)})
    m.golden("loop", {"x": m.normal(4, 8), "n": np.int32(5)})
    m.golden("note", {"words": [b"a", b"b"], "x": m.normal(5)})


@model
def compiled(m: Workspace) -> None:
    """A function that TensorFlow would compile, inside another one, and a signature that it would compile."""
    w = tf.Variable(m.normal(8, 8), name="w")
    layer = tf.function(lambda x: tf.nn.gelu(tf.matmul(x, w)), jit_compile=True)
    inside = signature(lambda x: {"y": tf.matmul(layer(x), w)}, x=ROWS)
    named = [tf.TensorSpec(ROWS.shape, ROWS.dtype, name="x")]
    whole = tf.function(lambda x: {"y": tf.nn.gelu(tf.matmul(x, w))}, named, jit_compile=True)
    m.save({"serving_default": inside, "whole": whole}, w=w)
    m.golden("serving_default", {"x": m.normal(4, 8)})
    m.golden("whole", {"x": m.normal(4, 8)})


@model
def pinned_inside(m: Workspace) -> None:
    """Nodes of a function are pinned to GPUs."""
    w = tf.Variable(m.normal(8, 8), name="w")

    def body(x: tf.Tensor) -> dict:
        with tf.device("/device:GPU:0"):
            y = tf.nn.gelu(tf.matmul(x, w))
        with tf.device("/job:localhost/replica:0/task:0/device:GPU:1"):
            return {"y": tf.matmul(y, w)}

    m.save({"serving_default": signature(body, x=ROWS)}, w=w)
    m.golden("serving_default", {"x": m.normal(4, 8)})


@model
def v1_unnamed_table(m: Workspace) -> None:
    """A table without a name, as TensorFlow 1's estimators wrote it: it belongs to its kernel."""
    with old.new_session() as session:
        words = v1.placeholder(tf.string, [None], "words")
        table = old.vocabulary_table(m.write_vocabulary(["no", "yes"]))
        number = table.lookup(words)
        embedding = v1.get_variable("embedding", initializer=m.normal(3, 4), use_resource=True)
        y = tf.matmul(tf.gather(embedding, number + 1), m.normal(4, 2))
        table.resource_handle.op._set_attr("shared_name", v1.AttrValue(s=b""))
        signatures = {"serving_default": old.signature({"words": words}, {"number": number, "y": y})}
        old.save(m, session, signatures, main_op=v1.tables_initializer())
    m.golden("serving_default", {"words": [b"yes", b"maybe", b"no"]})


@model
def rnn_dropout(m: Workspace) -> None:
    """Layers with dropout: off, they still count up the state of their seeds."""

    def build(x: keras.KerasTensor) -> object:
        y = layers.LSTM(12, return_sequences=True, dropout=0.3, recurrent_dropout=0.2)(x)
        y = layers.Bidirectional(layers.GRU(9, return_sequences=True, recurrent_dropout=0.2))(y)
        return layers.Dense(2)(layers.LSTM(5, dropout=0.2)(y))

    sequence(m, build)


@model
def augmented(m: Workspace) -> None:
    """Images augmented in the model, which is off; and noise."""
    image = keras.Input((16, 16, 3), name="image")
    x = layers.RandomFlip()(image, training=False)
    x = layers.RandomRotation(0.1)(x, training=False)
    x = layers.Conv2D(8, 3, activation="relu")(layers.GaussianNoise(0.1)(x, training=False))
    net = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Dropout(0.2)(x))))
    for weight in net.trainable_weights:
        weight.assign(0.5 * m.normal(*weight.shape))
    net.export(str(m.path), verbose=False)
    keras.utils.clear_session()
    m.golden("serving_default", {"image": m.normal(2, 16, 16, 3)})
