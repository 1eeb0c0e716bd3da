"""Keras 3 models, trained for a moment, and what becomes of them."""

from __future__ import annotations

import math
import shutil
from typing import Any

import h5py
import keras
import numpy as np
import savedmodel as sm
import tensorflow as tf

from .exporting import Work

RNG = np.random.default_rng(0)
layers = keras.layers


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def two_in_two_out() -> Any:
    a, b = keras.Input((8,), name="in"), keras.Input((4,), name="a b")
    hidden = layers.Dense(5, "relu", name="hidden")(layers.Concatenate()([a, b]))
    x = layers.Dropout(0.5)(layers.BatchNormalization(name="norm")(hidden))
    return keras.Model(
        [a, b], [layers.Dense(3, "softmax", name="probs")(x), layers.Dense(1, name="score")(x)]
    )


def case_functional(work: Work) -> None:
    """Two inputs, two outputs, names that are no identifiers; dropout and batch norm after training."""
    model = two_in_two_out()
    model.compile("adam", ["mse", "mse"])
    x = {"in": normal(16, 8), "a b": normal(16, 4)}
    model.fit(list(x.values()), [normal(16, 3), normal(16, 1)], epochs=2, verbose=0)
    probs, score = (np.asarray(y) for y in model(list(x.values()), training=False))
    hidden = keras.Model(model.inputs, model.get_layer("hidden").output)(list(x.values()))
    file = work.dest / "functional.keras"
    model.save(file)
    both = {"serving_default": None, "features": ["hidden"]}
    work.convert("functional", sm.export.keras, file, signatures=both)
    work.expect("functional", x, {"probs": probs, "score": score})
    work.expect("functional", x, {"hidden": hidden}, "features")
    work.convert("batch", sm.export.keras, file, batch=16, tolerance=1e-3, samples=x)
    work.expect("batch", x, {"probs": probs, "score": score})
    work.convert("h5", sm.export.keras, saved(model, work.dest / "functional.h5"))
    work.expect("h5", x, {"probs": probs, "score": score})
    work.convert("in_memory", sm.export.keras, model)
    work.expect("in_memory", x, {"probs": probs, "score": score})
    work.convert("no_layer", sm.export.keras, file, signatures={"a": "hiden"})
    work.convert("bad_batch", sm.export.keras, file, batch=16, input_shapes={"in": (4, 8)})
    work.convert("bad_shape", sm.export.keras, file, input_shapes={"in": (None, 9)})
    work.convert("no_input", sm.export.keras, file, input_shapes={"inn": (None, 8)})
    work.convert("few_samples", sm.export.keras, file, samples={"in": x["in"]})


def saved(model: Any, path: Any) -> Any:
    model.save(path)
    return path


def case_strings(work: Work) -> None:
    """A vocabulary from a file, which is not there any more; nested outputs."""
    vocabulary = work.dest / "words.txt"
    vocabulary.write_text("red\ngreen\nblue\n")
    words = keras.Input((2,), dtype="string", name="words")
    ids = layers.StringLookup(vocabulary=str(vocabulary))(words)
    x = layers.Flatten()(layers.Embedding(5, 3)(ids))
    model = keras.Model({"words": words}, {"ids": ids, "head": {"y": layers.Dense(2)(x), "x": x}})
    given = np.array([["red", "blue"], ["black", "green"]], object)
    file = saved(model, work.dest / "strings.keras")
    vocabulary.unlink()
    work.convert("strings", sm.export.keras, file, samples={"words": given})
    y = model({"words": keras.ops.convert_to_tensor(given)})
    expected = {"ids": y["ids"], "head_y": y["head"]["y"], "head_x": y["head"]["x"]}
    work.expect("strings", {"words": given}, expected)


def case_mixed_precision(work: Work) -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3), name="image"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, dtype="float32", name="logits"),
        ]
    )
    keras.mixed_precision.set_global_policy("float32")
    x = normal(2, 16, 16, 3)
    work.convert("mixed", sm.export.keras, saved(model, work.dest / "mixed.keras"))
    work.expect("mixed", {"image": x}, {"logits": np.asarray(model(x))})


class Scale(keras.layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=shape[-1:], initializer="random_normal", name="factor")

    def call(self, x: Any) -> Any:
        return x * self.factor


