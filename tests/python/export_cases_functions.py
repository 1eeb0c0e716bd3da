"""Functions and modules."""

from __future__ import annotations

import math
import resource
from typing import Any

import numpy as np
import savedmodel as sm
import tensorflow as tf

from .exporting import Work

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], np.float32)
WEIGHTS = tf.Variable([1.0, 2.0, 3.0])


def branching(x: Any, y: Any) -> Any:
    if tf.reduce_sum(x) > 0:
        return x * WEIGHTS + y
    return x - y


class Words(tf.Module):  # type: ignore[misc]
    """A table in a file, a counter, nested arguments and results."""

    def __init__(self, vocabulary: str) -> None:
        super().__init__()
        whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        source = tf.lookup.TextFileInitializer(vocabulary, tf.string, whole, tf.int64, line)
        self.table = tf.lookup.StaticHashTable(source, -1)
        self.count = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator]
    def __call__(self, words: Any) -> Any:
        return {"ids": self.table.lookup(words)}

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[{"a": tf.TensorSpec([]), "b": [tf.TensorSpec([]), tf.TensorSpec([])]}]
    )
    def counted(self, given: Any) -> Any:
        self.count.assign_add(given["a"] * given["b"][1])
        return self.count + 0.0, [given["b"][0]]


TWO = {"x": ((None, 3), "float32"), "y": ((None, 3), "float32")}


def case_function(work: Work) -> None:
    expected = {"output_0": branching(tf.constant(X), tf.constant(X)).numpy()}
    work.convert("function", sm.export.function, branching, input_signature=TWO)
    work.expect("function", {"x": X, "y": X}, expected)
    in_order = [tf.TensorSpec([None, 3]), tf.TensorSpec([None, 3])]
    work.convert("in_order", sm.export.function, branching, input_signature=in_order, batch=2)
    work.expect("in_order", {"x": X, "y": X}, expected)
    concrete = tf.function(branching).get_concrete_function(*in_order)
    work.convert("concrete", sm.export.function, concrete)
    work.expect("concrete", {"x": X, "y": X}, expected)
    work.convert("no_inputs", sm.export.function, lambda: {"y": WEIGHTS + 0.0}, input_signature=[])
    work.expect("no_inputs", {}, {"y": WEIGHTS.numpy()})
    work.convert("no_signature", sm.export.function, branching)
    work.convert("no_tensor", sm.export.function, branching, input_signature={"x": "float32"})
    work.convert(
        "contradiction", sm.export.function, branching, input_signature=TWO, input_shapes={"x": (5, 3)}
    )


def case_module(work: Work) -> None:
    vocabulary = work.dest / "words.txt"
    vocabulary.write_text("red\ngreen\n")
    module = Words(str(vocabulary))
    both = {"ids": "__call__", "count": "counted"}
    work.convert("module", sm.export.function, module, signatures=both)
    given = np.array([b"green", b"blue"], object)
    work.expect("module", {"words": given}, {"ids": np.array([1, -1])}, "ids")
    work.convert("called", sm.export.function, module)
    work.expect("called", {"words": given}, {"ids": np.array([1, -1])})
    table = module.table
    name = [tf.TensorSpec([None], tf.string, name="a b")]
    work.convert("closure", sm.export.function, lambda words: table.lookup(words), input_signature=name)
    work.expect("closure", {"a b": given}, {"output_0": np.array([1, -1])})
    work.convert("no_method", sm.export.function, module, signatures={"count": "cuonted"})
    filled = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    filled.insert(tf.constant(["green"]), tf.constant([7], tf.int64))
    work.convert("filled", sm.export.function, lambda words: filled.lookup(words), input_signature=name)
    work.expect("filled", {"a b": given}, {"output_0": np.array([7, -1])})
    hidden = [table]
    work.convert("untracked", sm.export.function, lambda words: hidden[0].lookup(words), input_signature=name)


