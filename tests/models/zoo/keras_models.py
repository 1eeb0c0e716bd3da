"""Models made with Keras 3 and Model.export."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from .registry import Workspace, model


def export(m: Workspace, net: keras.Model) -> None:
    """Gives every weight a seeded value (variances are positive), and writes the model."""
    for weight in net.weights:
        value = 0.5 * m.normal(*weight.shape)
        if not np.issubdtype(np.dtype(weight.dtype), np.floating):
            continue
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)
    # Keras before 3.13 makes the batch unknown, which stateful layers can't be.
    static = len(net.inputs) == 1 and None not in net.inputs[0].shape
    signature = [keras.InputSpec(dtype=x.dtype, shape=x.shape, name=x.name) for x in net.inputs]
    net.export(str(m.path), verbose=False, input_signature=signature if static else None)
    keras.utils.clear_session()  # so that names do not depend on the models made before


@model
def keras_dense(m: Workspace) -> None:
    """A functional network with two named inputs and batch normalisation."""
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = layers.Concatenate()([layers.Dense(8, activation="relu")(a), layers.Dense(8)(b)])
    x = layers.BatchNormalization()(x)
    net = keras.Model({"a": a, "b": b}, layers.Dense(2, activation="sigmoid")(x))
    export(m, net)
    m.golden("serving_default", {"a": m.normal(3, 4), "b": m.normal(3, 3)})


@model
def keras_conv(m: Workspace) -> None:
    """Convolution, batch normalisation, relu and pooling: what folding and fusing work on."""
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    export(m, keras.Model(image, layers.Dense(4, activation="softmax")(x)))
    m.golden("serving_default", {"image": m.normal(2, 16, 16, 3)})


@model
def keras_lstm(m: Workspace) -> None:
    """A recurrent network: a loop over five steps."""
    series = keras.Input((5, 3), name="series")
    export(m, keras.Model(series, layers.Dense(1)(layers.LSTM(8)(series))))
    m.golden("serving_default", {"series": m.normal(2, 5, 3)})


@model
def keras_embedding_strings(m: Workspace) -> None:
    """Strings in, looked up in a vocabulary and embedded."""
    words = keras.Input((4,), dtype="string", name="words")
    ids = layers.StringLookup(vocabulary=["cat", "dog", "bird"])(words)
    x = layers.GlobalAveragePooling1D()(layers.Embedding(4, 6)(ids))
    export(m, keras.Model(words, x))
    m.golden("serving_default", {"words": [[b"cat", b"dog", b"fish", b""], [b"bird"] * 4]})
