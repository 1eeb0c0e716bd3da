"""Models of tables: a wide-and-deep recommender, and many columns of numbers and categories."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..models import MODELS, SEED, VOCABULARY
from . import weights

WIDTHS = {"country": 8, "device": 4, "item": 32, "interest": 16}
CROSSES = (("country", "device"), ("country", "item"), ("device", "item"))
BUCKETS = 10_000
HIDDEN = (128, 64)


def make_wide_deep(folder: Path) -> None:
    """String lookups, hashed crosses, embeddings, numbers."""
    import tensorflow as tf

    random = np.random.default_rng(SEED)

    def variable(shape: tuple[int, ...], deviation: float) -> Any:
        return tf.Variable(random.normal(0.0, deviation, shape).astype(np.float32))

    def table(stem: str) -> Any:
        """Index 0 is for what the vocabulary lacks."""
        known = VOCABULARY[stem]
        keys = tf.constant([f"{stem}{index}" for index in range(known)])
        content = tf.lookup.KeyValueTensorInitializer(keys, tf.range(1, known + 1, dtype=tf.int64))
        return tf.lookup.StaticHashTable(content, 0)

    class WideDeep(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tables = {stem: table(stem) for stem in VOCABULARY}
            self.embeddings = {s: variable((VOCABULARY[s] + 1, WIDTHS[s]), 0.5) for s in VOCABULARY}
            self.linear = {s: variable((VOCABULARY[s] + 1, 1), 0.3) for s in VOCABULARY if s != "interest"}
            self.crosses = [variable((BUCKETS, 1), 0.3) for _ in CROSSES]
            sizes = (sum(WIDTHS.values()) + 13, *HIDDEN, 1)
            self.layers = [(variable((a, b), a**-0.5), variable((b,), 0.1)) for a, b in pairwise(sizes)]

        def serve(self, country: Any, device: Any, item: Any, interests: Any, numbers: Any) -> dict[str, Any]:
            words = {"country": country[:, 0], "device": device[:, 0], "item": item[:, 0]}
            index = {stem: self.tables[stem].lookup(word) for stem, word in words.items()}

            wide = [tf.gather(self.linear[stem], at) for stem, at in index.items()]
            for (left, right), weight in zip(CROSSES, self.crosses, strict=True):
                crossed = tf.strings.join([words[left], words[right]], separator="_x_")
                wide.append(tf.gather(weight, tf.strings.to_hash_bucket_fast(crossed, BUCKETS)))

            many = self.tables["interest"].lookup(interests)
            deep = [tf.gather(self.embeddings[stem], at) for stem, at in index.items()]
            deep.append(tf.reduce_mean(tf.gather(self.embeddings["interest"], many), axis=1))
            x = tf.concat([*deep, tf.math.log(tf.nn.relu(numbers) + 1.0)], axis=1)
            for kernel, bias in self.layers[:-1]:
                x = tf.nn.relu(tf.matmul(x, kernel) + bias)
            kernel, bias = self.layers[-1]
            return {"probability": tf.sigmoid(tf.matmul(x, kernel) + bias + tf.add_n(wide))}

    module = WideDeep()
    specs = {
        name: tf.TensorSpec([None, *one.row], tf.float32 if name == "numbers" else tf.string, name)
        for name, one in MODELS["wide_deep"].inputs.items()
    }
    serve = tf.function(module.serve).get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def make_wide_table(folder: Path) -> None:
    """An embedding for each of 20 categories, 200 numbers normalized, two dense layers with batch norms."""
    import keras
    from keras import layers

    random = weights.seed()
    numbers = keras.Input((200,), name="numbers")
    categories = keras.Input((20,), dtype="int32", name="categories")
    mean, variance = random.normal(0.0, 0.3, 200), random.uniform(0.2, 2.0, 200)
    parts = [layers.Normalization(mean=mean, variance=variance)(numbers)]
    parts += [layers.Embedding(100, 8)(categories[:, column]) for column in range(20)]
    x = layers.Concatenate()(parts)
    for width in (512, 256):
        x = layers.Activation("swish")(layers.BatchNormalization()(layers.Dense(width)(x)))
    outputs = {"probability": layers.Dense(1, activation="sigmoid")(x)}
    model = keras.Model({"numbers": numbers, "categories": categories}, outputs)
    weights.randomise("wide_table", model, random)
    weights.export_keras("wide_table", model, folder)
