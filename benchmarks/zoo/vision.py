"""Keras' own convolutional networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import weights

APPLICATIONS = {
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet50",
    "efficientnet_b0": "EfficientNetB0",
}


def maker(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        import keras

        random = weights.seed()
        entry = keras.Input((224, 224, 3), name="image")
        model = getattr(keras.applications, APPLICATIONS[name])(weights=None, input_tensor=entry)
        weights.randomise(model, random)
        weights.export_keras(name, model, folder)

    return make
