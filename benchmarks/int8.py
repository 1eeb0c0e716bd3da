"""`python -m benchmarks int8`: what int8 costs in accuracy, on networks that are trained here.

The data are those that scikit-learn ships: 1,797 handwritten digits of 8x8 pixels, 569 tumours of 30
features. Three quarters are for training, and give `sm.quantize` its samples; the rest is counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import savedmodel as sm

from .files import write_results
from .machine import describe, lines

Array = np.ndarray[Any, np.dtype[Any]]
SAMPLES = 64
EPOCHS = 40


@dataclass(frozen=True)
class Data:
    x: Array
    y: Array
    held_x: Array
    held_y: Array


@dataclass(frozen=True)
class Row:
    network: str
    float32: float  # accuracies on the held-out part
    int8: float  # with all layers in int8 that may be
    quantized: float  # the copy that quantize made
    agreement: float
    layers: int  # that may be in int8
    in_int8: int  # in the copy


def split(x: Array, y: Array) -> Data:
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    count = len(x) * 3 // 4
    return Data(x[:count], y[:count], x[count:], y[count:])


def digits() -> Data:
    from sklearn.datasets import load_digits

    found = load_digits()
    return split(found.images[..., None] / 16, found.target)


def tumours() -> Data:
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    x = (found.data - found.data.mean(0)) / found.data.std(0)
    return split(x, found.target)


def mlp(layers: Any, x: Any) -> Any:
    for _ in range(3):
        x = layers.Dense(256, activation="relu")(x)
    return x


def cnn(layers: Any, x: Any) -> Any:
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(128, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Dense(128, activation="relu")(layers.Flatten()(x))


def mobile(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    for _ in range(3):
        y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(192, 1, use_bias=False)(x)))
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
        y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
        x = layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(64, 1, use_bias=False)(y))])
    return layers.GlobalAveragePooling2D()(layers.Conv2D(256, 1, activation="relu")(x))


def encoder(layers: Any, x: Any) -> Any:
    x = layers.Dense(128)(layers.Reshape((8, 8))(x))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 32)(y, y)])
        y = layers.Dense(256, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(128)(y)])
    return layers.Dense(128, activation="relu")(layers.Flatten()(x))


def lstm(layers: Any, x: Any) -> Any:
    x = layers.LSTM(64)(layers.Reshape((8, 8))(x))
    return layers.Dense(128, activation="relu")(x)


BUILD: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], Data]]] = {
    "mlp": (mlp, tumours),
    "cnn": (cnn, digits),
    "mobile": (mobile, digits),
    "encoder": (encoder, digits),
    "lstm": (lstm, digits),
}
NETWORKS = tuple(BUILD)


def train(name: str, data: Data, folder: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input(data.x.shape[1:], name="x")
    classes = int(data.y.max()) + 1
    outputs = keras.layers.Dense(classes, name="logits")(BUILD[name][0](keras.layers, inputs))
    model = keras.Model(inputs, outputs)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data.x, data.y, batch_size=64, epochs=EPOCHS, verbose=0)
    model.export(folder, verbose=False)


def accuracy(model: sm.Model, data: Data) -> float:
    (logits,) = model(data.held_x).values()
    return float(np.mean(np.argmax(logits, -1) == data.held_y))


def measure(name: str, scratch: Path) -> Row:
    data = BUILD[name][1]()
    source, copy = scratch / name, scratch / f"{name}_int8"
    train(name, data, source)
    with sm.load(source) as model:
        float32 = accuracy(model, data)
        (key,) = model.signatures["serving_default"].inputs
    with sm.load(source, optimize="int8") as model:
        int8 = accuracy(model, data)
    done = sm.quantize(source, copy, {key: data.x[:SAMPLES]})
    with sm.load(copy) as model:
        quantized = accuracy(model, data)
    in_int8 = sum(layer.int8 for layer in done.layers)
    return Row(name, float32, int8, quantized, done.agreement, len(done.layers), in_int8)


def table(rows: Sequence[Row]) -> str:
    text = [
        "| network | float32 | int8, all layers | quantize | agreement | layers in int8 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        accuracies = [f"{100 * value:.2f} %" for value in (row.float32, row.int8, row.quantized)]
        cells = [row.network, *accuracies, f"{row.agreement:.5f}", f"{row.in_int8} of {row.layers}"]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def int8(networks: Sequence[str], stem: Path) -> int:
    machine = describe(("savedmodel", "tensorflow", "keras", "numpy", "scikit-learn"))
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in networks:
            rows.append(measure(name, Path(scratch)))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    text = (
        "# int8: accuracy on data that was not trained on\n\n"
        f"{chr(10).join(lines(machine))}\n\n{table(rows)}\n\n"
        f"Digits: 450 held out; tumours (mlp): 143. `quantize` had {SAMPLES} samples of the training data, "
        "and its default tolerance.\n"
    )
    print(write_results(stem, text, {"machine": machine, "rows": [asdict(row) for row in rows]}))
    return 0
