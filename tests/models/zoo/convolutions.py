"""One convolutional network of each family, small: what the optimizer's passes are for."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from .keras_models import export
from .registry import Workspace, model
from .v1 import new_session, save, signature, v1


@model
def conv_residual(m: Workspace) -> None:
    """ResNet: padded convolution and pooling, residual blocks with and without projection."""

    def norm(x: object) -> object:
        return layers.BatchNormalization()(x)

    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(8, 7, strides=2)(layers.ZeroPadding2D(3)(image))
    x = layers.ZeroPadding2D(1)(layers.ReLU()(norm(x)))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for filters, stride in [(16, 2), (16, 1)]:
        y = layers.ReLU()(norm(layers.Conv2D(8, 1, strides=stride, use_bias=False)(x)))
        y = layers.ReLU()(norm(layers.Conv2D(8, 3, padding="same")(y)))
        y = norm(layers.Conv2D(filters, 1)(y))
        x = x if stride == 1 else norm(layers.Conv2D(filters, 1, strides=stride)(x))
        x = layers.ReLU()(layers.Add()([x, y]))
    export(m, keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))))
    m.golden("serving_default", {"image": m.normal(2, 32, 32, 3)})


@model
def conv_mobile(m: Workspace) -> None:
    """MobileNet and EfficientNet: depthwise, squeeze and excite, swish, a norm before a convolution."""
    image = keras.Input((24, 24, 3), name="image")
    x = layers.BatchNormalization(scale=False)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    for activation in ["relu6", "silu", "hard_silu"]:
        y = layers.Conv2D(16, 1, use_bias=False)(x)
        y = layers.Activation(activation)(layers.BatchNormalization(center=False)(y))
        y = layers.ZeroPadding2D(1)(y)
        y = layers.DepthwiseConv2D(3, use_bias=False)(y)
        y = layers.Activation(activation)(layers.BatchNormalization()(y))
        gate = layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(y))
        gate = layers.Conv2D(4, 1, activation=activation)(gate)
        y = layers.Multiply()([y, layers.Conv2D(16, 1, activation="sigmoid")(gate)])
        x = layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(8, 1)(y))])
    x = layers.Flatten()(layers.LeakyReLU()(x))
    export(m, keras.Model(image, layers.BatchNormalization()(layers.Dense(4)(x))))
    m.golden("serving_default", {"image": m.normal(2, 24, 24, 3)})


@model
def conv_wide(m: Workspace) -> None:
    """VGG and ResNet's basic block: 3x3 convolutions of many channels, larger depthwise windows."""
    image = keras.Input((21, 18, 3), name="image")
    x = layers.Conv2D(32, 3, activation="relu")(image)
    y = layers.Conv2D(40, 3, padding="same", activation="silu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(32, 3, padding="same", use_bias=False)(y))
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Conv2D(33, 3, activation="gelu")(x)
    x = layers.DepthwiseConv2D(5, strides=2, padding="same", activation="silu")(x)
    x = layers.Conv2D(48, 3, activation="elu")(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(32, 3, strides=2, activation="relu6")(x)  # not of stride 1
    export(m, keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x))))
    m.golden("serving_default", {"image": m.normal(2, 21, 18, 3)})


@model
def conv_bottleneck(m: Workspace) -> None:
    """MobileNetV2: inverted bottlenecks, the first without an expansion, with and without a residual sum."""
    image = keras.Input((45, 40, 3), name="image")
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu6")(image)
    for filters, stride, expansion in [(8, 1, 1), (16, 2, 6), (16, 1, 6), (16, 1, 6)]:
        y = x
        if expansion > 1:
            y = layers.Conv2D(expansion * x.shape[-1], 1, use_bias=False)(y)
            y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
        y = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
        y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(y))
        x = layers.Add()([x, y]) if y.shape == x.shape else y
    export(m, keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x))))
    m.golden("serving_default", {"image": m.normal(2, 45, 40, 3)})


@model
def conv_v1(m: Workspace) -> None:
    """TensorFlow 1: fused batch norms behind a convolution and alone, and a result that lies between."""
    with new_session() as session:
        image = v1.placeholder(tf.float32, [None, 12, 12, 4], "image")

        def norm(x: object) -> object:
            values = [v1.Variable(m.normal(4)) for _ in range(3)]
            variance = v1.Variable(abs(m.normal(4)) + 0.5)
            return v1.nn.fused_batch_norm(x, *values, variance, is_training=False)[0]

        x = norm(image)
        x = tf.nn.relu(norm(tf.nn.conv2d(x, v1.Variable(0.1 * m.normal(3, 3, 4, 4)), 1, "SAME")))
        between = tf.nn.bias_add(
            tf.nn.conv2d(x, v1.Variable(0.1 * m.normal(3, 3, 4, 4)), 1, "SAME"), m.normal(4)
        )
        y = tf.nn.conv2d(between, v1.Variable(0.1 * m.normal(1, 1, 4, 4)), 1, "VALID")
        y = tf.nn.relu(norm(y) + between)
        outputs = {"between": between, "y": y}
        save(m, session, {"serving_default": signature({"image": image}, outputs)})
    m.golden("serving_default", {"image": m.normal(2, 12, 12, 4)})