class Noise(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return x + tf.random.normal([1])


def case_custom_layer(work: Work) -> None:
    model = keras.Sequential([keras.Input((4,), name="x"), Scale(name="y")])
    file = saved(model, work.dest / "custom.keras")
    work.convert("custom_unknown", sm.export.keras, file)
    work.convert("custom", sm.export.keras, file, custom_objects={"Scale": Scale})
    x = normal(3, 4)
    work.expect("custom", {"x": x}, {"y": np.asarray(model(x))})


def case_lambda(work: Work) -> None:
    model = keras.Sequential([keras.Input((4,), name="x"), layers.Lambda(lambda x: x * 2.0, name="y")])
    for suffix in "keras", "h5":
        file = saved(model, work.dest / f"lambda.{suffix}")
        work.convert(f"lambda_refused_{suffix}", sm.export.keras, file)
        work.convert(f"lambda_{suffix}", sm.export.keras, file, safe_mode=False)
        work.expect(f"lambda_{suffix}", {"x": np.ones((2, 4), np.float32)}, {"y": np.full((2, 4), 2.0)})
    disguises = {
        "spaced": (b'"class_name": "Lambda"', b'"class_name"  :\t"Lambda"'),
        "escaped": (b'"Lambda"', b'"\\u004cambda"'),
        "not_json": (b"{", b"{{"),
    }
    for name, (old, new) in disguises.items():
        copy = work.dest / f"{name}.h5"
        shutil.copyfile(work.dest / "lambda.h5", copy)
        with h5py.File(copy, "r+") as file:
            config = file.attrs["model_config"]
            config = config.encode() if isinstance(config, str) else config
            assert old in config
            file.attrs["model_config"] = config.replace(old, new)
        work.convert(f"lambda_{name}", sm.export.keras, copy)


class Subclassed(keras.Model):  # type: ignore[misc]
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(3)
        self.noise = layers.Dropout(0.9)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.noise(self.dense(x), training=training)


def case_subclassed(work: Work) -> None:
    model = Subclassed()
    work.convert("not_built", sm.export.keras, model)
    x = normal(2, 5)
    expected = {"output_0": np.asarray(model(x))}
    file = saved(model, work.dest / "subclassed.keras")
    work.convert("subclassed", sm.export.keras, file, custom_objects={"Subclassed": Subclassed})
    work.expect("subclassed", {"inputs": x}, expected)
    work.convert("input_signature", sm.export.keras, model, input_signature={"x": ((None, 5), "float32")})
    work.expect("input_signature", {"x": x}, expected)


def case_differing(work: Work) -> None:
    """The source gives other results each time, so that no conversion can have the same."""
    model = keras.Sequential([keras.Input((4,), name="x"), Noise(name="y")])
    work.convert("random", sm.export.keras, model)
    work.convert("random_accepted", sm.export.keras, model, tolerance=math.inf)


def case_sizes(work: Work) -> None:
    """Made-up images of 2 x 2 are too small for this model: larger ones are tried."""
    image = keras.Input((None, None, 1), name="image")
    x = layers.MaxPooling2D(4)(layers.Conv2D(2, 5)(image))
    model = keras.Model(image, layers.GlobalMaxPooling2D(name="y")(x))
    work.convert("sizes", sm.export.keras, model)
    x = normal(1, 20, 24, 1)
    work.expect("sizes", {"image": x}, {"y": np.asarray(model(x))})


def case_eager(work: Work) -> None:
    """In a graph Keras resizes integers to floats, and without one to integers."""
    image = keras.Input((4, 4, 1), dtype="uint8", name="image")
    model = keras.Model(image, layers.Rescaling(2.0, name="y")(layers.Resizing(2, 2)(image)))
    x = RNG.integers(0, 256, (2, 4, 4, 1)).astype(np.uint8)
    work.convert("eager", sm.export.keras, model)
    work.expect("eager", {"image": x}, {"y": model.predict(x, verbose=0)})


def case_overwrite(work: Work) -> None:
    x = np.ones((1, 2), np.float32)
    for name, bias in ("old", 1.0), ("new", 2.0):
        y = layers.Dense(1, bias_initializer=keras.initializers.Constant(bias), name="y")
        model = keras.Sequential([keras.Input((2,), name="x"), y])
        if name == "new":
            work.convert("exists", sm.export.keras, model)
        else:
            for each in "exists", "replaced":
                work.convert(each, sm.export.keras, model)
                work.expect(each, {"x": x}, {"y": np.asarray(model(x))})
    work.convert("replaced", sm.export.keras, model, overwrite=True)
    work.expect("replaced", {"x": x}, {"y": np.asarray(model(x))})
    work.convert("holds", sm.export.keras, model)
    source = saved(model, work.outcomes["holds"].path / "source.keras")
    work.convert("holds", sm.export.keras, source, overwrite=True)
    folder = work.dest / "folder" / "model"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("ten years")
    work.convert("folder", sm.export.keras, model, overwrite=True)


def case_fixed_batch(work: Work) -> None:
    model = keras.Sequential([keras.Input(batch_shape=(8, 4), name="x"), layers.Dense(2, name="y")])
    x = normal(3, 4)
    work.convert("fixed_batch", sm.export.keras, model)
    work.convert("freed_batch", sm.export.keras, model, input_shapes={"x": (None, 4)})
    work.expect("freed_batch", {"x": x}, {"y": np.asarray(model(x))})
    steps = keras.Sequential([keras.Input(batch_shape=(2, 3, 4), name="x"), layers.LSTM(2, stateful=True)])
    work.convert("stateful", sm.export.keras, steps, input_shapes={"x": (None, 3, 4)})


def case_no_model(work: Work) -> None:
    weights, empty, text = (work.dest / name for name in ("w.weights.h5", "empty.keras", "model.txt"))
    two_in_two_out().save_weights(weights)
    empty.write_bytes(b"")
    text.write_text("")
    work.convert("weights_only", sm.export.keras, weights)
    work.convert("empty", sm.export.keras, empty)
    work.convert("text", sm.export.keras, text)
    work.convert("missing", sm.export.keras, work.dest / "missing.keras")
    work.convert("no_model", sm.export.keras, 3)
