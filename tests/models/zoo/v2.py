"""Models made with TensorFlow 2: tf.function signatures and tf.saved_model.save."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from .registry import Workspace, model

Shape = list[int | None] | None


def spec(dtype: tf.DType, shape: Shape) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype)


def signature(body: Callable[..., dict], **inputs: tf.TensorSpec) -> Callable[..., dict]:
    """A tf.function with named inputs; `body` takes them in the same order."""
    named = [tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in inputs.items()]
    return tf.function(body, input_signature=named)


VECTOR = spec(tf.float32, [None])
SCALAR = spec(tf.float32, [])
WORDS = spec(tf.string, [None])
COUNT = spec(tf.int32, [])


@model
def add(m: Workspace) -> None:
    """The smallest useful model: z = x + y, no variables. Overhead is measured on it."""
    m.save({"serving_default": signature(lambda x, y: {"z": x + y}, x=VECTOR, y=VECTOR)})
    m.golden("serving_default", {"x": m.normal(8), "y": m.normal(8)})


@model
def in_place(m: Workspace) -> None:
    """Values that kernels would overwrite if nobody else read them; a check that only orders the run."""

    def chain(x: tf.Tensor, y: tf.Tensor) -> dict:
        a = x + 1.0
        b = tf.exp(-a)
        square = a * a  # both inputs are one tensor
        c = tf.sqrt(b + square)
        tf.raw_ops.Assert(condition=tf.reduce_all(x < 100.0), data=[tf.constant("x is too large")])
        values = {"a": a, "b": b, "square": square, "last": c - y}
        return values | {"same_x": tf.identity(x), "twice": tf.negative(-y)}

    m.save({"serving_default": signature(chain, x=VECTOR, y=VECTOR)})
    m.golden("serving_default", {"x": m.normal(33), "y": m.normal(33)})


@model
def mlp(m: Workspace) -> None:
    """A 64-128-128-10 perceptron with softmax: variables, and work for the graph optimiser."""
    sizes = [64, 128, 128, 10]
    weights = [
        tf.Variable(m.normal(a, b) / np.float32(a**0.5), name=f"w{i}")
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    ]
    biases = [tf.Variable(0.1 * m.normal(b), name=f"b{i}") for i, b in enumerate(sizes[1:])]

    def body(x: tf.Tensor) -> dict:
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = tf.nn.relu(tf.matmul(x, w) + b)
        return {"probs": tf.nn.softmax(tf.matmul(x, weights[-1]) + biases[-1])}

    predict = signature(body, x=spec(tf.float32, [None, 64]))
    m.save({"serving_default": predict}, weights=weights, biases=biases)
    m.golden("serving_default", {"x": m.normal(5, 64)})


@model
def multi(m: Workspace) -> None:
    """Several signatures: two outputs, no inputs, and the default one."""
    sum_prod = signature(lambda a, b: {"sum": a + b, "prod": a * b}, a=VECTOR, b=VECTOR)
    m.save(
        {
            "serving_default": signature(lambda x: {"y": x + 1.0}, x=VECTOR),
            "double": signature(lambda x: {"y": x * 2.0}, x=VECTOR),
            "sum_prod": sum_prod,
            "no_inputs": signature(lambda: {"answer": tf.constant(42)}),
        }
    )
    m.golden("serving_default", {"x": m.normal(3)})
    m.golden("double", {"x": m.normal(3)})
    m.golden("sum_prod", {"a": m.normal(4), "b": m.normal(4)})
    m.golden("no_inputs")


@model
def identity(m: Workspace) -> None:
    """Results that are the caller's own input."""
    matrix = spec(tf.float32, [None, None])
    m.save(
        {
            "serving_default": signature(lambda x: {"y": tf.identity(x)}, x=matrix),
            "both": signature(lambda x: {"same": x, "next": x + 1.0}, x=matrix),
        }
    )
    m.golden("serving_default", {"x": m.normal(3, 16)})
    m.golden("both", {"x": m.normal(3, 16)})


@model
def slice_view(m: Workspace) -> None:
    """Results that may share memory with the input, or with each other: slice, reshape, split."""

    def body(x: tf.Tensor) -> dict:
        first, second = tf.split(x, 2)
        return {
            "tail": x[1:],
            "flat": tf.reshape(x, [-1]),
            "first": first,
            "second": second,
        }

    m.save({"serving_default": signature(body, x=spec(tf.float32, [None, 16]))})
    m.golden("serving_default", {"x": m.normal(4, 16)})


@model
def weights(m: Workspace) -> None:
    """Returns its own variable, which callers must not be able to change."""
    w = tf.Variable(m.normal(4, 5), name="w")
    apply = signature(lambda x: {"y": tf.matmul(x, w)}, x=spec(tf.float32, [None, 4]))
    m.save({"get": signature(lambda: {"w": w}), "apply": apply}, w=w)
    m.golden("get")
    m.golden("apply", {"x": m.normal(3, 4)})


