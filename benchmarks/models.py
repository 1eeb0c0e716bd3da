"""The models that are timed: small to large, made on the spot, with random but sane weights.

`python -m benchmarks.models NAME` makes one. The parent runs that in a child process, so that it
never imports TensorFlow itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(__file__).resolve().parent / ".models"
SEED = 7


@dataclass(frozen=True)
class ModelSpec:
    """What the parent needs to know of a model without opening it. Every input is float32."""

    name: str
    about: str
    batches: tuple[int, ...]
    # Input name -> shape without the batch dimension. A dict has no hash; the name is enough.
    inputs: Mapping[str, tuple[int, ...]] = field(compare=False)

    @property
    def saved_model(self) -> Path:
        return CACHE / self.name / "saved_model"


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("xy", "x + y, rows of 4", (1,), {"x": (4,), "y": (4,)}),
        ModelSpec("mlp", "dense 64-128-128-10", (1,), {"features": (64,)}),
        ModelSpec("mobilenet_v2", "MobileNetV2, 224x224", (1, 8), {"image": (224, 224, 3)}),
        ModelSpec("resnet50", "ResNet50, 224x224", (1, 8), {"image": (224, 224, 3)}),
    )
}


@dataclass(frozen=True)
class InputFile:
    """One input of one case: raw little-endian float32, which the C++ program reads as well."""

    name: str
    shape: tuple[int, ...]
    file: Path

    def arguments(self) -> list[str]:
        return ["--input", self.name, "x".join(map(str, self.shape)), str(self.file)]


def input_files(spec: ModelSpec, batch: int) -> list[InputFile]:
    """The same random inputs for every path, uniform in [-1, 1)."""
    random = np.random.default_rng(SEED)
    folder = CACHE / spec.name / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    result = []
    for name, row in spec.inputs.items():
        item = InputFile(name, (batch, *row), folder / f"{name}-batch{batch}.bin")
        random.uniform(-1, 1, item.shape).astype("<f4").tofile(item.file)
        result.append(item)
    return result


def ensure_model(spec: ModelSpec) -> str | None:
    """Make the model unless it is cached. Returns why it could not be made, or None."""
    if spec.saved_model.is_dir():
        return None
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "benchmarks.models", spec.name]
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if made.returncode == 0:
        return None
    lines = made.stderr.strip().splitlines() or [f"exit status {made.returncode}"]
    return f"the model could not be made: {lines[-1]}"


def _randomise(model: Any, random: np.random.Generator) -> None:
    """Random biases, then batch-norm statistics that fit the activations, with some noise on them.

    Fresh biases are zero and fresh statistics are 0 and 1: such a model folds to less work than a
    trained one. Statistics drawn blindly would let the activations of a deep network explode.
    """
    from keras import ops

    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    for variable in model.trainable_variables:
        if variable.path.endswith("bias"):
            variable.assign(random.normal(0.0, 0.1, variable.shape))
    for layer in norms:
        layer.gamma.assign(random.uniform(0.7, 1.3, layer.gamma.shape))
        layer.beta.assign(random.normal(0.0, 0.1, layer.beta.shape))
        layer.momentum = 0.0  # so that one pass sets the statistics of its own batch
    if norms:
        shape = (8, *model.input_shape[1:])
        model([random.uniform(-1, 1, shape).astype(np.float32)], training=True)
    for layer in norms:
        mean = ops.convert_to_numpy(layer.moving_mean)
        variance = ops.convert_to_numpy(layer.moving_variance)
        layer.moving_mean.assign(mean + random.normal(0.0, 0.1, mean.shape) * np.sqrt(variance))
        layer.moving_variance.assign(variance * random.uniform(0.8, 1.25, variance.shape) + 1e-3)


def _make_keras(name: str, folder: Path) -> None:
    import keras

    keras.utils.set_random_seed(SEED)
    random = np.random.default_rng(SEED)
    (input_name, row), *_ = MODELS[name].inputs.items()
    entry = keras.Input(row, name=input_name)
    if name == "mlp":
        hidden = keras.layers.Dense(128, activation="relu")(entry)
        hidden = keras.layers.Dense(128, activation="relu")(hidden)
        model = keras.Model(entry, keras.layers.Dense(10)(hidden))
    else:
        application = {
            "mobilenet_v2": keras.applications.MobileNetV2,
            "resnet50": keras.applications.ResNet50,
        }[name]
        model = application(weights=None, input_tensor=entry)
    _randomise(model, random)
    sample = random.uniform(-1, 1, (2, *row)).astype(np.float32)
    answer = keras.ops.convert_to_numpy(model([sample]))
    if not np.isfinite(answer).all():
        raise RuntimeError(f"{name}: the random weights give results that are not finite")
    model.export(str(folder), verbose=False)


def _make_xy(folder: Path) -> None:
    import tensorflow as tf

    row = tf.TensorSpec([None, 4], tf.float32)

    class Sum(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[row, row])  # type: ignore[untyped-decorator]
        def serve(self, x: Any, y: Any) -> dict[str, Any]:
            return {"sum": x + y}

    module = Sum()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def make(name: str) -> None:
    """Make one model; it appears in the cache only when it is complete."""
    target = MODELS[name].saved_model
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"unfinished-{os.getpid()}")
    try:
        if name == "xy":
            _make_xy(unfinished)
        else:
            _make_keras(name, unfinished)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    for model_name in sys.argv[1:]:
        make(model_name)
