"""Models whose saved object matters: Keras 3 by tf.saved_model.save, functions that are no signatures."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from .registry import Workspace, model


def seeded(m: Workspace, net: keras.Model) -> keras.Model:
    """Gives every floating weight a seeded value; variances are positive."""
    for weight in net.weights:
        if np.issubdtype(np.dtype(weight.dtype), np.floating):
            value = 0.5 * m.normal(*weight.shape)
            weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)
    return net


def save_keras(m: Workspace, net: keras.Model, x: np.ndarray) -> None:
    """As people do, though Keras 3 says `export`: variables are restored under other names than are read."""
    seeded(m, net)
    tf.saved_model.save(net, str(m.path))
    saved = tf.saved_model.load(str(m.path)).signatures["serving_default"]
    ((name,), (key,)) = saved.structured_input_signature[1], saved.structured_outputs
    m.record("serving_default", {name: x}, {key: net(x).numpy()})
    keras.utils.clear_session()


@model
def keras_saved(m: Workspace) -> None:
    """Two layers of one name's kind, batch normalisation, and a seed that is a variable."""
    x = keras.Input((4,), name="x")
    y = layers.BatchNormalization()(layers.Dense(8, activation="relu")(x))
    save_keras(m, keras.Model(x, layers.Dense(3)(layers.Dropout(0.5)(y))), m.normal(5, 4))


@model
def keras_saved_lstm(m: Workspace) -> None:
    """A loop reads the variables."""
    x = keras.Input((6, 3), name="x")
    save_keras(m, keras.Model(x, layers.Dense(2)(layers.LSTM(5)(x))), m.normal(2, 6, 3))


@model
def keras_saved_trained(m: Workspace) -> None:
    """With what an optimizer keeps of it."""
    hidden, last = layers.Dense(3, name="a"), layers.Dense(2, name="b")
    net = keras.Sequential([keras.Input((4,), name="x"), hidden, last])
    net.compile("adam", "mse")
    net.fit(m.normal(8, 4), m.normal(8, 2), verbose=0)
    save_keras(m, net, m.normal(3, 4))


@model
def keras_in_module(m: Workspace) -> None:
    """Two Keras models with layers of the same names in a tf.Module, with a variable of its own."""
    nets = []
    for _ in range(2):
        keras.utils.clear_session()
        x = keras.Input((4,))
        nets.append(seeded(m, keras.Model(x, layers.Dense(3, name="dense")(x))))
    module = tf.Module()
    module.nets = nets
    module.scale = tf.Variable(2.5, name="scale")
    call = tf.function(
        lambda x: {"first": nets[0](x) * module.scale, "second": nets[1](x)},
        input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")],
    )
    tf.saved_model.save(module, str(m.path), signatures=call)
    value = m.normal(3, 4)
    m.record("serving_default", {"x": value}, {key: y.numpy() for key, y in call(value).items()})


@model
def bad_no_object_graph(m: Workspace) -> None:
    """One whose object graph is gone: nothing tells what its variables are restored from."""
    x = keras.Input((4,), name="x")
    tf.saved_model.save(seeded(m, keras.Model(x, layers.Dense(3)(x))), str(m.path))
    with m.edit_proto() as proto:
        proto.meta_graphs[0].ClearField("object_graph_def")


class Encoder(tf.Module):
    """An object of the saved object."""

    def __init__(self, m: Workspace) -> None:
        super().__init__()
        self.w = tf.Variable(m.normal(4, 3), name="w")

    @tf.function
    def call(self, x: tf.Tensor, training: bool = False, scale: float = 1.0) -> tf.Tensor:
        y = x @ self.w * scale
        return y + 100.0 if training else y


class Functions(tf.Module):
    """Functions of all kinds, of which none is a signature."""

    def __init__(self, m: Workspace) -> None:
        super().__init__()
        self.encoder = Encoder(m)
        self.w = tf.Variable(3.0, name="w")
        self.count = tf.Variable(0, dtype=tf.int64)
        self.asset = tf.saved_model.Asset(m.write_vocabulary(["a", "b", "c"]))
        lines = tf.lookup.TextFileIndex
        self.words = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self.asset, tf.string, lines.WHOLE_LINE, tf.int64, lines.LINE_NUMBER
            ),
            -1,
        )
        pairs = tf.lookup.KeyValueTensorInitializer(["x", "y"], tf.constant([7, 8], tf.int64))
        self.pairs = tf.lookup.StaticHashTable(pairs, -2)
        self.learnt = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -3)
        self.learnt.insert(tf.constant(["m"]), tf.constant([55], tf.int64))
        self.offset = tf.constant([1.0, 2.0, 3.0])

    @tf.function
    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.encoder.call(x, training=training) + self.offset

    @tf.function
    def nested(self, a: dict, b: None = None, *, c: float = 2.0) -> dict:
        self.count.assign_add(1)
        return {"sum": a["x"] + a["y"][0], "more": (a["x"] * self.w * c, [a["x"] - 1.0]), "none": b}

    @tf.function
    def look_up(self, words: tf.Tensor) -> tuple:
        return self.words.lookup(words), self.pairs.lookup(words), self.learnt.lookup(words)

    @tf.function
    def vocabulary(self) -> tf.Tensor:
        return tf.io.read_file(self.asset)

    @tf.function
    def reset(self) -> None:
        self.count.assign(0)

    @tf.function
    def counted(self) -> tf.Tensor:
        return self.count + 0

    @tf.function
    def ragged(self, rows: tf.RaggedTensor) -> tuple:
        return rows * 2.0, tf.reduce_sum(rows, 1)

    @tf.function
    def twice(self, x: tf.Tensor) -> tf.Tensor:
        return x + x

    @tf.function
    def never(self, x: tf.Tensor) -> tf.Tensor:
        return x