@model
def constant(m: Workspace) -> None:
    """One constant, too big to be inlined, under two outputs."""
    values = m.normal(1000)

    def body() -> dict:
        c = tf.constant(values)
        return {"a": c, "b": c}

    m.save({"serving_default": signature(body)})
    m.golden("serving_default")


@model
def stateful(m: Workspace) -> None:
    """State that calls change: a counter, a stored input, a mutable table."""
    count = tf.Variable(0.0, name="count")
    stored = tf.Variable(tf.zeros(4), name="stored")
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=-1)

    def put(keys: tf.Tensor, values: tf.Tensor) -> dict:
        table.insert(keys, values)
        return {"size": table.size()}

    four = spec(tf.float32, [4])
    m.save(
        {
            "incr": signature(lambda by: {"count": count.assign_add(by)}, by=SCALAR),
            "get": signature(lambda: {"count": count}),
            "store": signature(lambda x: {"v": stored.assign(x)}, x=four),
            "load": signature(lambda: {"v": stored}),
            "put": signature(put, keys=WORDS, values=spec(tf.int64, [None])),
            "lookup": signature(lambda keys: {"values": table.lookup(keys)}, keys=WORDS),
        },
        count=count,
        stored=stored,
        table=table,
    )
    m.golden("incr", {"by": np.float32(2.5)})
    m.golden("get")
    m.golden("store", {"x": m.normal(4)})
    m.golden("load")
    m.golden("put", {"keys": [b"a", b"b", b"a"], "values": np.array([1, 2, 3], np.int64)})
    m.golden("lookup", {"keys": [b"a", b""]})


@model
def table(m: Workspace) -> None:
    """A vocabulary in an asset file, read by the init op."""
    path = m.write_vocabulary(["zero", "one", "two", "drei", "vier"])
    keys, values = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    source = tf.lookup.TextFileInitializer(path, tf.string, keys, tf.int64, values)
    words = tf.lookup.StaticHashTable(source, default_value=-1)
    lookup = signature(lambda word: {"id": words.lookup(word)}, word=WORDS)
    m.save({"serving_default": lookup, "lookup": lookup}, words=words)
    for name in "serving_default", "lookup":
        m.golden(name, {"word": [b"two", b"nobody", b"zero", b""]})


INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
SMALL_INTEGERS = ["int2", "int4", "uint2", "uint4"]
FLOATS = ["float16", "float32", "float64", "bfloat16", "float8_e5m2", "float8_e4m3fn"]
FLOATS += ["float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e4m3b11fnuz", "float4_e2m1fn"]


def _samples() -> dict[str, np.ndarray]:
    """A vector for each dtype, with its extremes."""
    samples: dict[str, np.ndarray] = {"bool": np.array([True, False, True])}
    for name in INTEGERS:
        info = np.iinfo(name)
        samples[name] = np.array([info.min, 0, 1, info.max], name)
    for name in SMALL_INTEGERS:
        dtype = tf.as_dtype(name).as_numpy_dtype
        bits = int(name[-1])
        low = 0 if name[0] == "u" else -(2 ** (bits - 1))
        samples[name] = np.arange(low, low + 2**bits).astype(dtype)
    for name in FLOATS:
        dtype = tf.as_dtype(name).as_numpy_dtype
        numbers = np.array([-1.5, -0.0, 0.5, 1.0, 6.0]).astype(dtype)
        infinity = np.array([np.inf, -np.inf, np.nan])
        has_infinity = name[:5] == "float" and name[5:].isdigit()
        has_infinity |= name in ("bfloat16", "float8_e5m2")
        samples[name] = np.append(numbers, infinity.astype(dtype)) if has_infinity else numbers
    for name in "complex64", "complex128":
        samples[name] = np.array([1 + 2j, -0.5j, 3], name)
    samples["string"] = np.array([b"", b"plain", b"\x00\xff", "gr\u00fcn".encode(), b"x" * 40], "O")
    return samples


@model
def dtypes(m: Workspace) -> None:
    """One signature for each dtype, called as the dtype is: y = x."""
    samples = _samples()
    m.save(
        {
            name: signature(lambda x: {"y": tf.identity(x)}, x=spec(tf.as_dtype(name), [None]))
            for name in samples
        }
    )
    for name, x in samples.items():
        m.golden(name, {"x": x})


