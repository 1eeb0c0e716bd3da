"""x + y, and a small classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import weights


def make_xy(folder: Path) -> None:
    import tensorflow as tf

    row = tf.TensorSpec([None, 4], tf.float32)

    class Sum(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[row, row])  # type: ignore[untyped-decorator]
        def serve(self, x: Any, y: Any) -> dict[str, Any]:
            return {"sum": x + y}

    module = Sum()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def mlp(name: str, folder: Path) -> None:
    """In the floating-point type that is set."""
    import keras

    random = weights.seed()
    entry = keras.Input((64,), name="features")
    hidden = keras.layers.Dense(128, activation="relu")(entry)
    hidden = keras.layers.Dense(128, activation="relu")(hidden)
    model = keras.Model(entry, keras.layers.Dense(10)(hidden))
    weights.randomise(name, model, random)
    weights.export_keras(name, model, folder)


def make_mlp(folder: Path) -> None:
    mlp("mlp", folder)
