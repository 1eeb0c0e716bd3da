"""Recurrent classifiers of time series."""

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
        weights.randomise(model, random)
        weights.export_keras(name, model, folder)

    return make
