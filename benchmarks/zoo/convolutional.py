"""Convolutional networks that Keras does not ship: segmentation, detection, video, audio, text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import weights


def make_unet(folder: Path) -> None:
    import keras
    from keras import layers

    def block(x: Any, width: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.GroupNormalization(groups=-1)(x)  # an instance norm
            x = layers.LeakyReLU(negative_slope=0.1)(x)
        return x

    random = weights.seed()
    entry = keras.Input((128, 128, 3), name="image")
    x, skipped = entry, []
    for width in (16, 32, 64):
        x = block(x, width)
        skipped.append(x)
        x = layers.MaxPooling2D()(x)
    x = block(x, 128)
    for width in (64, 32, 16):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        x = block(layers.Concatenate()([x, skipped.pop()]), width)
    model = keras.Model(entry, layers.Conv2D(4, 1, activation="softmax")(x))
    weights.randomise("unet", model, random)
    weights.export_keras("unet", model, folder)


def make_detector(folder: Path) -> None:
    """Separable convolutions, a head at strides 8, 16 and 32, six anchors each, 20 classes."""
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    class Detect(layers.Layer):  # type: ignore[misc]
        """Decodes the boxes around their anchors and keeps at most 100 a picture."""

        def __init__(self, anchors: Any) -> None:
            super().__init__()
            self.anchors = anchors  # (boxes, 4): centre y, x, height, width

        def call(self, offsets: Any, scores: Any) -> Any:
            centre = self.anchors[:, :2] + 0.1 * offsets[..., :2] * self.anchors[:, 2:]
            half = 0.5 * self.anchors[:, 2:] * tf.exp(0.2 * offsets[..., 2:])
            boxes = tf.concat([centre - half, centre + half], -1)[:, :, None, :]
            return tf.image.combined_non_max_suppression(boxes, scores, 100, 100, 0.5, 0.3)[:3]

    def separable(x: Any, width: int, stride: int) -> Any:
        for layer in (
            layers.DepthwiseConv2D(3, stride, "same", use_bias=False),
            layers.Conv2D(width, 1, use_bias=False),
        ):
            x = layers.ReLU(6)(layers.BatchNormalization()(layer(x)))
        return x

    random = weights.seed()
    entry = keras.Input((160, 160, 3), name="image")
    x = layers.ReLU(6)(layers.BatchNormalization()(layers.Conv2D(16, 3, 2, "same", use_bias=False)(entry)))
    offsets, scores, anchors = [], [], []
    for width, stride, headed in (
        (32, 1, 0),
        (64, 2, 0),
        (64, 1, 0),
        (128, 2, 0),
        (128, 1, 1),
        (256, 2, 1),
        (512, 2, 1),
    ):
        x = separable(x, width, stride)
        if headed:
            cells = x.shape[1]
            offsets.append(layers.Reshape((-1, 4))(layers.Conv2D(6 * 4, 3, padding="same")(x)))
            scores.append(layers.Reshape((-1, 20))(layers.Conv2D(6 * 20, 3, padding="same")(x)))
            middle = (np.arange(cells) + 0.5) / cells
            grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), -1)[:, :, None, :]
            sizes = np.array([[1, 1], [1, 2], [2, 1], [1.4, 1.4], [1, 3], [3, 1]]) * 1.5 / cells
            shape = (cells, cells, 6, 2)
            both = [np.broadcast_to(part, shape) for part in (grid, sizes)]
            anchors.append(np.concatenate(both, -1).reshape(-1, 4))
    found = Detect(np.concatenate(anchors).astype("f4"))(
        layers.Concatenate(1)(offsets), layers.Activation("sigmoid")(layers.Concatenate(1)(scores))
    )
    model = keras.Model(entry, dict(zip(("boxes", "scores", "classes"), found, strict=True)))
    weights.randomise("detector", model, random)
    weights.export_keras("detector", model, folder)


def make_conv3d(folder: Path) -> None:
    import keras
    from keras import layers

    random = weights.seed()
    entry = keras.Input((16, 64, 64, 3), name="clip")
    x = entry
    for width, pool in ((16, (1, 2, 2)), (32, 2), (64, 2), (64, None), (128, 2)):
        x = layers.Conv3D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = x if pool is None else layers.MaxPooling3D(pool)(x)
    model = keras.Model(entry, layers.Dense(10)(layers.GlobalAveragePooling3D()(x)))
    weights.randomise("conv3d", model, random)
    weights.export_keras("conv3d", model, folder)


def make_wavenet(folder: Path) -> None:
    import keras
    from keras import layers

    random = weights.seed()
    entry = keras.Input((1024, 1), name="wave")
    x, skips = layers.Conv1D(32, 1)(entry), []
    for level in range(10):
        gate = {"filters": 32, "kernel_size": 2, "padding": "causal", "dilation_rate": 2**level}
        tanh = layers.Conv1D(**gate, activation="tanh")(x)
        both = layers.Multiply()([tanh, layers.Conv1D(**gate, activation="sigmoid")(x)])
        skips.append(layers.Conv1D(64, 1)(both))
        x = layers.Add()([x, layers.Conv1D(32, 1)(both)])
    x = layers.Conv1D(64, 1, activation="relu")(layers.ReLU()(layers.Add()(skips)))
    model = keras.Model(entry, layers.Conv1D(256, 1)(x))
    weights.randomise("wavenet", model, random)
    weights.export_keras("wavenet", model, folder)


def make_text_cnn(folder: Path) -> None:
    import tf_keras
    from tf_keras import layers

    random = weights.seed(tf_keras)
    entry = tf_keras.Input((200,), dtype="int32", name="tokens")
    embedded = layers.Embedding(20_000, 128)(entry)
    pooled = []
    for size in (3, 4, 5):
        pooled.append(layers.GlobalMaxPooling1D()(layers.Conv1D(128, size, activation="relu")(embedded)))
    hidden = layers.Dense(64, activation="relu")(layers.Concatenate()(pooled))
    model = tf_keras.Model(entry, layers.Dense(5, activation="softmax")(hidden))
    weights.randomise("text_cnn", model, random)
    weights.export_keras("text_cnn", model, folder)
