"""Recurrent layers: those that become one operation, and those that must stay loops."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from .keras_models import export
from .registry import Workspace, model


def sequence(
    m: Workspace,
    build: Callable[[keras.KerasTensor], object],
    steps: int | None = 7,
    batch: int | None = None,
    rows: int = 3,
) -> None:
    """Exports what `build` makes of a sequence of five features; small weights keep gates off saturation."""
    x = keras.Input((steps, 5), batch_size=batch, name="x")
    export(m, keras.Model(x, build(x)))
    m.golden("serving_default", {"x": m.normal(rows, 7, 5)})


@model
def rnn_lstm(m: Workspace) -> None:
    """An LSTM, every step's output."""
    sequence(m, layers.LSTM(6, return_sequences=True))


@model
def rnn_gru(m: Workspace) -> None:
    """A GRU, every step's output."""
    sequence(m, layers.GRU(6, return_sequences=True))


@model
def rnn_gru_before(m: Workspace) -> None:
    """A GRU that resets before it multiplies, the last output."""
    sequence(m, layers.GRU(6, reset_after=False))


@model
def rnn_dynamic(m: Workspace) -> None:
    """Sequences of any length."""

    def build(x: keras.KerasTensor) -> object:
        y = layers.LSTM(6, return_sequences=True)(x)
        return {"gru": layers.GRU(4, return_sequences=True)(y), "last": layers.LSTM(4)(y)}

    sequence(m, build, steps=None)


@model
def rnn_stacked(m: Workspace) -> None:
    """Layers on top of each other, units that are no multiple of a vector."""

    def build(x: keras.KerasTensor) -> object:
        y = layers.LSTM(37, return_sequences=True)(x)
        y = layers.GRU(18, return_sequences=True, dropout=0.3)(y)
        return layers.Dense(2)(layers.LSTM(9)(y))

    sequence(m, build)


@model
def rnn_batch(m: Workspace) -> None:
    """A batch whose size is fixed: the initial states are constants."""
    sequence(m, layers.LSTM(6, return_sequences=True), batch=3)


@model
def rnn_bidirectional(m: Workspace) -> None:
    """Both directions, all outputs and the last ones."""

    def build(x: keras.KerasTensor) -> object:
        y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
        return layers.Bidirectional(layers.GRU(5))(y)

    sequence(m, build)


@model
def rnn_backwards(m: Workspace) -> None:
    """From the last step to the first; the outputs are in that order."""
    sequence(m, layers.GRU(6, return_sequences=True, go_backwards=True))


@model
def rnn_no_bias(m: Workspace) -> None:
    """Without biases."""

    def build(x: keras.KerasTensor) -> object:
        y = layers.LSTM(6, use_bias=False, return_sequences=True)(x)
        return layers.GRU(6, use_bias=False)(y)

    sequence(m, build)


@model
def rnn_states(m: Workspace) -> None:
    """Initial states that are inputs, last states that are outputs."""
    x, h, c = (keras.Input(shape, name=n) for shape, n in [((7, 5), "x"), ((6,), "h"), ((6,), "c")])
    y, last_h, last_c = layers.LSTM(6, return_sequences=True, return_state=True)(x, initial_state=[h, c])
    z, last_z = layers.GRU(6, return_state=True)(y, initial_state=last_h)
    outputs = {"y": y, "last_h": last_h, "last_c": last_c, "z": z, "last_z": last_z}
    export(m, keras.Model([x, h, c], outputs))
    m.golden("serving_default", {"x": m.normal(3, 7, 5), "h": m.normal(3, 6), "c": m.normal(3, 6)})