@model
def strings(m: Workspace) -> None:
    """String tensors in and out, short ones and those that need memory of their own."""
    m.save(
        {
            "upper": signature(lambda s: {"t": tf.strings.upper(s)}, s=WORDS),
            "length": signature(lambda s: {"n": tf.strings.length(s)}, s=WORDS),
            "join": signature(lambda a, b: {"ab": tf.strings.join([a, b])}, a=WORDS, b=WORDS),
        }
    )
    m.golden("upper", {"s": [b"", b"one", b"a much longer string than fits inline"]})
    m.golden("length", {"s": [b"", "\u20ac".encode(), b"a\x00b", b"x" * 1000]})
    m.golden("join", {"a": [b"left ", b""], "b": [b"right", b"\xff\xfe"]})


@model
def scalar(m: Workspace) -> None:
    """Arrays of no dimension, and of no elements ("empty" is "vector" with nothing in it)."""
    vector = signature(lambda x: {"y": x * 2.0, "sum": tf.reduce_sum(x)}, x=VECTOR)
    m.save(
        {
            "serving_default": signature(lambda x: {"y": x * x}, x=SCALAR),
            "vector": vector,
            "empty": vector,
        }
    )
    m.golden("serving_default", {"x": np.float32(1.5)})
    m.golden("vector", {"x": m.normal(3)})
    m.golden("empty", {"x": m.normal(0)})


@model
def shapes(m: Workspace) -> None:
    """Inputs of a static shape, of a partly known shape, and of unknown rank."""
    for_shape = {"static": [2, 3], "partial": [None, 3], "unknown": None}
    m.save(
        {
            name: signature(lambda x: {"y": x * 2.0}, x=spec(tf.float32, shape))
            for name, shape in for_shape.items()
        }
    )
    m.golden("static", {"x": m.normal(2, 3)})
    m.golden("partial", {"x": m.normal(5, 3)})
    m.golden("unknown", {"x": m.normal(2, 1, 3)})


@model
def while_loop(m: Workspace) -> None:
    """Functional control flow: the Collatz steps of n by tf.while_loop, and a tf.cond."""

    def collatz(n: tf.Tensor) -> dict:
        def step(value: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.where(value % 2 == 0, value // 2, 3 * value + 1), steps + 1

        _, steps = tf.while_loop(lambda value, _: value > 1, step, [n, tf.constant(0)])
        return {"steps": steps}

    def branch(x: tf.Tensor) -> dict:
        return {"y": tf.cond(x > 0.0, lambda: tf.sqrt(x), lambda: -x)}

    m.save(
        {
            "serving_default": signature(collatz, n=COUNT),
            "cond": signature(branch, x=SCALAR),
        }
    )
    m.golden("serving_default", {"n": np.int32(27)})
    m.golden("cond", {"x": np.float32(-2.25)})


@model
def slow(m: Workspace) -> None:
    """Runs for as long as asked: n times a 64x64 matrix product. For timeouts and concurrency."""
    w = m.normal(64, 64) / np.float32(8)

    def body(n: tf.Tensor) -> dict:
        def step(i: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, tf.tanh(tf.matmul(x, w))

        start = [tf.constant(0), tf.eye(64)]
        _, x = tf.while_loop(lambda i, _: i < n, step, start, parallel_iterations=1)
        return {"mean": tf.reduce_mean(x)}

    spin = signature(body, n=COUNT)
    m.save({"serving_default": spin, "spin": spin})
    for name in "serving_default", "spin":
        m.golden(name, {"n": np.int32(3)})


@model
def wide(m: Workspace) -> None:
    """Eight branches that the inter-op threads can share."""
    branches = [m.normal(64, 64) / np.float32(8) for _ in range(8)]

    def body(x: tf.Tensor) -> dict:
        return {"y": tf.concat([tf.nn.relu(tf.matmul(x, w)) for w in branches], axis=1)}

    m.save({"serving_default": signature(body, x=spec(tf.float32, [None, 64]))})
    m.golden("serving_default", {"x": m.normal(4, 64)})


@model
def defaults(m: Workspace) -> None:
    """z = x * scale, where the SignatureDef gives scale a default of 3; the golden feeds that 3."""
    m.save({"serving_default": signature(lambda x, scale: {"z": x * scale}, x=VECTOR, scale=SCALAR)})
    with m.edit_proto() as proto:
        defaults = proto.meta_graphs[0].signature_def["serving_default"].defaults
        defaults["scale"].CopyFrom(tf.make_tensor_proto(3.0, tf.float32))
    m.golden("serving_default", {"x": m.normal(4), "scale": np.float32(3)})


@model
def random(m: Workspace) -> None:
    """Random results: "uniform" differs from call to call (no golden), "stateless" does not."""
    seed = spec(tf.int32, [2])
    m.save(
        {
            "uniform": signature(lambda: {"y": tf.random.uniform([16])}),
            "stateless": signature(lambda seed: {"y": tf.random.stateless_uniform([16], seed)}, seed=seed),
        }
    )
    m.golden("stateless", {"seed": np.array([7, 11], np.int32)})
