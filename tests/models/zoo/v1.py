"""Models made as TensorFlow 1 made them: a graph, a session and a SavedModelBuilder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from .registry import Tags, Workspace, model

v1 = tf.compat.v1
PREDICT = "tensorflow/serving/predict"


def signature(inputs: Mapping[str, object], outputs: Mapping[str, object], method: str = PREDICT) -> object:
    """A SignatureDef for tensors, or for TensorInfos where those are to be wrong."""

    def infos(tensors: Mapping[str, object]) -> dict[str, object]:
        info = v1.saved_model.build_tensor_info
        ready = type(info(v1.constant(0)))
        return {k: t if isinstance(t, ready) else info(t) for k, t in tensors.items()}

    return v1.saved_model.build_signature_def(infos(inputs), infos(outputs), method)


@contextlib.contextmanager
def new_session() -> Iterator[v1.Session]:
    """A session of a new graph, which is the default one."""
    with tf.Graph().as_default() as graph:
        # A pinned device that is not there must not keep a model from being written.
        config = v1.ConfigProto(allow_soft_placement=True)
        with v1.Session(graph=graph, config=config) as session:
            yield session


def save(
    m: Workspace,
    session: v1.Session,
    signatures: Mapping[str, object],
    *,
    as_text: bool = False,
    main_op: tf.Operation | None = None,
    strip_default_attrs: bool = False,
) -> None:
    """Initialises the variables and writes a model with the tag `serve`."""
    session.run(v1.global_variables_initializer())
    builder = v1.saved_model.Builder(str(m.path))
    builder.add_meta_graph_and_variables(
        session,
        ["serve"],
        signature_def_map=dict(signatures),
        assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        main_op=main_op,
        strip_default_attrs=strip_default_attrs,
    )
    builder.save(as_text=as_text)


def vocabulary_table(path: str) -> tf.lookup.StaticHashTable:
    """A table of a file's lines, which becomes an asset of the default graph."""
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    source = tf.lookup.TextFileInitializer(path, tf.string, line, tf.int64, number)
    return v1.lookup.StaticHashTable(source, default_value=-1)


@model
def v1_ref_counter(m: Workspace) -> None:
    """Reference variables: the results are of the dtype float32_ref."""
    with new_session() as session:
        counter = v1.get_variable("counter", initializer=10.0, use_resource=False)
        delta = v1.placeholder(tf.float32, [], "delta")
        incr = v1.assign_add(counter, delta)
        signatures = {
            "incr": signature({"delta": delta}, {"counter": incr}),
            "get": signature({}, {"counter": counter}),
        }
        save(m, session, signatures)
    m.golden("incr", {"delta": np.float32(1.5)})
    m.golden("get")


@model
def v1_ref_weights(m: Workspace) -> None:
    """Reference variables that no signature writes; an op beside them assigns one."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None, 8], "x")
        w = v1.get_variable("w", initializer=m.normal(8, 4), use_resource=False)
        b = v1.get_variable("b", initializer=m.normal(4), use_resource=False)
        v1.assign(b, v1.placeholder(tf.float32, [4], "new_b"), name="set_b")
        y = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b))
        save(m, session, {"serving_default": signature({"x": x}, {"y": y, "b": b})})
    m.golden("serving_default", {"x": m.normal(3, 8)})


@model
def v1_multi_tags(m: Workspace) -> None:
    """Four meta graphs ({serve}, {serve, gpu}, {train}, no tag) that share variables and asset."""
    path = m.write_vocabulary(["red", "green", "blue"])
    initial = m.normal(3)
    builder = v1.saved_model.Builder(str(m.path))
    factors: dict[Tags, float] = {("serve",): 1.0, ("serve", "gpu"): 2.0, ("train",): 3.0, (): 4.0}
    for tags, factor in factors.items():
        with new_session() as session:
            w = v1.get_variable("w", initializer=initial, use_resource=True)
            x = v1.placeholder(tf.float32, [None, 3], "x")
            word = v1.placeholder(tf.string, [None], "word")
            words = vocabulary_table(path)
            signatures = {
                "serving_default": signature({"x": x}, {"y": x * w * factor}),
                "lookup": signature({"word": word}, {"id": words.lookup(word)}),
            }
            options = {
                "signature_def_map": signatures,
                "assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                "main_op": v1.tables_initializer(),
            }
            if tags == ("serve",):
                session.run(v1.global_variables_initializer())
                builder.add_meta_graph_and_variables(session, list(tags), **options)
            else:
                builder.add_meta_graph(list(tags), **options)
        m.golden("serving_default", {"x": m.normal(2, 3)}, tags)
        m.golden("lookup", {"word": [b"blue", b"grey"]}, tags)
    builder.save()


@model
def examples(m: Workspace) -> None:
    """Signatures for TensorFlow Serving's Classify and Regress, on tf.train.Examples of `a` and `b`."""
    with new_session() as session:
        serialized = v1.placeholder(tf.string, [None], "serialized")
        features = {name: v1.FixedLenFeature([], tf.float32) for name in "ab"}
        parsed = v1.parse_example(serialized, features)
        a, b = parsed["a"], parsed["b"]
        scores = tf.stack([a, b, a + b], axis=1)
        classes = tf.tile(tf.constant([["first", "second", "both"]]), [tf.size(serialized), 1])
        ins, classify = {"inputs": serialized}, "tensorflow/serving/classify"
        regress = "tensorflow/serving/regress"
        save(
            m,
            session,
            {
                "serving_default": signature(ins, {"classes": classes, "scores": scores}, classify),
                "scores": signature(ins, {"scores": scores}, classify),
                "labels": signature(ins, {"classes": classes}, classify),
                "sum": signature(ins, {"outputs": (a + b)[:, None]}, regress),
                "product": signature(ins, {"outputs": a * b}, regress),
                "matrix": signature(ins, {"outputs": scores}, regress),
                "numbers": signature({"a": a, "b": b}, {"outputs": a + b}, regress),
                "predict": signature(ins, {"y": a - b}),
            },
        )


