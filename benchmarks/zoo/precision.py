"""Models that do not compute in float32: float64, and the policies of mixed precision."""

from __future__ import annotations

from pathlib import Path

from . import weights


def make_float64_mlp(folder: Path) -> None:
    import keras

    keras.config.set_floatx("float64")
    random = weights.seed()
    entry = keras.Input((64,), name="features")
    hidden = keras.layers.Dense(128, activation="relu")(entry)
    hidden = keras.layers.Dense(128, activation="relu")(hidden)
    model = keras.Model(entry, keras.layers.Dense(10)(hidden))
    weights.randomise("float64_mlp", model, random)
    weights.export_keras("float64_mlp", model, folder)


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
    from keras import layers

    keras.config.set_dtype_policy("mixed_bfloat16")
    random = weights.seed()
    entry = keras.Input((128, 256), name="embedded")
    x = entry
    for _ in range(2):
        attended = layers.MultiHeadAttention(num_heads=4, key_dim=64)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        hidden = layers.Dense(1024, activation="gelu")(x)
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(256)(hidden)]))
    model = keras.Model(entry, layers.Activation("linear", dtype="float32")(x))
    weights.randomise("bfloat16_encoder", model, random)
    weights.export_keras("bfloat16_encoder", model, folder)
