"""Random weights that cost what trained ones cost, and the export of a Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..models import MODELS, SEED

# Drawn anew for variables of these names, which start as zeros or ones: (mean, deviation).
DRAWN = {"bias": (0.0, 0.1), "gamma": (1.0, 0.15), "beta": (0.0, 0.1)}


def seed(library: Any = None) -> np.random.Generator:
    """Seeds Keras 3, or tf_keras if that is given."""
    import keras

    (library or keras).utils.set_random_seed(SEED)
    return np.random.default_rng(SEED)


def name_of(variable: Any) -> str:
    """Its last part: Keras 3 keeps the path apart, Keras 2 writes `layer/bias:0`."""
    text: str = getattr(variable, "path", None) or variable.name
    return text.rsplit("/", 1)[-1].partition(":")[0]


def sample(name: str, random: np.random.Generator, rows: int) -> Any:
    """Random inputs of the model: an array, or a dict where it has several."""
    values = {key: one.values(random, (rows, *one.row)) for key, one in MODELS[name].inputs.items()}
    return values if len(values) > 1 else next(iter(values.values()))


def randomise(name: str, model: Any, random: np.random.Generator) -> None:
    """Random biases and scales, then batch-norm statistics that fit the activations, with some noise on them.

    Fresh biases are zero and fresh statistics are 0 and 1: such a model folds to less work than a
    trained one. Statistics drawn blindly would let the activations of a deep network explode.
    """
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    if not any("Normalization" in type(layer).__name__ for layer in model.layers):
        for kernel in (one for one in model.trainable_variables if len(one.shape) == 4):
            # He's initialisation: without norms, Keras' own lets the signal fade.
            kernel.assign(random.normal(0.0, (2 / np.prod(kernel.shape[:3])) ** 0.5, tuple(kernel.shape)))
    for variable in model.trainable_variables:
        mean_and_deviation = DRAWN.get(name_of(variable))
        if mean_and_deviation is not None:
            variable.assign(random.normal(*mean_and_deviation, tuple(variable.shape)))
    for layer in norms:
        layer.momentum = 0.0  # so that one pass sets the statistics of its own batch
    if norms:
        model(sample(name, random, 8), training=True)
    for layer in norms:
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        layer.moving_mean.assign(mean + random.normal(0.0, 0.1, mean.shape) * np.sqrt(variance))
        layer.moving_variance.assign(variance * random.uniform(0.8, 1.25, variance.shape) + 1e-3)


def export_keras(name: str, model: Any, folder: Path) -> None:
    """Check that the answer is finite and depends on the input, then export."""
    random = np.random.default_rng(SEED + 1)
    answer = model(sample(name, random, 2))
    for output in answer.values() if isinstance(answer, dict) else [answer]:
        values = np.asarray(output, np.float64)
        if not np.isfinite(values).all():
            raise RuntimeError(f"{name}: the random weights give results that are not finite")
        if np.abs(values[0] - values[1]).max() < 1e-3 * np.abs(values).max():
            raise RuntimeError(f"{name}: the result hardly depends on the input")
    # Keras 2 has no `verbose`.
    model.export(str(folder), **({} if type(model).__module__.startswith("tf_keras") else {"verbose": False}))
