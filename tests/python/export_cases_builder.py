"""SavedModels built piece by piece, and what TensorFlow's own loaders make of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import savedmodel as sm
import tensorflow as tf
from tensorflow.python.saved_model import signature_constants as keys
from tensorflow.python.saved_model import tag_constants

from .exporting import Outcome, Work

v1 = tf.compat.v1
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
WORDS = np.array([b"green", b"blue"], object)
TAGS = {("serve",): 1.0, ("gpu", "serve"): 10.0, (): 100.0}


def vocabulary(path: Path, words: Sequence[str]) -> Any:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(words) + "\n")
    whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    source = tf.lookup.TextFileInitializer(str(path), tf.string, whole, tf.int64, line)
    return tf.lookup.StaticHashTable(source, -1)


def graph(work: Work, factor: float, words: Sequence[str] = ("red", "green")) -> dict[str, Any]:
    """y = factor * x * w, ids of words, and what TensorFlow Serving calls a classifier and a regressor."""
    x = v1.placeholder(tf.float32, [None, 2], "x")
    w = v1.get_variable("w", initializer=np.array([2.0, 3.0], np.float32), use_resource=True)
    y = tf.multiply(x * w, factor, name="y")
    query = v1.placeholder(tf.string, [None], "words")
    examples = v1.placeholder(tf.string, [None], "examples")
    parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
    return {
        "serving_default": sm.export.predict({"x": x}, {"y": y}),
        "ids": sm.export.predict(
            {"words": query}, {"ids": vocabulary(work.dest / str(factor) / "words.txt", words).lookup(query)}
        ),
        "classify": sm.export.classify(examples, tf.as_string(parsed), parsed * factor),
        "regress": sm.export.regress("examples", parsed * factor),
    }


def example(value: float) -> bytes:
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    text: bytes = tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString()
    return text


def several(source: Work, path: Path, as_text: bool = False) -> Any:
    with sm.export.Builder(path) as builder:
        builder.add_extra("notes/labels.txt", b"a label")
        for tags, factor in TAGS.items():
            with v1.Graph().as_default() as each, tf.device("/device:GPU:0" if "gpu" in tags else None):
                signatures = graph(source, factor)
                if tags == ("serve",):
                    with v1.Session() as session:
                        session.run(v1.global_variables_initializer())
                        builder.add(session, tags=tags, signatures=signatures)
                else:
                    builder.add(
                        each,
                        tags=tags,
                        signatures=signatures,
                        clear_devices="gpu" in tags,
                        strip_default_attrs="gpu" in tags,
                    )
        builder.add_extra("words_again.txt", source.dest / "1.0" / "words.txt")
        return builder.save(as_text=as_text)


def case_several(work: Work) -> None:
    """Three MetaGraphs that share a variable and an asset. Each loader's answers are noted."""
    work.convert("several", several, work)
    work.convert("text", several, work, as_text=True)
    for name in "several", "text":
        outcome = work.outcomes[name]
        for tags in () if outcome.error else TAGS:
            key = "+".join(tags)
            with v1.Graph().as_default(), v1.Session() as session:
                meta_graph = v1.saved_model.load(session, list(tags), str(outcome.path))
                signatures = meta_graph.signature_def
                feeds = {
                    signatures["serving_default"].inputs["x"].name: X,
                    signatures["ids"].inputs["words"].name: WORDS,
                    signatures["regress"].inputs["inputs"].name: [example(4.0)],
                }
                fetches = {
                    "y": signatures["serving_default"].outputs["y"].name,
                    "ids": signatures["ids"].outputs["ids"].name,
                    "classes": signatures["classify"].outputs["classes"].name,
                    "outputs": signatures["regress"].outputs["outputs"].name,
                }
                outcome.tensorflow[f"v1 {key}"] = dict(session.run(fetches, feeds))
            loaded = tf.saved_model.load(str(outcome.path), list(tags)).signatures
            outcome.tensorflow[f"v2 {key}"] = {
                "y": loaded["serving_default"](x=tf.constant(X))["y"].numpy(),
                "ids": loaded["ids"](words=tf.constant(WORDS))["ids"].numpy(),
                "classes": loaded["classify"](inputs=tf.constant([example(4.0)]))["classes"].numpy(),
                "outputs": loaded["regress"](inputs=tf.constant([example(4.0)]))["outputs"].numpy(),
            }


