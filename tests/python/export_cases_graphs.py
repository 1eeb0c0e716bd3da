"""TensorFlow 1: graphs, sessions, checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import savedmodel as sm
import tensorflow as tf

from .exporting import Work

v1 = tf.compat.v1
X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
WORDS = np.array([b"green", b"blue"], object)


def classifier(work: Work, resource: bool) -> dict[str, Any]:
    """A classifier, trained for a step, with a partitioned variable and a table. The tensors by name."""
    vocabulary = work.dest / "words.txt"
    vocabulary.write_text("red\ngreen\n")
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    words = v1.placeholder(tf.string, [None], name="words")
    parts = None if resource else v1.fixed_size_partitioner(2)
    w = v1.get_variable("w", [4, 3], use_resource=resource, partitioner=parts)
    b = v1.get_variable("head/b", [3], use_resource=resource, initializer=v1.ones_initializer())
    logits = tf.add(tf.matmul(x, w), b, name="logits")
    probs = tf.nn.softmax(logits, name="probs")
    whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    source = tf.lookup.TextFileInitializer(str(vocabulary), tf.string, whole, tf.int64, line)
    ids = tf.identity(tf.lookup.StaticHashTable(source, -1).lookup(words), name="ids")
    tf.split(probs, [1, 2], axis=1, name="split")
    train = v1.train.AdamOptimizer(0.1).minimize(tf.reduce_mean(probs[:, 0]))
    return {"x": x, "words": words, "probs": probs, "ids": ids, "train": train}


def initialise(session: Any, tensors: dict[str, Any]) -> None:
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    session.run(tensors["train"], {tensors["x"]: X})


def case_checkpoint(work: Work) -> None:
    for kind in "ref", "resource":
        with v1.Graph().as_default() as graph, v1.Session() as session:
            tensors = classifier(work, kind == "resource")
            initialise(session, tensors)
            prefix = v1.train.Saver().save(session, str(work.dest / "run" / kind), global_step=7)
            feeds = {"x:0": X, "words:0": WORDS}
            probs, logits, ids = session.run(["probs:0", "logits:0", "ids:0"], feeds)
            frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["probs"])
        (work.dest / f"{kind}.pb").write_bytes(frozen.SerializeToString())
        work.convert(kind, sm.export.checkpoint, prefix, inputs={"image": "x"}, outputs=["probs:0"])
        work.expect(kind, {"image": X}, {"probs": probs})
        several = {
            "probs": sm.export.predict({"x": "x"}, {"p": "probs", "first": "split", "rest": "split:1"}),
            "ids": sm.export.GraphSignature({"w": "words"}, {"ids": "ids"}, "my/method"),
            "head": sm.export.predict({"logits": "logits"}, {"p": "probs"}),
        }
        name = f"several_{kind}"
        work.convert(
            name, sm.export.checkpoint, f"{prefix}.meta", signatures=several, batch=3, samples={"x": X}
        )
        first = {"p": probs, "first": probs[:, :1], "rest": probs[:, 1:]}
        work.expect(name, {"x": X}, first, "probs")
    work.expect("several_ref", {"w": WORDS[[0, 1, 0]]}, {"ids": ids[[0, 1, 0]]}, "ids")
    work.expect("several_ref", {"logits": np.log(probs)}, {"p": probs}, "head")
    work.convert("frozen", sm.export.frozen_graph, work.dest / "resource.pb", inputs="x", outputs="probs")
    work.expect("frozen", {"x": X}, {"probs": probs})
    text = work.dest / "resource.pbtxt"
    text.write_text(str(frozen))
    work.convert("text", sm.export.frozen_graph, text, inputs="x", outputs={"p": "probs:0"}, batch=3)
    work.expect("text", {"x": X}, {"p": probs})
    work.convert("by_folder", sm.export.checkpoint, work.dest / "run", inputs="x", outputs="probs")
    work.expect("by_folder", {"x": X}, {"probs": probs})
    run = work.dest / "run"
    (work.dest / "words.txt").unlink()
    work.convert("no_asset", sm.export.checkpoint, run, inputs="x", outputs="probs")
    work.expect("no_asset", {"x": X}, {"probs": probs})
    work.convert("asset_missing", sm.export.checkpoint, run, inputs="words", outputs="ids")
    work.convert("no_tensor", sm.export.checkpoint, run, inputs="x", outputs="prob")
    work.convert("no_output", sm.export.checkpoint, run, inputs="x", outputs="probs:1")
    work.convert("no_input_tensor", sm.export.frozen_graph, text, inputs="X", outputs="probs")
    work.convert("no_names", sm.export.checkpoint, run)
    work.convert("no_checkpoint", sm.export.checkpoint, run / "resource-8", inputs="x", outputs="probs")
    (run / "resource-7.meta").unlink()
    work.convert("no_meta", sm.export.checkpoint, run / "resource-7", inputs="x", outputs="probs")

    def head() -> Any:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        v1.get_variable("not_needed", [1])
        w, b = (v1.get_variable(name, shape) for name, shape in (("w", [4, 3]), ("head/b", [3])))
        return sm.export.predict({"x": x}, {"probs": tf.nn.softmax(tf.matmul(x, w) + b)})

    work.convert("built", sm.export.checkpoint, run / "resource-7", graph=head)
    work.expect("built", {"x": X}, {"probs": probs})

    def named() -> Any:
        head()
        names = {"p": "Softmax", "logits": "add"}
        return {"names": sm.export.predict({"x": "x"}, names)}

    work.convert("named", sm.export.checkpoint, run / "resource-7", graph=named)
    work.expect("named", {"x": X}, {"p": probs, "logits": logits}, "names")

    def sparse() -> Any:
        x = v1.sparse_placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("w", [4, 3])
        return sm.export.predict({"x": x}, {"y": tf.sparse.sparse_dense_matmul(x, w)})

    work.convert("sparse", sm.export.checkpoint, run / "resource-7", graph=sparse)

    def other() -> Any:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        return sm.export.predict({"x": x}, {"y": x + v1.get_variable("head/bias", [4])})

    work.convert("missing_variable", sm.export.checkpoint, run / "resource-7", graph=other)
    work.convert("built_nothing", sm.export.checkpoint, run / "resource-7", graph=lambda: None)


def case_batch(work: Work) -> None:
    """A graph of a batch of two, one that knows it in a Reshape, a default, and a Saver of long ago."""
    with v1.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [2, 4], name="x")
        y = tf.matmul(x, v1.get_variable("w", [4, 3], initializer=v1.ones_initializer()), name="y")
        tf.reshape(y, [2, 3, 1], name="reshaped")
        tf.reduce_sum(y, name="total")
        tf.multiply(y, v1.placeholder_with_default(2.0, [], name="factor"), name="scaled")
        session.run(v1.global_variables_initializer())
        (work.dest / "old").mkdir()
        prefix = v1.train.Saver(write_version=v1.train.SaverDef.V1).save(
            session, str(work.dest / "old/model")
        )
        names = ["reshaped", "total", "scaled"]
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), names)
    file = work.dest / "two.pb"
    file.write_bytes(frozen.SerializeToString())
    sums = X.sum(-1, keepdims=True).repeat(3, -1)
    free = {"x": (None, 4)}
    work.convert("freed", sm.export.frozen_graph, file, inputs="x", outputs="y", input_shapes=free)
    work.expect("freed", {"x": X}, {"y": sums})
    work.convert("batch_of_3", sm.export.frozen_graph, file, inputs="x", outputs="y", batch=3)
    work.expect("batch_of_3", {"x": X}, {"y": sums})
    work.convert("baked", sm.export.frozen_graph, file, inputs="x", outputs="reshaped", input_shapes=free)
    work.convert("baked_3", sm.export.frozen_graph, file, inputs="x", outputs="reshaped", batch=3)
    work.convert("total", sm.export.frozen_graph, file, inputs="x", outputs="total", input_shapes=free)
    signatures = {
        "doubled": sm.export.predict({"x": "x"}, {"y": "scaled"}),
        "scaled": sm.export.predict({"x": "x", "factor": "factor"}, {"y": "scaled"}),
    }
    work.convert("default", sm.export.frozen_graph, file, signatures=signatures)
    work.expect("default", {"x": X[:2]}, {"y": 2 * sums[:2]}, "doubled")
    work.expect("default", {"x": X[:2], "factor": np.float32(3)}, {"y": 3 * sums[:2]}, "scaled")
    work.convert("old_saver", sm.export.checkpoint, prefix, inputs="x", outputs="y")
    work.expect("old_saver", {"x": X[:2]}, {"y": sums[:2]})
    shared = {
        "first": sm.export.predict({"x": "x"}, {"y": "y"}),
        "second": sm.export.predict({"rows": "x"}, {"y": "scaled"}),
    }
    work.convert("one_shape", sm.export.frozen_graph, file, signatures=shared, input_shapes={"x": (1, 4)})
    shapes = {"x": (1, 4), "rows": (3, 4)}
    work.convert("two_shapes", sm.export.frozen_graph, file, signatures=shared, input_shapes=shapes)
    scalar = {"x": np.float32(1)}
    work.convert("scalar", sm.export.frozen_graph, file, inputs="x", outputs="y", samples=scalar)
    saved = work.outcomes["freed"].path / "saved_model.pb"
    work.convert("saved_already", sm.export.frozen_graph, saved, inputs="x", outputs="y")


def case_batch_beside_a_free_one(work: Work) -> None:
    """The source takes two rows of one input, and any number of the other, but as many."""
    with v1.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [2, 4], name="x")
        scale = v1.placeholder(tf.float32, [None, 1], name="scale")
        tf.multiply(x, scale, name="y")
    file = work.dest / "beside.pb"
    file.write_bytes(graph.as_graph_def().SerializeToString())
    free, inputs = {"x": (None, 4)}, ["x", "scale"]
    factors = np.array([[1], [2], [3]], np.float32)
    work.convert("beside", sm.export.frozen_graph, file, inputs=inputs, outputs="y", input_shapes=free)
    work.expect("beside", {"x": X, "scale": factors}, {"y": X * factors})


def case_iterator(work: Work) -> None:
    """What a training script reads from a dataset is fed, and its saver names the variables otherwise."""
    x = np.ones((2, 3), np.float32)
    with v1.Graph().as_default(), v1.Session() as session:
        rows = tf.data.Dataset.from_tensor_slices((x, np.array([7, 8]))).repeat().batch(2)
        image, label = v1.data.make_one_shot_iterator(rows).get_next()
        w = v1.get_variable("w", [3, 2])
        y = tf.matmul(image, w, name="y")
        tf.identity(label, name="label")
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver({"averaged/w": w}).save(session, str(work.dest / "iterator"))
        expected = session.run(y)
    work.convert("iterator", sm.export.checkpoint, prefix, inputs={"x": "IteratorGetNext:0"}, outputs="y")
    work.expect("iterator", {"x": x}, {"y": expected})


def case_unfit(work: Work) -> None:
    """What only the training script has: a queue, Python, a table that is filled; and a local variable."""
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("w", [4], initializer=v1.ones_initializer())
        local = v1.get_variable(
            "local", [4], collections=["local_variables"], initializer=v1.ones_initializer()
        )
        tf.add(x * w, local, name="added")
        tf.multiply(v1.FIFOQueue(3, tf.float32, [[4]], name="q").dequeue_many(2), w, name="from_queue")
        tf.identity(tf.numpy_function(np.abs, [x * w], tf.float32), name="from_python")
        table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)
        tf.identity(table.lookup(tf.cast(x, tf.int64)), name="from_table")
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        prefix = v1.train.Saver().save(session, str(work.dest / "unfit"))
    for name in "added", "from_queue", "from_python", "from_table":
        work.convert(name, sm.export.checkpoint, prefix, inputs="x", outputs=name)
    work.expect("added", {"x": X}, {"added": X + 1})


def case_graphs(work: Work) -> None:
    with v1.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, None, name="x")
        tf.reduce_sum(x, name="y", axis=-1)
        tf.nn.relu(x, name="unused")
    unknown = work.dest / "unknown.pb"
    unknown.write_bytes(graph.as_graph_def().SerializeToString())
    work.convert(
        "shape", sm.export.frozen_graph, unknown, inputs="x", outputs="y", input_shapes={"x": (None, 4)}
    )
    work.expect("shape", {"x": X}, {"y": X.sum(-1)})
    broken = graph.as_graph_def()
    next(node for node in broken.node if node.name == "y").op = "MyCompanysSum"
    file = work.dest / "broken.pb"
    file.write_bytes(broken.SerializeToString())
    work.convert("missing_op", sm.export.frozen_graph, file, inputs="x", outputs="y")
    with v1.Graph().as_default() as graph:
        tf.identity(v1.get_variable("w", [3]), name="y")
    file = work.dest / "not_frozen.pb"
    file.write_bytes(graph.as_graph_def().SerializeToString())
    work.convert("not_frozen", sm.export.frozen_graph, file, outputs="y")
    file = work.dest / "garbage.pb"
    file.write_bytes(b"\xff\x01garbage")
    work.convert("garbage", sm.export.frozen_graph, file, inputs="x", outputs="y")
    file.with_suffix(".pbtxt").write_text("node {{")
    work.convert("garbage_text", sm.export.frozen_graph, file.with_suffix(".pbtxt"), inputs="x", outputs="y")
