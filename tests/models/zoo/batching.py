"""Functions of rows, which requests for them can share, and some that can't be shared."""

from __future__ import annotations

import tensorflow as tf

from .registry import Workspace, model
from .v2 import signature, spec


@model
def batching(m: Workspace) -> None:
    """One signature for each way in which rows come and go."""
    w = tf.Variable(m.normal(4, 3), name="w")
    table = tf.constant([0.0, 1.0, 4.0, 9.0])

    def dense(x: tf.Tensor) -> dict:
        return {"y": tf.tanh(tf.matmul(x, w)), "rows": tf.reduce_sum(x, axis=1)}

    def sums(a: tf.Tensor, b: tf.Tensor) -> dict:
        return {"sum": a + b}

    def words(text: tf.Tensor) -> dict:
        return {"upper": tf.strings.upper(text), "length": tf.strings.length(text)}

    def picky(i: tf.Tensor) -> dict:
        return {"squares": tf.gather(table, i)}  # an error beyond the table

    def tokens(ids: tf.Tensor) -> dict:
        used = tf.cast(ids != 0, tf.int32)
        return {"count": tf.reduce_sum(used, axis=1), "doubled": ids * 2}

    def pairs(a: tf.Tensor, b: tf.Tensor) -> dict:
        return {"a2": a * 2, "b2": b * 2}

    def columns(x: tf.Tensor) -> dict:
        return {"y": x * tf.constant([[1.0], [2.0]])}

    def fixed(x: tf.Tensor) -> dict:
        return {"y": x + tf.range(4.0)[:, tf.newaxis]}

    def mean(x: tf.Tensor) -> dict:
        return {"mean": tf.reshape(tf.reduce_mean(x), [-1]), "y": x + 1.0}

    def total(x: tf.Tensor) -> dict:
        return {"total": tf.reduce_sum(x)}

    rows = spec(tf.float32, [None, 4])
    m.save(
        {
            "serving_default": signature(dense, x=rows),
            "sums": signature(sums, a=spec(tf.float32, [None]), b=spec(tf.float32, [None])),
            "words": signature(words, text=spec(tf.string, [None])),
            "picky": signature(picky, i=spec(tf.int32, [None])),
            "tokens": signature(tokens, ids=spec(tf.int32, [None, None])),
            "pairs": signature(pairs, a=spec(tf.int32, [None, None]), b=spec(tf.int32, [None, None])),
            "columns": signature(columns, x=spec(tf.float32, [2, None])),
            "fixed": signature(fixed, x=spec(tf.float32, [4, 2])),
            "mean": signature(mean, x=rows),
            "total": signature(total, x=rows),
        },
        w=w,
    )
    m.golden("serving_default", {"x": m.normal(5, 4)})
