"""`savedmodel convert`: the options, the report, the errors."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .commands import PROGRAM, error, many, output

MODULE = """
import keras
import tensorflow as tf

class Twice(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x

def add(x, y):
    return {"sum": x + y}

class Counter(tf.Module):
    @tf.function(input_signature=[])
    def __call__(self):
        return tf.constant(1.0)

    @tf.function(input_signature=[])
    def zero(self):
        return tf.constant(0.0)

    def double(self, x):
        return {"y": x * 2.0}

counter = Counter()

def graph():
    x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
    y = x * tf.compat.v1.get_variable("factor", [2])
    tf.identity(y, name="y")
"""

SOURCES = """
import keras, numpy as np, tensorflow as tf
import mine
keras.Sequential([keras.Input((3,), name="x"), mine.Twice(name="y")]).save("twice.keras")
v1 = tf.compat.v1
with v1.Graph().as_default() as g, v1.Session() as session:
    x = v1.placeholder(tf.float32, None, name="x")
    y = tf.multiply(x, v1.get_variable("factor", initializer=np.float32([2, 3])), name="y")
    z = tf.negative(y, name="z")
    session.run(v1.global_variables_initializer())
    v1.train.Saver().save(session, "run/model")
    frozen = v1.graph_util.convert_variables_to_constants(session, g.as_graph_def(), ["z"])
open("frozen.pb", "wb").write(frozen.SerializeToString())
np.savez("x.npz", x=np.float32([[1, 2], [3, 4]]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("convert")
    (folder / "mine.py").write_text(MODULE)
    (folder / "broken.py").write_text("raise ValueError('not today')")
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-c", SOURCES], cwd=folder, env=env, check=True, timeout=120)
    return folder


KINDS = {
    "k": "keras twice.keras k --import mine --batch 2 --signature twice",
    "c": "checkpoint run/model c --input image=x --output y --input-shape image=?,2",
    "g": "checkpoint run/model g --graph mine:graph --input x --output y",
    "f": "frozen-graph frozen.pb f --samples x.npz --tolerance 1e-6 "
    "--signature 'a: x=x:0 -> y=y, z=z:0' --signature 'b: y=y -> z=z'",
    "p": "function mine:add p --input x=float32[?,2] --input y=float32[2]",
    "d": "function mine:counter.double d --input x=float32[...]",
    "m": "function mine:counter m --signature one=__call__ --signature two=zero",
}
ERRORS = [
    (
        ("function", "mine:counter", "e", "--signature", "one", "--signature", "two=double"),
        "give input_signature=",
    ),
    (("function", "add", "e", "--input", "x=float32[2]"), "'add' is not MODULE:NAME"),
    (("function", "mine:ad", "e", "--input", "x=float32[2]"), "mine:ad: no attribute 'ad'"),
    (("function", "yours:add", "e"), "no module 'yours' in this directory"),
    (("function", "broken:add", "e"), "importing broken failed: ValueError: not today"),
    (("function", "mine:add", "e", "--input", "x=float32"), "is not NAME=DTYPE[SHAPE]"),
    (("function", "mine:add", "e", "--input", "x=float32[two]"), "'two' is not a shape"),
    (("keras", "twice.keras", "e"), "Could not locate class 'Twice'"),
    (("keras", "twice.keras", "e", "--input-shape", "x"), "'x' is not NAME=SHAPE"),
    (("keras", "twice.keras", "twice.keras/e"), "twice.keras: Not a directory"),
    (("keras", "none.keras", "e"), "none.keras: no such file"),
    (("keras", "twice.keras", "e", "--tolerance", "-1"), "tolerance must be 0 or more"),
    (("keras", "twice.keras", "e", "--samples", "frozen.pb"), "frozen.pb: not a .npz file"),
    (("frozen-graph", "frozen.pb", "e"), "(--input, --output): they name the tensors"),
    (("frozen-graph", "frozen.pb", "e", "--input", "x", "--output", "zz"), "no tensor 'zz:0'"),
    (("frozen-graph", "frozen.pb", "e", "--signature", "a: x ->"), "is not 'NAME: KEY=TENSOR"),
    (("frozen-graph", "frozen.pb", "mine.py", "--output", "z"), "mine.py exists already"),
    (("checkpoint", "run/other", "e", "--output", "y"), "no such checkpoint; there are: 'model'"),
]


@pytest.fixture(scope="module")
def results(folder: Path) -> list[tuple[int, str, str]]:
    """Of all commands, run in the folder by one process."""
    commands = [shlex.split(each) for each in KINDS.values()] + [list(each) for each, _ in ERRORS]
    before = Path.cwd()
    os.chdir(folder)
    try:
        return many([("convert", *arguments) for arguments in commands])
    finally:
        os.chdir(before)


def test_each_kind_of_source(folder: Path, results: list[tuple[int, str, str]]) -> None:
    reports = dict(zip(KINDS, results, strict=False))
    for status, out, err in reports.values():
        assert (status, err) == (0, "")
        assert "through savedmodel" in out
    assert "(1 sample)" in reports["f"][1]
    with sm.load(folder / "k") as model:
        assert model.signatures["twice"].inputs["x"].shape == (2, 3)
        assert model(np.ones((2, 3), np.float32))["y"].tolist() == [[2] * 3] * 2
    for name, key in ("c", "image"), ("g", "x"):
        with sm.load(folder / name) as model:
            assert model.signatures["serving_default"].inputs[key].shape == (None, 2)
            assert model(np.ones((1, 2), np.float32))["y"].tolist() == [[2, 3]]
    with sm.load(folder / "f") as model:
        assert model.signatures["a"](np.array([1, 1], np.float32))["z"].tolist() == [-2, -3]
        assert model.signatures["b"](np.array([5, 5], np.float32))["z"].tolist() == [-5, -5]
    with sm.load(folder / "p") as model:
        assert model(x=np.ones((1, 2), np.float32), y=np.ones(2, np.float32))["sum"].tolist() == [[2, 2]]
    with sm.load(folder / "d") as model:
        assert model.signatures["serving_default"].inputs["x"].shape is None
    with sm.load(folder / "m") as model:
        assert {name: float(f()["output_0"]) for name, f in model.signatures.items()} == {"one": 1, "two": 0}


@pytest.mark.parametrize("number", range(len(ERRORS)), ids=lambda number: ERRORS[number][1][:30])
def test_errors_are_one_line(folder: Path, results: list[tuple[int, str, str]], number: int) -> None:
    status, out, err = results[len(KINDS) + number]
    assert (status, out) == (2, "")
    assert err.startswith("savedmodel")
    assert err.count("\n") == 1
    assert ERRORS[number][1] in err
    assert not (folder / "e").exists()


def test_a_process_of_its_own_says_nothing_but_the_report(folder: Path) -> None:
    command = [str(PROGRAM), "convert", "keras", "twice.keras", "own", "--import", "mine"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"<SavedModel '{folder / 'own'}', ")


def test_help_has_an_example_each() -> None:
    assert "savedmodel convert keras" in output("--help")
    for kind in "keras", "checkpoint", "frozen-graph", "function":
        text = output("convert", kind, "--help")
        assert f"example:\n    savedmodel convert {kind} " in text


def test_a_kind_that_is_none() -> None:
    assert "No such command 'onnx'" in error("convert", "onnx", "a", "b")
