"""Random weights that cost what trained ones cost, and the export of a Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..models import MODELS, SEED

# Drawn anew for variables of these names, which start as zeros or ones: (mean, deviation).
DRAWN = {"bias": (0.0, 0.1), "gamma": (1.0, 0.15), "beta": (0.0, 0.1)}


def seed() -> np.random.Generator:
    import keras

    keras.utils.set_random_seed(SEED)
    return np.random.default_rng(SEED)


def randomise(model: Any, random: np.random.Generator) -> None:
    """Random biases and scales, then batch-norm statistics that fit the activations, with some noise on them.

    Fresh biases are zero and fresh statistics are 0 and 1: such a model folds to less work than a
    trained one. Statistics drawn blindly would let the activations of a deep network explode.
    """
    from keras import ops

    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    for variable in model.trainable_variables:
        mean_and_deviation = DRAWN.get(variable.path.rsplit("/", 1)[-1])
        if mean_and_deviation is not None:
            variable.assign(random.normal(*mean_and_deviation, variable.shape))
    for layer in norms:
        layer.momentum = 0.0  # so that one pass sets the statistics of its own batch
    if norms:
        shape = (8, *model.input_shape[1:])
        model([random.uniform(-1, 1, shape).astype(np.float32)], training=True)
    for layer in norms:
        mean = ops.convert_to_numpy(layer.moving_mean)
        variance = ops.convert_to_numpy(layer.moving_variance)
        layer.moving_mean.assign(mean + random.normal(0.0, 0.1, mean.shape) * np.sqrt(variance))
        layer.moving_variance.assign(variance * random.uniform(0.8, 1.25, variance.shape) + 1e-3)


def export_keras(name: str, model: Any, folder: Path) -> None:
    """Check that the answer is finite and depends on the input, then export."""
    import keras

    random = np.random.default_rng(SEED + 1)
    sample = {key: one.values(random, (2, *one.row)) for key, one in MODELS[name].inputs.items()}
    answer = model(sample if len(sample) > 1 else next(iter(sample.values())))
    for output in answer.values() if isinstance(answer, dict) else [answer]:
        values = keras.ops.convert_to_numpy(output)
        if not np.isfinite(values).all():
            raise RuntimeError(f"{name}: the random weights give results that are not finite")
        if np.abs(values[0] - values[1]).max() < 1e-3 * np.abs(values).max():
            raise RuntimeError(f"{name}: the result hardly depends on the input")
    model.export(str(folder), verbose=False)
