"""Recurrent classifiers of time series and of text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import weights


def maker(name: str, kind: str) -> Callable[[Path], None]:
    """Two layers of keras.layers.LSTM or GRU, then a dense one on the last step."""

    def make(folder: Path) -> None:
        import keras

        random = weights.seed()
        layer = getattr(keras.layers, kind)
        entry = keras.Input((64, 64), name="series")
        hidden = layer(128, return_sequences=True)(entry)
        hidden = layer(128)(hidden)
        model = keras.Model(entry, keras.layers.Dense(10)(hidden))
        weights.randomise(name, model, random)
        weights.export_keras(name, model, folder)

    return make


def make_bilstm(folder: Path) -> None:
    """Sentences end early: token 0 is masked."""
    import tf_keras
    from tf_keras import layers

    random = weights.seed(tf_keras)
    entry = tf_keras.Input((200,), dtype="int32", name="tokens")
    x = layers.Embedding(20_000, 64, mask_zero=True)(entry)
    x = layers.Bidirectional(layers.LSTM(64))(x)
    model = tf_keras.Model(entry, layers.Dense(2, activation="softmax")(x))
    weights.randomise("bilstm", model, random)
    weights.export_keras("bilstm", model, folder)