@model
def conv_grouped(m: Workspace) -> None:
    """ResNeXt, RegNet and ShuffleNet: groups of channels, with norms written out and residual sums."""
    with new_session() as session:
        image = v1.placeholder(tf.float32, [None, 14, 13, 12], "image")

        def layer(x: tf.Tensor, groups: int, filters: int, window: int = 3, stride: int = 1) -> tf.Tensor:
            weights = 0.1 * m.normal(window, window, x.shape[-1] // groups, filters)
            y = tf.nn.conv2d(x, v1.Variable(weights), stride, "SAME")
            return y * v1.Variable(m.normal(filters)) + v1.Variable(0.3 * m.normal(1, 1, 1, filters))

        x = tf.nn.relu(layer(image, 3, 24))
        x = tf.nn.relu(layer(x, 4, 24) + x)
        x = layer(tf.pad(tf.nn.swish(x), [[0, 0], [2, 1], [1, 2], [0, 0]]), 2, 20, 5, stride=2)
        x = tf.nn.relu6(layer(layer(x, 5, 20, 1), 20, 20))
        x = layer(x, 20, 40)
        outputs = {"y": tf.nn.leaky_relu(x), "means": tf.reduce_mean(x, [1, 2])}
        save(m, session, {"serving_default": signature({"image": image}, outputs)})
    m.golden("serving_default", {"image": m.normal(2, 14, 13, 12)})


@model
def conv_factors(m: Workspace) -> None:
    """Constants one after the other behind convolutions, which weights can take in and can't."""
    with new_session() as session:
        image = v1.placeholder(tf.float32, [None, None, None, 3], "image")
        x = tf.nn.conv2d(image, m.normal(3, 3, 3, 4), 1, "SAME") * m.normal(4) * m.normal(1, 1, 1, 4)
        x = 0.5 + (tf.nn.bias_add(x, v1.Variable(m.normal(4))) - v1.Variable(m.normal(1, 1, 1, 1)))
        between = tf.nn.conv2d(x, m.normal(1, 1, 4, 4), 1, "SAME")
        y = tf.nn.relu(between * m.normal(4) * m.normal(4) + m.normal(4))
        outputs = {"between": between, "y": y}
        save(m, session, {"serving_default": signature({"image": image}, outputs)})
    m.golden("serving_default", {"image": m.normal(2, 6, 5, 3)})


@model
def conv_over_time(m: Workspace) -> None:
    """Convolutions of sequences: causal, dilated, gated, strided."""
    x = wave = keras.Input((24, 3), name="wave")
    x = layers.Conv1D(8, 1)(x)
    for rate in (1, 2, 4):
        gate = {"filters": 8, "kernel_size": 3, "padding": "causal", "dilation_rate": rate}
        gated = layers.Multiply()([layers.Conv1D(**gate, activation=a)(x) for a in ("tanh", "sigmoid")])
        x = layers.Add()([x, layers.Conv1D(8, 1)(gated)])
    same = layers.Conv1D(6, 3, padding="same", dilation_rate=2, use_bias=False)(x)
    same = layers.Activation("swish")(layers.BatchNormalization()(same))
    export(m, keras.Model(wave, layers.Conv1D(5, 4, strides=2, activation="relu")(same)))
    m.golden("serving_default", {"wave": m.normal(2, 24, 3)})


@model
def conv_dilated(m: Workspace) -> None:
    """Dilated convolutions of images."""
    x = image = keras.Input((9, 7, 4), name="image")
    x = layers.Conv2D(6, 3, padding="same", dilation_rate=2, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    export(m, keras.Model(image, layers.Conv2D(5, (2, 3), dilation_rate=(1, 2), activation="tanh")(x)))
    m.golden("serving_default", {"image": m.normal(2, 9, 7, 4)})


@model
def conv_wide_over_time(m: Workspace) -> None:
    """Enough channels for int8, and an activation that the convolution takes in."""
    wave = keras.Input((12, 64), name="wave")
    export(m, keras.Model(wave, layers.Conv1D(128, 3, activation="tanh")(wave)))
    m.golden("serving_default", {"wave": m.normal(2, 12, 64) / 8})