def case_main_op(work: Work) -> None:
    with v1.Graph().as_default() as same, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        total = v1.get_variable("total", initializer=0.0)
        init = v1.assign(total, 42.0, name="set_total").op
        y = tf.add(x, total, name="y")
        sparse = v1.sparse_placeholder(tf.float32, [None, 2], "sparse")
        session.run(v1.global_variables_initializer())

        def with_main_op(main_op: Any, path: Path) -> Any:
            with sm.export.Builder(path) as builder:
                signatures = {"serving_default": sm.export.predict({"x": x}, {"y": "y"})}
                builder.add(session, signatures=signatures, main_op=main_op)
                # The same graph once more, without it.
                builder.add(same, tags=["plain"], signatures=signatures)
                return builder.save()

        for name, main_op in (
            ("main_op", init),
            ("main_op_by_name", "set_total"),
            ("no_main_op", "set_totals"),
        ):
            work.convert(name, with_main_op, main_op)
        work.convert("simple", sm.export.simple_save, session, inputs={"x": x}, outputs={"y": y})
        work.convert(
            "sparse", sm.export.simple_save, session, inputs={"s": sparse}, outputs={"s": sparse * 2.0}
        )

        def mistaken(what: Any, path: Path) -> Any:
            with sm.export.Builder(path) as builder:
                what(builder)

        ones = np.ones(2, np.float32)
        mistakes = {
            "empty": lambda b: None,
            "no_variables": lambda b: b.add(same),
            "no_source": lambda b: b.add("graph"),
            "tags_twice": lambda b: b.add(session).add(same),
            "tags_text": lambda b: b.add(session, tags="serve"),
            "no_tensor": lambda b: b.add(session, signatures={"a": sm.export.predict({"x": "xx"}, {"y": y})}),
            "no_array": lambda b: b.add(session, signatures={"a": sm.export.predict({"x": ones}, {"y": y})}),
            "other_graph": other_graph,
            "no_signature": lambda b: b.add(session, signatures={"a": {"x": x}}),
            "reserved": lambda b: b.add(
                session, signatures={"__saved_model_init_op": sm.export.predict({"x": x}, {"y": y})}
            ),
            "classify_floats": lambda b: b.add(session, signatures={"a": sm.export.classify(x, scores=y)}),
            "extra_outside": lambda b: b.add(session).add_extra("../labels.txt", b""),
            "extra_twice": lambda b: b.add(session).add_extra("a", b"").add_extra("a", b""),
            "raised": lambda b: b.add(session) and 1 / 0,
            "uninitialised": uninitialised,
            "other_variables": other_variables,
        }
        for name, what in mistakes.items():
            work.convert(name, mistaken, what)
        used = sm.export.Builder(work.dest / "used" / "model")
        used.add(session).save()
        work.convert("closed", lambda source, path: used.add(session), None)
    work.expect("simple", {"x": X[0]}, {"y": X[0]})


def uninitialised(builder: Any) -> None:
    with v1.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", [2])
        builder.add(session)


def other_graph(builder: Any) -> None:
    with v1.Graph().as_default():
        x = v1.placeholder(tf.float32, [None], "x")
    with v1.Graph().as_default(), v1.Session() as session:
        y = v1.placeholder(tf.float32, [None], "x") * 2.0
        builder.add(session, signatures={"a": sm.export.predict({"x": x}, {"y": y})})


def other_variables(builder: Any) -> None:
    """The second graph has a variable that was not saved."""
    for name, tags in ("w", ["serve"]), ("weight", ["train"]):
        with v1.Graph().as_default(), v1.Session() as session:
            v1.get_variable(name, [2], use_resource=True)
            session.run(v1.global_variables_initializer())
            builder.add(session, tags=tags)


def case_assets(work: Work) -> None:
    """Two files of one name, of which SavedModelBuilder would keep the first."""

    def build(words: Sequence[str], path: Path) -> Any:
        with sm.export.Builder(path) as builder:
            for factor, tags in (1.0, ["serve"]), (2.0, ["other"]):
                with v1.Graph().as_default(), v1.Session() as session:
                    signatures = graph(work, factor, words if factor == 2.0 else ("red", "green"))
                    session.run(v1.global_variables_initializer())
                    builder.add(session, tags=tags, signatures=signatures)

    work.convert("other_asset", build, ("red", "black"))
    work.convert("same_asset", build, ("red", "green"))


def case_read_file(work: Work) -> None:
    """Files that the main op reads (TensorFlow feeds their paths to nothing else), two of one name."""
    for folder in "a", "b", "c":
        (work.dest / folder).mkdir()
        (work.dest / folder / "f.txt").write_text(folder)

    def build(folders: Sequence[str], path: Path, given: Any = None, overwrite: bool = False) -> Any:
        with sm.export.Builder(path, overwrite=overwrite) as builder:
            for tag, names in zip(("serve", "other"), folders, strict=False):
                with v1.Graph().as_default(), v1.Session() as session:
                    files = [tf.constant(str(work.dest / name / "f.txt"), name=name) for name in names]
                    text = v1.get_variable("text", initializer="", use_resource=True)
                    read = text.assign(tf.strings.join([tf.io.read_file(file) for file in files]))
                    session.run(text.initializer)
                    signatures = {"serving_default": sm.export.predict({}, {"text": text + ""})}
                    assets = files if given is None else given
                    builder.add(session, tags=[tag], signatures=signatures, assets=assets, main_op=read.op)

    work.convert("read", build, ["ab"])
    work.convert("read_again", build, ["ab", "ab"])
    work.convert("read_by_name", build, ["a"], given=["a"])
    work.convert("read_other", build, ["ab", "ac"])
    work.convert("no_constant", build, ["a"], given=["ReadFile"])
    work.convert("read_replaced", build, ["a"])
    work.convert("read_replaced", build, ["c"], overwrite=True)
    (work.dest / "a" / "f.txt").unlink()
    work.convert("no_file", build, ["a"])


def case_constants(work: Work) -> None:
    """What TensorFlow calls the names that `savedmodel.export` has constants for."""
    theirs = {
        "DEFAULT_SIGNATURE": {keys.DEFAULT_SERVING_SIGNATURE_DEF_KEY},
        "PREDICT": {keys.PREDICT_METHOD_NAME},
        "CLASSIFY": {keys.CLASSIFY_METHOD_NAME},
        "REGRESS": {keys.REGRESS_METHOD_NAME},
        "INPUTS": {keys.PREDICT_INPUTS, keys.CLASSIFY_INPUTS, keys.REGRESS_INPUTS},
        "OUTPUTS": {keys.PREDICT_OUTPUTS, keys.REGRESS_OUTPUTS},
        "CLASSES": {keys.CLASSIFY_OUTPUT_CLASSES},
        "SCORES": {keys.CLASSIFY_OUTPUT_SCORES},
        **{name: {getattr(tag_constants, name)} for name in ("SERVING", "TRAINING", "EVAL", "GPU", "TPU")},
    }
    text = json.dumps({name: "|".join(values) for name, values in theirs.items()})
    work.outcomes["constants"] = Outcome(work.dest, text)