@model
def functions(m: Workspace) -> None:
    """No signature; several traces, structured arguments, captures of all kinds."""
    module = Functions(m)
    floats = tf.TensorSpec([None, 4], tf.float32)
    module.__call__.get_concrete_function(floats, training=False)
    module.__call__.get_concrete_function(floats, training=True)
    scalar = tf.TensorSpec([], tf.float32)
    module.nested.get_concrete_function({"x": scalar, "y": [scalar]})
    module.nested.get_concrete_function({"x": scalar, "y": [scalar]}, c=3.0)
    module.look_up.get_concrete_function(tf.TensorSpec([None], tf.string))
    for name in ("vocabulary", "reset", "counted"):
        getattr(module, name).get_concrete_function()
    module.ragged.get_concrete_function(tf.RaggedTensorSpec([None, None], tf.float32))
    for shape, dtype in (([], tf.int32), ([None], tf.float32), ([3], tf.float32), (None, tf.float64)):
        module.twice.get_concrete_function(tf.TensorSpec(shape, dtype))
    tf.saved_model.save(module, str(m.path), signatures={})


class Point(NamedTuple):
    """A named tuple among arguments."""

    a: tf.Tensor
    b: tf.Tensor


class Structures(tf.Module):
    """What is told apart among structured arguments, and values that are several tensors."""

    def __init__(self) -> None:
        super().__init__()
        floats = tf.TensorSpec([None], tf.float32)
        self.by_lambda = tf.function(lambda x: x * 7.0, input_signature=[floats])

    @tf.function
    def größer(self, x: tf.Tensor) -> tf.Tensor:
        return x + 1.0

    @tf.function
    def cast(self, x: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
        return tf.cast(x * 2.5, dtype)

    @tf.function
    def listed(self, xs: list) -> tf.Tensor:
        return xs[0] * 10.0 + xs[1]

    @tf.function
    def paired(self, xs: tuple) -> tf.Tensor:
        return xs[0] * 10.0 + xs[1]

    @tf.function
    def either(self, xs: list | tuple) -> tf.Tensor:
        return xs[0] + (1.0 if isinstance(xs, list) else 2.0)

    @tf.function
    def point(self, p: Point) -> tf.Tensor:
        return p.a * 10.0 + p.b

    @tf.function
    def sized(self, x: tf.Tensor, size: tuple = (2, 3)) -> tf.Tensor:
        return tf.reshape(x, size)

    @tf.function
    def composite(self, rows: tf.RaggedTensor, by: tf.SparseTensor, rows_1: tf.Tensor) -> dict:
        total = tf.reduce_sum(rows, 1) + rows_1
        return {"rows": rows * 2.0, "by": by * 3.0, "total": total, "also": tf.sparse.to_dense(by)}


@model
def structures(m: Workspace) -> None:
    """No signature; a function with a ragged and a sparse argument, whose names are nearly taken."""
    module = Structures()
    scalar = tf.TensorSpec([], tf.float32)
    module.listed.get_concrete_function([scalar, scalar])
    module.paired.get_concrete_function((scalar, scalar))
    module.either.get_concrete_function((scalar,))
    module.either.get_concrete_function([scalar])
    module.point.get_concrete_function(Point(scalar, scalar))
    module.sized.get_concrete_function(tf.TensorSpec([6], tf.float32))
    module.sized.get_concrete_function(tf.TensorSpec([6], tf.float32), [3, 2])
    module.größer.get_concrete_function(tf.TensorSpec([None], tf.float32))
    for dtype in (tf.float32, tf.int32):
        module.cast.get_concrete_function(tf.TensorSpec([None], tf.float32), dtype)
    module.composite.get_concrete_function(
        tf.RaggedTensorSpec([None, None], tf.float32),
        tf.SparseTensorSpec([None, 4], tf.float32),
        tf.TensorSpec([None], tf.float32),
    )
    tf.saved_model.save(module, str(m.path), signatures={})


class Layer(tf.Module):
    """One with a trace for each factor."""

    @tf.function
    def call(self, x: tf.Tensor, factor: int) -> tf.Tensor:
        return x * float(factor)


class Layers(tf.Module):
    """As Keras 2 does it: what is called by others has functions of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.layer.call(self.layer.call(x, 2), 3)


@model
def many_functions(m: Workspace) -> None:
    """No signature; more traces than are saved optimized by themselves."""
    module = Layers()
    for factor in range(32):
        module.layer.call.get_concrete_function(tf.TensorSpec([None], tf.float32), factor)
    tf.saved_model.save(module, str(m.path), signatures={})


@model
def trained(m: Workspace) -> None:
    """A MetaGraph tagged `train`: a linear model, its loss, and an op that takes a step."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        y = v1.placeholder(tf.float32, [None], name="y")
        w = v1.get_variable("w", initializer=np.zeros((2, 1), np.float32), use_resource=True)
        b = v1.get_variable("b", initializer=np.float32(0), use_resource=True)
        predicted = tf.identity(tf.squeeze(x @ w, 1) + b, name="predicted")
        loss = tf.reduce_mean(tf.square(predicted - y), name="loss")
        v1.train.GradientDescentOptimizer(0.1).minimize(loss, name="train_op")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(m.path))
        predict = v1.saved_model.predict_signature_def({"x": x}, {"predicted": predicted})
        builder.add_meta_graph_and_variables(session, ["train"], {"serving_default": predict})
        builder.add_meta_graph(["serve"], {"serving_default": predict})
        builder.save()
