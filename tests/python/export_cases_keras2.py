"""Models of tf_keras: what Keras 3 can't read, and what it can."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import savedmodel as sm
import tf_keras
from tf_keras.protobuf import saved_metadata_pb2

from .exporting import Work

layers = tf_keras.layers
X = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)


def trained() -> Any:
    x = tf_keras.Input((8,), name="x")
    hidden = layers.BatchNormalization()(layers.Dense(4, "relu")(x))
    # TensorFlow's functions on symbolic tensors become layers that Keras 3 does not know.
    model = tf_keras.Model(x, layers.Dense(2, name="y")(hidden * 2.0 + 1.0))
    model.compile("adam", "mse")
    model.fit(X, np.ones((3, 2)), epochs=2, verbose=0)
    return model


def case_files(work: Work) -> None:
    model = trained()
    y = model(X, training=False).numpy()
    for name in "model.h5", "folder", "model2.keras":
        file = work.dest / "sources" / name
        model.save(file)
        key = name.partition(".")[0]
        work.convert(key, sm.export.keras, file)
        work.expect(key, {"x": X}, {"y": y})
    work.convert("only_3", sm.export.keras, work.dest / "sources" / "model.h5", keras_version=3)
    work.convert("memory", sm.export.keras, model, signatures="other", batch=3)
    work.expect("memory", {"x": X}, {"y": y}, "other")
    plain = tf_keras.Sequential([tf_keras.Input((8,), name="x"), layers.Dense(2, name="y")])
    plain.save(work.dest / "plain.h5")
    for version in 2, 3:
        name = f"by_{version}"
        work.convert(name, sm.export.keras, work.dest / "plain.h5", keras_version=version)
        work.expect(name, {"x": X}, {"y": plain(X).numpy()})


def case_strings(work: Work) -> None:
    vocabulary = work.dest / "words.txt"
    vocabulary.write_text("red\ngreen\nblue\n")
    words = tf_keras.Input((2,), dtype="string", name="words")
    ids = layers.StringLookup(vocabulary=str(vocabulary), name="ids")(words)
    model = tf_keras.Model(words, ids)
    given = np.array([[b"red", b"blue"], [b"black", b"green"]], object)
    work.convert("strings", sm.export.keras, model)
    work.expect("strings", {"words": given}, {"ids": model(given).numpy()})


def case_lambda(work: Work) -> None:
    model = tf_keras.Sequential([tf_keras.Input((8,), name="x"), layers.Lambda(lambda x: x * 2.0, name="y")])
    for name in "folder", "file.keras":
        source, kind = work.dest / f"with_{name}", name.partition(".")[0]
        model.save(source)
        work.convert(f"lambda_refused_{kind}", sm.export.keras, source)
        work.convert(f"lambda_{kind}", sm.export.keras, source, safe_mode=False)
        work.expect(f"lambda_{kind}", {"x": X}, {"y": X * 2})
    file = work.dest / "with_folder" / "keras_metadata.pb"
    metadata = saved_metadata_pb2.SavedMetadata.FromString(file.read_bytes())
    for node in metadata.nodes:
        node.metadata = node.metadata.replace('"Lambda"', ' "\\u004cambda"')
    file.write_bytes(metadata.SerializeToString())
    work.convert("lambda_disguised", sm.export.keras, file.parent)
    file.write_bytes(b"\xff")
    work.convert("no_metadata", sm.export.keras, file.parent)


def case_inside_its_source(work: Work) -> None:
    folder = work.dest / "inside"
    trained().save(folder)
    work.convert("inside", sm.export.keras, folder)
    # A copy in place of what it was made of would lose the original.
    work.outcomes["itself"] = outcome = work.outcomes["inside"].__class__(folder)
    try:
        sm.export.keras(folder, folder, overwrite=True)
    except ValueError as error:
        outcome.error = str(error)


def case_not_installed(work: Work) -> None:
    """Last: afterwards there is no tf_keras in this process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "tf_keras"]:
        del sys.modules[name]
    sys.modules["tf_keras"] = None  # type: ignore[assignment]
    try:
        work.convert("not_installed", sm.export.keras, work.dest / "sources" / "model.h5")
    finally:
        del sys.modules["tf_keras"]
