"""A convolutional network's answer in float64, from the float32 weights of its SavedModel."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ..models import MODELS, input_files
from .vision import APPLICATIONS


def write_answer(name: str, file: Path) -> None:
    """To the benchmark's own input, batch 1, as an .npz by the signature's names."""
    import keras
    import tensorflow as tf

    keras.config.set_floatx("float64")
    model = getattr(keras.applications, APPLICATIONS[name].removeprefix("keras."))(weights=None)
    loaded = tf.saved_model.load(str(MODELS[name].saved_model))
    weights = {variable.name.partition(":")[0]: variable for variable in loaded.variables}
    for variable in model.variables:
        variable.assign(weights.pop(variable.path).numpy().astype(np.float64))
    if weights:
        raise RuntimeError(f"{name}: no place for {', '.join(weights)}")
    (image,) = input_files(MODELS[name], 1)
    pixels = np.fromfile(image.file, np.float32).reshape(image.shape)
    answer = model(pixels.astype(np.float64), training=False)
    (output,) = loaded.signatures["serving_default"].structured_outputs
    np.savez(file, **{output: keras.ops.convert_to_numpy(answer)})


if __name__ == "__main__":
    write_answer(sys.argv[1], Path(sys.argv[2]))
