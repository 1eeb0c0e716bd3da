"""`sm.export.Builder`: what it writes loads everywhere; what would not is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from . import anchor
from .exporting import Outcome

Outcomes = Mapping[str, Outcome]

TAGS = {("serve",): 1.0, ("gpu", "serve"): 10.0, (): 100.0}
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


@pytest.fixture(scope="module")
def outcomes(exported: Mapping[str, Outcomes]) -> Outcomes:
    return exported["builder"]


@pytest.mark.parametrize("name", ["several", "text"])
@pytest.mark.parametrize("tags", TAGS, ids="+".join)
def test_every_loader_gives_the_same_answers(outcomes: Outcomes, name: str, tags: tuple[str, ...]) -> None:
    outcome, factor = outcomes[name], TAGS[tags]
    assert outcome.error == ""
    for loader in "v1", "v2":
        answers = outcome.tensorflow[f"{loader} {'+'.join(tags)}"]
        assert answers["y"].tolist() == (X * [2, 3] * factor).tolist()
        assert answers["ids"].tolist() == [1, -1]
        assert answers["outputs"].tolist() == [4 * factor]
    with sm.load(outcome.path, tags=tags) as model:
        assert model(X)["y"].tolist() == (X * [2, 3] * factor).tolist()
        assert model.signatures["ids"](np.array(["green", "blue"], object))["ids"].tolist() == [1, -1]


def test_saved_model_cli_shows_and_runs_what_was_built(outcomes: Outcomes, tmp_path: Path) -> None:
    which = ["--dir", str(outcomes["several"].path)]
    call = [*which, "--tag_set", "serve,gpu", "--signature_def", "serving_default"]
    call += ["--input_exprs", "x=[[1.0, 2.0]]", "--outdir", str(tmp_path)]
    tool = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    processes = [
        subprocess.Popen([*tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for arguments in (["show", *which, "--all"], ["run", *call])
    ]
    (text, *_), _ = said = [each.communicate(timeout=120) for each in processes]
    assert [each.returncode for each in processes] == [0, 0], said
    assert np.load(tmp_path / "y.npy").tolist() == [[20, 60]]
    shown = anchor.parse_show(text)
    assert set(shown) == {frozenset(tags) for tags in TAGS}
    for signatures in shown.values():
        methods = {name: each["method_name"] for name, each in signatures.items()}
        assert methods == {
            "serving_default": sm.export.PREDICT,
            "ids": sm.export.PREDICT,
            "classify": sm.export.CLASSIFY,
            "regress": sm.export.REGRESS,
        }
        assert set(signatures["classify"]["outputs"]) == {"classes", "scores"}


def test_the_constants_are_tensorflows(outcomes: Outcomes) -> None:
    theirs = json.loads(outcomes["constants"].report)
    assert len(theirs) == 13
    assert {name: getattr(sm.export, name) for name in theirs} == theirs


def test_variables_and_assets_are_there_once(outcomes: Outcomes) -> None:
    path = outcomes["several"].path
    files = {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}
    assert files == {
        "assets.extra/notes/labels.txt",
        "assets.extra/words_again.txt",
        "assets/words.txt",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    }
    assert (path / "assets.extra/notes/labels.txt").read_bytes() == b"a label"
    assert (outcomes["text"].path / "saved_model.pbtxt").exists()


def test_devices_and_defaults_are_left_out(outcomes: Outcomes) -> None:
    text = (outcomes["text"].path / "saved_model.pbtxt").read_text()
    graphs = text.split("meta_graphs {")[1:]
    assert [graph.count("/device:GPU:0") for graph in graphs] == [0, 0, 0]
    assert ["stripped_default_attrs: true" in graph for graph in graphs] == [False, True, False]


@pytest.mark.parametrize("name", ["main_op", "main_op_by_name"])
def test_the_main_op_runs_after_the_restore(outcomes: Outcomes, name: str) -> None:
    assert outcomes[name].error == ""
    for tags, total in (["serve"], 42.0), (["plain"], 0.0):
        with sm.load(outcomes[name].path, tags=tags) as model:
            assert model(np.array([1.0], np.float32))["y"].tolist() == [1.0 + total]


def test_simple_save(outcomes: Outcomes) -> None:
    outcomes["simple"].check()


def test_composite_tensors(outcomes: Outcomes) -> None:
    with sm.load(outcomes["sparse"].path) as model:
        given = sm.SparseTensor(np.array([[0, 1]]), np.array([3.0], np.float32), np.array([1, 2]))
        assert model(given)["s"].values.tolist() == [6.0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty", "ValueError: there is no MetaGraph to save; add one first"),
        ("no_variables", "TypeError: the first source must be a tf.compat.v1.Session"),
        ("no_source", "TypeError: source must be a tf.compat.v1.Session or a tf.Graph, got 'graph'"),
        ("tags_twice", "ValueError: there is a MetaGraph with the tags ['serve'] already"),
        ("tags_text", "TypeError: tags must be a set of strings, such as {'serve'}"),
        ("no_tensor", "no tensor 'xx' in the graph of signature 'a'; did you mean 'x'"),
        ("no_array", "TypeError: the graph of signature 'a': 'x' must be a tensor or the name of one, got"),
        ("no_main_op", "no operation 'set_totals' in the graph; did you mean 'set_total'"),
        ("classify_floats", "'tensorflow/serving/classify' takes strings as 'inputs'"),
        ("extra_outside", "ValueError: the name of an extra asset must be a path below assets.extra"),
        ("extra_twice", "ValueError: there is an extra asset 'a' already"),
        ("raised", "ZeroDivisionError"),
        ("uninitialised", "FailedPreconditionError"),
        ("other_variables", "NotFoundError"),
        ("other_asset", "ValueError: there is another asset named 'words.txt' already"),
        ("read_other", "ValueError: there is another asset named 'f.txt_1' already"),
        ("no_constant", "ValueError: an asset must be a constant string, and 'ReadFile:0' is not"),
        ("no_file", "f.txt does not exist"),
        ("other_graph", "which belongs to another graph"),
        (
            "no_signature",
            "TypeError: the graph of signature 'a': a signature must be made by predict, classify or",
        ),
        ("reserved", "reserved"),
    ],
)
def test_nothing_is_written_after_an_error(outcomes: Outcomes, name: str, text: str) -> None:
    assert text in outcomes[name].error
    assert not outcomes[name].existed
    assert outcomes[name].left == []


def test_the_same_asset_may_come_from_two_files(outcomes: Outcomes) -> None:
    assert outcomes["same_asset"].error == ""


@pytest.mark.parametrize(
    ("name", "text"), [("read", "ab"), ("read_again", "ab"), ("read_by_name", "a"), ("read_replaced", "c")]
)
def test_assets_that_no_table_names(outcomes: Outcomes, name: str, text: str) -> None:
    """They are read from the SavedModel: one of the sources is gone by now."""
    assert outcomes[name].error == ""
    with sm.load(outcomes[name].path) as model:
        assert model()["text"] == text.encode()
    assert outcomes[name].left == []


def test_a_builder_that_saved_is_done(outcomes: Outcomes) -> None:
    assert "FailedPreconditionError: the builder of " in outcomes["closed"].error


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(sm.AlreadyExistsError, match="exists already"):
        sm.export.Builder(tmp_path / "m")
