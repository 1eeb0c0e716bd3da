"""Make the models that the documentation names, with random weights: models/mlp and models/resnet50.

    pip install '.[demo]'  # in the checkout
    python examples/models.py [FOLDER]

Half a minute, no downloads. FOLDER is "models" by default; models that are there already are left alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greetings

import keras
import savedmodel as sm


def mlp() -> Any:
    """64 numbers x -> 10 probabilities."""
    layers = keras.layers
    x = keras.Input((64,), name="x")
    hidden = layers.Dense(128, activation="relu")(layers.Dense(128, activation="relu")(x))
    return keras.Model(x, {"probs": layers.Dense(10, activation="softmax")(hidden)})


def resnet50() -> Any:
    """An image of 224 x 224 pixels -> 1000 probabilities."""
    network = keras.applications.ResNet50(weights=None)
    image = keras.Input((224, 224, 3), name="image")
    return keras.Model(image, {"probs": network(image)})


MODELS: dict[str, Callable[[], Any]] = {"mlp": mlp, "resnet50": resnet50}


def main(folder: Path) -> None:
    for name, make in MODELS.items():
        path = folder / name
        if path.exists():
            print(f"{path} is there already")
            continue
        keras.utils.set_random_seed(1)
        print(sm.export.keras(make(), path), "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "models"))
