"""Layers of every kind on inputs of any size, of none at all, and of sizes that do not fit."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from keras import layers

from .registry import Workspace, model

Net = Callable[[tf.Tensor], tf.Tensor]


def _save(m: Workspace, nets: dict[str, tuple[list[int | None], Net, list[layers.Layer]]]) -> None:
    """A signature for each net, `x` -> `y`."""
    functions, variables = {}, []
    for name, (shape, net, owners) in nets.items():

        def call(x: tf.Tensor, net: Net = net) -> dict[str, tf.Tensor]:
            return {"y": net(x)}

        spec = tf.TensorSpec(shape, tf.float32, name="x")
        functions[name] = tf.function(call, autograph=False).get_concrete_function(spec)
        variables += [variable.value for owner in owners for variable in owner.variables]
    m.save(functions, v=variables)


def _chain(*owners: layers.Layer) -> tuple[Net, list[layers.Layer]]:
    def net(x: tf.Tensor) -> tf.Tensor:
        for layer in owners:
            x = layer(x)
        return x

    return net, list(owners)


@model
def edges_images(m: Workspace) -> None:
    """Layers of images. Those of "inside" get none where one is given: what they read has no elements then,
    and the signature's input some."""
    expand, project = layers.Conv2D(48, 1, activation="relu6"), layers.Conv2D(8, 1)
    middle = layers.DepthwiseConv2D(3, padding="same", activation="relu6")
    factors = layers.Conv2D(8, 1, activation="sigmoid")
    gray = layers.Conv2D(12, 3, use_bias=False), layers.BatchNormalization()
    inside = {
        "pointwise": _chain(layers.Conv2D(12, 1, activation="swish")),
        "strided": _chain(layers.Conv2D(12, 1, strides=2)),
        "winograd": _chain(layers.Conv2D(32, 3, padding="same", activation="relu")),
        "depthwise": _chain(layers.DepthwiseConv2D(3, padding="same", activation="swish")),
    }
    image = [None, None, None, 8]
    _save(
        m,
        {
            "pointwise": (image, *_chain(layers.Conv2D(12, 1, activation="swish"))),
            "strided": (image, *_chain(layers.Conv2D(12, 1, strides=2))),
            "winograd": (image, *_chain(layers.Conv2D(32, 1), layers.Conv2D(32, 3, padding="same"))),
            "winograd_valid": (image, *_chain(layers.Conv2D(32, 1), layers.Conv2D(32, 3, activation="relu"))),
            "padded": (image, *_chain(layers.ZeroPadding2D(2), layers.DepthwiseConv2D(3, strides=2))),
            "depthwise": (image, *_chain(layers.DepthwiseConv2D(3, padding="same", activation="swish"))),
            "bottleneck": (
                image,
                lambda x: x + project(middle(expand(x))),
                [expand, middle, project],
            ),
            "factors": (
                image,
                lambda x: x * factors(tf.reduce_mean(x, [1, 2], keepdims=True)),
                [factors],
            ),
            "gray": (image, lambda x: gray[1](gray[0](x[..., :1])), list(gray)),
            "grouped": (
                image,
                *_chain(layers.Conv2D(16, 3, groups=2, use_bias=False), layers.BatchNormalization()),
            ),
            **{
                f"{name}_inside": (image, lambda x, net=net: net(tf.tile(x, [1, 1, 1, 4])[1:]), owners)
                for name, (net, owners) in inside.items()
            },
            "mean": (image, *_chain(layers.GlobalAveragePooling2D(), layers.Dense(4))),
        },
    )


@model
def edges_rows(m: Workspace) -> None:
    """Layers of rows and of sequences, whose batch is known in some."""
    rows = [None, None, 8]
    recurrent: dict[str, tuple[list[int | None], Net, list[layers.Layer]]] = {}
    for kind in layers.LSTM, layers.GRU:
        for name, batch, options in [
            ("", None, {}),
            ("_of_two", 2, {}),
            ("_all", None, {"return_sequences": True}),
            ("_all_of_two", 2, {"return_sequences": True}),
        ]:
            recurrent[kind.__name__.lower() + name] = ([batch, None, 8], *_chain(kind(5, **options)))
        states = kind(5, return_state=True)
        initial = [tf.constant(m.normal(2, 5)) for _ in range(2 if kind is layers.LSTM else 1)]

        def from_states(x: tf.Tensor, layer: Net = states, initial: list[tf.Tensor] = initial) -> tf.Tensor:
            return tf.stack(layer(x, initial_state=initial))

        recurrent[kind.__name__.lower() + "_states"] = ([2, None, 8], from_states, [states])
        recurrent[kind.__name__.lower() + "_more_states"] = ([None, None, 8], from_states, [states])
    batch_norm, dense = layers.BatchNormalization(), layers.Dense(4, activation="gelu")
    _save(
        m,
        {
            "dense": (rows, *_chain(layers.Dense(5, activation="tanh"))),
            "two_dense": ([None, 8], *_chain(layers.Dense(32, activation="gelu"), dense)),
            "norm": (rows, *_chain(layers.LayerNormalization())),
            "softmax": (rows, lambda x: tf.nn.softmax(x * 0.5), []),
            "arithmetic": (rows, lambda x: tf.nn.relu(batch_norm(x - 0.5)), [batch_norm]),
            "lstm_large": (rows, *_chain(layers.LSTM(64))),
            **recurrent,
        },
    )


@model
def edges_attention(m: Workspace) -> None:
    """Attention as products that broadcast samples and heads, and as products that do not."""

    def scores(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * 0.3), v)}

    def einsum(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> dict[str, tf.Tensor]:
        weights = tf.nn.softmax(tf.einsum("btnd,bsnd->bnts", q, k))
        return {"y": tf.einsum("bnts,bsnd->btnd", weights, v)}

    specs = [tf.TensorSpec([None, None, None, 4], tf.float32, name=name) for name in "qkv"]
    m.save(
        {
            "matmul": tf.function(scores, input_signature=specs),
            "einsum": tf.function(einsum, input_signature=specs),
        }
    )
