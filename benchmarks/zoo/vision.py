"""The applications of Keras 3 and, where it has none, of Keras 2 (tf_keras)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from ..models import MODELS
from . import weights

APPLICATIONS = {
    "mobilenet_v2": "keras.MobileNetV2",
    "resnet50": "keras.ResNet50",
    "efficientnet_b0": "keras.EfficientNetB0",
    "vgg16": "keras.VGG16",
    "densenet121": "keras.DenseNet121",
    "inception_v3": "keras.InceptionV3",
    "xception": "keras.Xception",
    "nasnet_mobile": "keras.NASNetMobile",
    "mobilenet_v3": "keras.MobileNetV3Large",
    "efficientnet_v2": "keras.EfficientNetV2B0",
    "convnext_tiny": "keras.ConvNeXtTiny",
    "regnet": "tf_keras.RegNetY002",
}


def maker(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        library, _, application = APPLICATIONS[name].partition(".")
        keras = importlib.import_module(library)
        random = weights.seed(keras)
        entry = keras.Input(MODELS[name].inputs["image"].row, name="image")
        model = getattr(keras.applications, application)(weights=None, input_tensor=entry)
        weights.randomise(name, model, random)
        weights.export_keras(name, model, folder)

    return make