@model
def v1_main_op(m: Workspace) -> None:
    """A table that the op in the collection saved_model_main_op fills from an asset."""
    with new_session() as session:
        words = vocabulary_table(m.write_vocabulary(["alpha", "beta", "gamma"]))
        word = v1.placeholder(tf.string, [None], "word")
        lookup = signature({"word": word}, {"id": words.lookup(word)})
        save(m, session, {"serving_default": lookup}, main_op=v1.tables_initializer())
    m.golden("serving_default", {"word": [b"gamma", b"delta"]})


@model
def v1_legacy_init_op(m: Workspace) -> None:
    """As v1_main_op, with the older collection legacy_init_op."""
    with new_session() as session:
        words = vocabulary_table(m.write_vocabulary(["alpha", "beta", "gamma"]))
        word = v1.placeholder(tf.string, [None], "word")
        lookup = signature({"word": word}, {"id": words.lookup(word)})
        v1.add_to_collection("legacy_init_op", v1.tables_initializer())
        save(m, session, {"serving_default": lookup})
    m.golden("serving_default", {"word": [b"beta", b""]})


@model
def v1_stripped(m: Workspace) -> None:
    """Attributes that have their default are left out, in the graph and in functions."""
    with new_session() as session:
        image = v1.placeholder(tf.float32, [None, 6, 6, 3], "image")

        def dense(x: tf.Tensor, units: int) -> tf.Tensor:
            return tf.nn.bias_add(tf.matmul(x, m.normal(int(x.shape[-1]), units)), m.normal(units))

        @tf.function
        def head(x: tf.Tensor) -> tf.Tensor:
            return tf.nn.tanh(dense(tf.nn.relu(dense(x, 8)), 4))

        x = tf.nn.relu(
            tf.nn.bias_add(tf.nn.conv2d(image, 0.3 * m.normal(3, 3, 3, 4), 1, "SAME"), m.normal(4))
        )
        x = tf.reshape(tf.nn.max_pool2d(x, 2, 2, "VALID"), [-1, 36])
        y = head(tf.nn.sigmoid(dense(0.1 * x, 16)))
        save(m, session, {"serving_default": signature({"image": image}, {"y": y})}, strip_default_attrs=True)
    m.golden("serving_default", {"image": m.normal(2, 6, 6, 3)})


@model
def v1_pbtxt(m: Workspace) -> None:
    """A saved_model.pbtxt in place of the .pb."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        w = v1.get_variable("w", initializer=2.5, use_resource=True)
        save(m, session, {"serving_default": signature({"x": x}, {"y": x * w})}, as_text=True)
    m.golden("serving_default", {"x": m.normal(4)})


@model
def v1_partitioned_variable(m: Workspace) -> None:
    """One variable saved as two slices."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        w = v1.get_variable(
            "w",
            initializer=tf.constant(m.normal(6, 4)),
            partitioner=v1.fixed_size_partitioner(2),
            use_resource=True,
        )
        y = tf.matmul(x, tf.convert_to_tensor(w))
        save(m, session, {"serving_default": signature({"x": x}, {"y": y})})
    m.golden("serving_default", {"x": m.normal(3, 6)})


