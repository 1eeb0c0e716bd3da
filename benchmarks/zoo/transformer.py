"""Two encoders, one of Keras' attention layers, one BERT-base as exports spell it out; a decoder's step.

The encoders differ on purpose where SavedModels in the wild differ: `einsum` and `Erfc` in the first,
`reshape`, `transpose`, `matmul`, `Erf` and a padding mask in the second.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from . import weights


def encoder(name: str, depth: int, folder: Path) -> None:
    """`depth` layers, in the policy of precision that is set; the result is float32."""
    import keras
    from keras import layers

    random = weights.seed()
    entry = keras.Input((128, 256), name="embedded")
    x = entry
    for _ in range(depth):
        attended = layers.MultiHeadAttention(num_heads=4, key_dim=64)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        hidden = layers.Dense(1024, activation="gelu")(x)
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(256)(hidden)]))
    if x.dtype != "float32":
        x = layers.Activation("linear", dtype="float32")(x)
    model = keras.Model(entry, x)
    weights.randomise(name, model, random)
    weights.export_keras(name, model, folder)


def make_encoder4(folder: Path) -> None:
    encoder("encoder4", 4, folder)


def make_bert_base(folder: Path, depth: int = 12, width: int = 768, heads: int = 12) -> None:
    import keras
    from keras import layers, ops

    class Embeddings(layers.Layer):  # type: ignore[misc]
        """Of tokens, positions and one segment."""

        def __init__(self) -> None:
            super().__init__()
            self.tokens = layers.Embedding(30522, width)
            self.positions = layers.Embedding(512, width)
            self.segments = layers.Embedding(2, width)
            self.norm = layers.LayerNormalization(epsilon=1e-12)

        def call(self, tokens: Any) -> Any:
            length = ops.shape(tokens)[1]
            places = self.positions(ops.arange(length))
            return self.norm(self.tokens(tokens) + places + self.segments(ops.zeros_like(tokens)))

    class Attention(layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = (layers.Dense(width) for _ in range(4))

        def split(self, x: Any) -> Any:
            shape = ops.shape(x)
            return ops.transpose(ops.reshape(x, (shape[0], shape[1], heads, width // heads)), (0, 2, 1, 3))

        def call(self, x: Any, mask: Any) -> Any:
            query, key, value = (self.split(part(x)) for part in (self.query, self.key, self.value))
            scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / math.sqrt(width // heads)
            shut = (1.0 - ops.cast(mask, "float32")) * -10000.0
            share = ops.softmax(scores + shut[:, None, None, :])
            together = ops.transpose(ops.matmul(share, value), (0, 2, 1, 3))
            return self.out(ops.reshape(together, ops.shape(x)))

    def gelu(x: Any) -> Any:
        return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))

    random = weights.seed()
    tokens = keras.Input((128,), dtype="int32", name="tokens")
    mask = keras.Input((128,), dtype="int32", name="mask")
    x = Embeddings()(tokens)
    for _ in range(depth):
        x = layers.LayerNormalization(epsilon=1e-12)(x + Attention()(x, mask))
        hidden = layers.Dense(4 * width, activation=gelu)(x)
        x = layers.LayerNormalization(epsilon=1e-12)(x + layers.Dense(width)(hidden))
    pooled = layers.Dense(width, activation="tanh")(x[:, 0])
    model = keras.Model({"tokens": tokens, "mask": mask}, {"sequence": x, "pooled": pooled})
    weights.randomise("bert_base", model, random)
    weights.export_keras("bert_base", model, folder)


def make_decoder_step(folder: Path) -> None:
    """The next token's scores, and the cache of keys and values with this token at its end."""
    import keras
    import numpy as np
    from keras import layers, ops

    depth, width, heads = 4, 256, 4

    class Attention(layers.Layer):  # type: ignore[misc]
        """Of one token, on all tokens so far and itself."""

        def __init__(self) -> None:
            super().__init__()
            self.all, self.out = layers.Dense(3 * width), layers.Dense(width)

        def call(self, x: Any, keys: Any, values: Any) -> Any:
            size = width // heads
            parts = ops.reshape(self.all(x), (-1, 1, 3, heads, size))
            query, key, value = (ops.transpose(parts[:, :, i], (0, 2, 1, 3)) for i in range(3))
            keys, values = ops.concatenate([keys, key], 2), ops.concatenate([values, value], 2)
            scores = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2))) / math.sqrt(size)
            seen = ops.transpose(ops.matmul(ops.softmax(scores), values), (0, 2, 1, 3))
            return self.out(ops.reshape(seen, (-1, 1, width))), keys, values

    random = weights.seed()
    token = keras.Input((1,), dtype="int32", name="token")
    past = [keras.Input((depth, heads, 127, width // heads), name=name) for name in ("keys", "values")]
    x = layers.Embedding(8000, width)(token) + random.normal(0.0, 0.02, (1, 1, width)).astype(np.float32)
    grown: dict[str, list[Any]] = {"new_keys": [], "new_values": []}
    for layer in range(depth):
        normal = layers.LayerNormalization(epsilon=1e-5)(x)
        seen, keys, values = Attention()(normal, past[0][:, layer], past[1][:, layer])
        x = x + seen
        grown["new_keys"].append(keys)
        grown["new_values"].append(values)
        hidden = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(x))
        x = x + layers.Dense(width)(hidden)
    scores = layers.Dense(8000, use_bias=False)(layers.LayerNormalization(epsilon=1e-5)(x)[:, 0])
    results = {"scores": scores, **{name: ops.stack(parts, 1) for name, parts in grown.items()}}
    model = keras.Model({"token": token, "keys": past[0], "values": past[1]}, results)
    weights.randomise("decoder_step", model, random)
    weights.export_keras("decoder_step", model, folder)