def case_dtypes(work: Work) -> None:
    for dtype in tf.float16, tf.bfloat16:
        weights = tf.Variable(tf.constant([1.0, 0.5, 2.0], dtype))

        def multiplied(x: Any, weights: Any = weights) -> Any:
            return {"y": x * weights}

        bound = tf.function(multiplied, input_signature=[tf.TensorSpec([None, 3], dtype)])
        work.convert(dtype.name, sm.export.function, bound)
        x = tf.cast(X, dtype)
        work.expect(dtype.name, {"x": x.numpy()}, {"y": (x * weights).numpy()})


def case_defaults(work: Work) -> None:
    def dense(x: Any, y: Any = 1.0, training: bool = False, *, factor: float = 2.0) -> Any:
        return x * (100.0 if training else factor) + y

    one = [tf.TensorSpec([None, 3])]
    work.convert("defaults", sm.export.function, tf.function(dense, input_signature=one))
    work.expect("defaults", {"x": X}, {"output_0": X * 2 + 1})
    traced = tf.function(dense).get_concrete_function(*one, 5.0, factor=3.0)
    work.convert("other_values", sm.export.function, traced)
    work.expect("other_values", {"x": X}, {"output_0": X * 3 + 5})
    ragged = [tf.RaggedTensorSpec([None, None])]
    work.convert(
        "ragged_input", sm.export.function, tf.function(lambda r: r.to_tensor(), input_signature=ragged)
    )


def case_names(work: Work) -> None:
    """Names of outputs, signatures and folders that are no identifiers."""
    x = {"x": ((None, 3), "float32")}
    factors = {"a b/\u00fc:0": 2.0, "1": 3.0}

    def function(x: Any) -> Any:
        return {name: x * (WEIGHTS / WEIGHTS) * factor for name, factor in factors.items()}

    for name in "m\u00f6del %s #{a}@b:c", "two\nlines":
        work.convert(name, sm.export.function, function, input_signature=x, signatures="a b")
        work.expect(name, {"x": X}, {"a b/\u00fc:0": X * 2, "output_1": X * 3}, "a b")
    work.convert("pattern[1]", sm.export.function, function, input_signature=x)


def case_inputs_that_differ_in_case(work: Work) -> None:
    two = {"x": ((None, 3), "float32"), "X": ((None, 3), "float32")}
    work.convert("case", sm.export.function, lambda x, X: x - 2.0 * X, input_signature=two)
    work.expect("case", {"x": X, "X": X + 1}, {"output_0": X - 2 * (X + 1)})


def case_bytes(work: Work) -> None:
    """A scalar string whose last bytes are zero."""
    one = {"x": ((3,), "int32")}
    work.convert("bytes", sm.export.function, tf.io.serialize_tensor, input_signature={"tensor": one["x"]})
    x = np.array([1, 2, 3], np.int32)
    work.expect("bytes", {"tensor": x}, {"output_0": tf.io.serialize_tensor(x).numpy()})


def case_failing(work: Work) -> None:
    """Sources that fail when they are traced, when they are called, and a disk that is full between."""
    x = {"x": ((None, 3), "float32")}

    def checked(x: Any) -> Any:
        tf.debugging.assert_less(x, -1e6)
        return x

    bad: dict[str, Any] = {
        "none": lambda x: None,
        "ragged": lambda x: tf.RaggedTensor.from_tensor(x),
        "raises": lambda x: bad["no such key"],
        "asserts": checked,
        "random": lambda x: x + tf.random.normal([3]),
        "python": lambda x: tf.numpy_function(abs, [x], tf.float32),
    }
    for name, function in bad.items():
        work.convert(name, sm.export.function, function, input_signature=x)
    work.convert("random_accepted", sm.export.function, bad["random"], input_signature=x, tolerance=math.inf)
    large = tf.Variable(tf.zeros([10_000, 3]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        work.convert("full", sm.export.function, lambda x: x + large[0], input_signature=x)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
