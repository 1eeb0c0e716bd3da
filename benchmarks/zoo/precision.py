"""Models that do not compute in float32: float64, and the policies of mixed precision."""

from __future__ import annotations

from pathlib import Path

from . import simple, transformer, weights


def make_float64_mlp(folder: Path) -> None:
    import keras

    keras.config.set_floatx("float64")
    simple.mlp("float64_mlp", folder)


def make_float16_cnn(folder: Path) -> None:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    random = weights.seed()
    entry = keras.Input((96, 96, 3), name="image")
    model = keras.applications.MobileNetV2(weights=None, alpha=0.5, input_tensor=entry)
    weights.randomise("float16_cnn", model, random)
    weights.export_keras("float16_cnn", model, folder)


def make_bfloat16_encoder(folder: Path) -> None:
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    transformer.encoder("bfloat16_encoder", 2, folder)