@model
def rnn_time_major(m: Workspace) -> None:
    """A loop as Keras 2 writes it: time comes first, and weights are read before the loop."""
    kernel, recurrent, bias = (tf.Variable(0.5 * m.normal(*s)) for s in [(5, 24), (6, 24), (24,)])

    @tf.function(input_signature=[tf.TensorSpec([None, None, 5], name="x")])
    def run(x: tf.Tensor) -> dict[str, tf.Tensor]:
        w, u, b = kernel.read_value(), recurrent.read_value(), bias.read_value()
        steps = tf.shape(x)[0]
        zeros = tf.zeros([tf.shape(x)[1], 6])
        inputs = tf.TensorArray(tf.float32, size=steps).unstack(x)
        outputs = tf.TensorArray(tf.float32, size=steps, element_shape=[None, 6])

        def step(
            t: tf.Tensor, ys: tf.TensorArray, h: tf.Tensor, c: tf.Tensor
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.Tensor, tf.Tensor]:
            z = tf.nn.bias_add(tf.matmul(inputs.read(t), w) + tf.matmul(h, u), b)
            i, f, g, o = tf.split(z, 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            return t + 1, ys.write(t, h), h, c

        loop = (tf.constant(0), outputs, zeros, zeros)
        _, ys, _, c = tf.while_loop(lambda t, *_: t < steps, step, loop)
        return {"y": ys.stack(), "c": c}

    m.save({"serving_default": run}, kernel=kernel, recurrent=recurrent, bias=bias)
    m.golden("serving_default", {"x": m.normal(7, 3, 5)})


@model
def rnn_gru_apart(m: Workspace) -> None:
    """A GRU as Keras 2 writes it: biases taken apart before the loop, gates cut by sizes."""
    kernel, recurrent, bias = (tf.Variable(0.5 * m.normal(*s)) for s in [(5, 18), (6, 18), (2, 18)])

    @tf.function(input_signature=[tf.TensorSpec([None, 7, 5], name="x")])
    def run(x: tf.Tensor) -> dict[str, tf.Tensor]:
        w, u = kernel.read_value(), recurrent.read_value()
        input_bias, recurrent_bias = tf.unstack(bias.read_value())
        inputs = tf.TensorArray(tf.float32, size=7).unstack(tf.transpose(x, [1, 0, 2]))
        outputs = tf.TensorArray(tf.float32, size=7, element_shape=[None, 6])

        def step(
            t: tf.Tensor, ys: tf.TensorArray, h: tf.Tensor
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.Tensor]:
            from_x = tf.nn.bias_add(tf.matmul(inputs.read(t), w), input_bias)
            from_h = tf.nn.bias_add(tf.matmul(h, u), recurrent_bias)
            x_z, x_r, x_n = tf.split(from_x, 3, axis=-1)
            h_z, h_r, h_n = tf.split(from_h, [6, 6, -1], axis=-1)
            z, r = tf.sigmoid(x_z + h_z), tf.sigmoid(x_r + h_r)
            h = z * h + (1 - z) * tf.tanh(x_n + r * h_n)
            return t + 1, ys.write(t, h), h

        loop = (tf.constant(0), outputs, tf.zeros([tf.shape(x)[0], 6]))
        _, ys, _ = tf.while_loop(lambda t, *_: t < 7, step, loop)
        y = tf.transpose(ys.stack(), [1, 0, 2])
        return {"y": y, "last": y[:, -1]}

    m.save({"serving_default": run}, kernel=kernel, recurrent=recurrent, bias=bias)
    m.golden("serving_default", {"x": m.normal(3, 7, 5)})


@model
def rnn_masked(m: Workspace) -> None:
    """Steps that a mask leaves out, the first one, one between and the last ones."""
    x = keras.Input((None, 5), name="x")
    seen = layers.Masking()(x)
    y = layers.GRU(6, return_sequences=True)(layers.LSTM(7, return_sequences=True)(seen))
    outputs = {
        "y": y,
        "last": layers.LSTM(6)(seen),
        "before": layers.GRU(4, reset_after=False, go_backwards=True)(seen),
        "both": layers.Bidirectional(layers.LSTM(5, return_sequences=True))(seen),
    }
    export(m, keras.Model(x, outputs))
    series = m.normal(3, 7, 5)
    series[1, 4:] = 0
    series[2, [0, 3]] = 0
    m.golden("serving_default", {"x": series})


@model
def rnn_masked_states(m: Workspace) -> None:
    """A mask and states from outside: what is given before the first step is zeros, not the state."""
    x, seen, start = (
        keras.Input((7, 5), name="x"),
        keras.Input((7,), name="seen"),
        keras.Input((6,), name="start"),
    )
    mask = keras.ops.greater(seen, 0)
    y = layers.GRU(6, return_sequences=True)(x, mask=mask, initial_state=start)
    z = layers.GRU(6)(x, mask=mask, initial_state=start)
    export(m, keras.Model([x, seen, start], {"y": y, "z": z}))
    m.golden("serving_default", {"x": m.normal(3, 7, 5), "seen": m.normal(3, 7), "start": m.normal(3, 6)})


@model
def rnn_masked_zeros(m: Workspace) -> None:
    """A layer that gives zeros where the mask is false."""
    x = keras.Input((7, 5), name="x")
    seen = layers.Masking()(x)
    y = layers.RNN(layers.LSTMCell(6), return_sequences=True, zero_output_for_mask=True)(seen)
    export(m, keras.Model(x, {"y": y}))
    series = m.normal(3, 7, 5)
    series[1, 4:] = 0
    series[2, [0, 3]] = 0
    m.golden("serving_default", {"x": series})


@model
def rnn_stateful(m: Workspace) -> None:
    """States that a run leaves to the next: stays a loop."""
    sequence(m, layers.GRU(6, stateful=True), batch=3)


@model
def rnn_activation(m: Workspace) -> None:
    """Other activations than the default ones: stay loops."""

    def build(x: keras.KerasTensor) -> object:
        return {
            "relu": layers.LSTM(6, activation="relu")(x),
            "hard": layers.GRU(6, recurrent_activation="hard_sigmoid")(x),
            "swapped": layers.LSTM(6, activation="sigmoid", recurrent_activation="tanh")(x),
            "simple": layers.SimpleRNN(6)(x),
        }

    sequence(m, build)


@model
def rnn_by_gates(m: Workspace) -> None:
    """A product for each gate, as Keras writes layers with recurrent dropout."""
    sequence(m, layers.GRU(6, recurrent_dropout=0.3))


@model
def rnn_double(m: Workspace) -> None:
    """Float64: stays a loop."""
    x = keras.Input((7, 5), name="x", dtype="float64")
    net = keras.Model(x, layers.GRU(6, dtype="float64")(x))
    export(m, net)
    m.golden("serving_default", {"x": m.normal(3, 7, 5).astype(np.float64)})