@model
def quantized(m: Workspace) -> None:
    """Quantised dtypes, one signature for each; goldens hold them as plain integers."""
    kinds = {"qint8": "i1", "quint8": "u1", "qint16": "i2", "quint16": "u2", "qint32": "i4"}
    with new_session() as session:
        signatures = {}
        for kind in kinds:
            x = v1.placeholder(tf.as_dtype(kind), [None], f"x_{kind}")
            signatures[kind] = signature({"x": x}, {"y": tf.identity(x)})
        save(m, session, signatures)
    for kind, storage in kinds.items():
        info = np.iinfo(storage)
        x = np.array([info.min, 0, 1, info.max], storage)
        m.golden(kind, {"x": x.view(tf.as_dtype(kind).as_numpy_dtype)})


@model
def odd_names(m: Workspace) -> None:
    """Names that are not identifiers: a keyword, a slash, a space."""
    with new_session() as session:
        a = v1.placeholder(tf.float32, [None], "a")
        b = v1.placeholder(tf.float32, [None], "b")
        c = v1.placeholder(tf.float32, [None], "c")
        total = a + 10.0 * b + 100.0 * c
        inputs = {"in": a, "0/observation": b, "a b": c}
        signatures = {
            "serving_default": signature(inputs, {"total": total}),
            PREDICT: signature({"in": a}, {"out/0": -a, "class": a + 1.0}),
        }
        save(m, session, signatures)
    m.golden("serving_default", {name: m.normal(3) for name in inputs})
    m.golden(PREDICT, {"in": m.normal(3)})


@model
def two_devices(m: Workspace) -> None:
    """Nodes pinned to a GPU: without one, only soft placement can run it."""
    with new_session() as session:
        x = v1.placeholder(tf.float32, [None, 8], "x")
        with tf.device("/device:GPU:0"):
            hidden = tf.matmul(x, v1.constant(m.normal(8, 8)))
        with tf.device("/device:CPU:0"):
            y = hidden + v1.constant(m.normal(8))
        save(m, session, {"serving_default": signature({"x": x}, {"y": y})})
    m.golden("serving_default", {"x": m.normal(2, 8)})


@model
def control_flow_v1(m: Workspace) -> None:
    """Switch, Merge, Enter, Exit: a cond and a while loop of the first kind."""
    v1.disable_control_flow_v2()
    try:
        with new_session() as session:
            x = v1.placeholder(tf.float32, [], "x")
            branch = v1.cond(x > 0.0, lambda: tf.sqrt(x), lambda: -x)
            n = v1.placeholder(tf.int32, [], "n")
            start = [v1.constant(0), v1.constant(1)]
            _, power = v1.while_loop(lambda i, _: i < n, lambda i, p: (i + 1, p * 2), start)
            signatures = {
                "cond": signature({"x": x}, {"y": branch}),
                "while": signature({"n": n}, {"power": power}),
            }
            save(m, session, signatures)
    finally:
        v1.enable_control_flow_v2()
    m.golden("cond", {"x": np.float32(6.25)})
    m.golden("while", {"n": np.int32(10)})


@model
def composite(m: Workspace) -> None:
    """Sparse and ragged values in and out, as coo_sparse and CompositeTensorInfo."""
    with new_session() as session:
        sparse = v1.sparse_placeholder(tf.float32, [None, None], "sparse")
        scaled = tf.SparseTensor(sparse.indices, sparse.values * 2.0, sparse.dense_shape)
        ragged = v1.ragged.placeholder(tf.float32, 1, [], "ragged")
        nested = v1.ragged.placeholder(tf.int32, 2, [], "nested")
        words = v1.ragged.placeholder(tf.string, 1, [], "words")
        signatures = {
            "sparse": signature({"x": sparse}, {"y": scaled, "dense": tf.sparse.to_dense(scaled)}),
            "ragged": signature({"x": ragged}, {"y": ragged * 2.0}),
            "nested": signature({"x": nested}, {"y": nested + 1}),
            "mixed": signature({"x": words, "by": sparse}, {"y": words, "z": scaled}),
        }
        save(m, session, signatures)
    indices, shape = np.array([[0, 1], [2, 0]], np.int64), np.array([3, 2], np.int64)
    values = m.normal(2)
    m.golden("sparse", {"x#indices": indices, "x#values": values, "x#dense_shape": shape})
    splits = np.array([0, 2, 2, 3], np.int64)
    m.golden("ragged", {"x#0": m.normal(3), "x#1": splits})
    outer, inner = np.array([0, 2, 3], np.int64), np.array([0, 1, 1, 4], np.int64)
    m.golden("nested", {"x#0": np.arange(4, dtype=np.int32), "x#1": outer, "x#2": inner})
    mixed = {"x#0": np.array([b"a", b"", b"ccc"], "O"), "x#1": splits}
    sparse_by = {"by#indices": indices, "by#values": values, "by#dense_shape": shape}
    m.golden("mixed", mixed | sparse_by)
