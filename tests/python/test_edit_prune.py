"""`Edit.prune`: what no signature needs is gone, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .editing import BODY, Check, X, change_object_graph, files
from .helpers import Array
from .tensorflow_child import TensorFlow


def test_prune_variables(
    models: Path, dst: Path, check: Check, mlp: dict[str, Array], tensorflow: TensorFlow
) -> None:
    edit = sm.Edit(models / "mlp")
    edit.add_signature("embed", {"x": "serving_default_x"}, {"hidden": f"{BODY}/Relu"})
    notes = edit.remove_signature("serving_default").prune().save(dst)
    assert any("variables 6 -> 2" in note for note in notes)
    assert any("object graph" in note for note in notes)
    assert set(sm.inspect(dst).variables) == {"w0", "b0"}
    before, after = (sm.inspect(path).size_bytes for path in (models / "mlp", dst))
    assert after < before / 2
    check(dst, "embed", {"x": X}, {"hidden": mlp["first"]})
    assert list(tensorflow.signatures(dst)) == ["embed"]


def test_prune_what_computes_an_input(models: Path, dst: Path, check: Check, mlp: dict[str, Array]) -> None:
    edit = sm.Edit(models / "mlp")
    edit.add_signature("head", {"hidden": f"{BODY}/Relu_1"}, {"probs": f"{BODY}/Softmax"})
    edit.remove_signature("serving_default").prune().save(dst)
    assert set(sm.inspect(dst).variables) == {"w2", "b2"}
    check(dst, "head", {"hidden": mlp["second"]}, {"probs": mlp["probs"]})


@pytest.mark.parametrize("name", ["table", "v1_multi_tags"])
def test_prune_keeps_tables_that_are_needed(models: Path, dst: Path, check: Check, name: str) -> None:
    edit = sm.Edit(models / name)
    for tags in [graph.tags for graph in sm.inspect(models / name).meta_graphs]:
        if tags != {"serve"}:
            edit.drop_meta_graph(tags)
    edit.remove_signature("serving_default").prune().save(dst)
    assert {name for name in files(dst) if not name.startswith(("saved_model", "fingerprint"))} - {
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    } == {"assets/vocab.txt"}
    with sm.load(models / name) as model:
        ids = model.signatures["lookup"].run({"word": [b"two", b"?"]})["id"]
    check(dst, "lookup", {"word": np.array([b"two", b"?"])}, {"id": ids})


def test_prune_tables_and_assets(models: Path, dst: Path, check: Check) -> None:
    edit = sm.Edit(models / "v1_multi_tags")
    for tags in {"serve", "gpu"}, {"train"}, set[str]():
        edit.drop_meta_graph(tags)
    edit.remove_signature("lookup").prune().save(dst)
    assert not any(name.startswith("assets/") for name in files(dst))
    assert "HashTableV2" not in sm.inspect(dst).meta_graphs[0].ops
    x = np.array([[1, 2, 3]], np.float32)
    with sm.load(models / "v1_multi_tags") as model:
        expected = model(x)
    check(dst, "serving_default", {"x": x}, expected)


@pytest.mark.parametrize("name", ["v1_partitioned_variable", "v1_ref_counter", "keras_dense", "multi"])
def test_prune_a_model_that_needs_what_it_has(models: Path, dst: Path, check: Check, name: str) -> None:
    sm.Edit(models / name).prune().save(dst)
    inputs: dict[str, Any] = {}
    key = "incr" if name == "v1_ref_counter" else "serving_default"
    with sm.load(models / name) as model:
        for arg, spec in model.signatures[key].inputs.items():
            filled = np.ones([2 if size is None else size for size in spec.shape or ()])
            inputs[arg] = filled.astype(spec.dtype)
        expected = model.signatures[key].run(inputs)
    # tf.saved_model.load can't make a function of one that returns a reference, nor of the source's.
    check(dst, key, inputs, expected, loaders=["v1"] if name == "v1_ref_counter" else ["v1", "v2"])


def test_an_object_graph_that_goes_is_told_of(models: Path, tmp_path: Path, dst: Path) -> None:
    """Also where the first MetaGraph has none."""
    two = tmp_path / "two"
    sm.Edit(models / "mlp").copy_meta_graph({"serve"}, {"gpu"}).save(two, format="pbtxt")
    change_object_graph(two, 0, lambda objects: "")
    notes = sm.Edit(two).prune().save(dst)
    assert any(note.startswith("pruned: the object graph") for note in notes)


def test_prune_leaves_a_saver_that_restores_nothing_else(models: Path, dst: Path) -> None:
    sm.Edit(models / "mlp").prune().save(dst)
    before, after = (sm.inspect(path).meta_graphs[0] for path in (models / "mlp", dst))
    assert set(after.variables) == set(before.variables)
    assert after.num_nodes <= before.num_nodes
    assert after.num_functions == before.num_functions


def test_prune_state_that_no_signature_uses(models: Path, dst: Path, check: Check) -> None:
    """The saver restores what is left, in a model with a table that is restored, too."""
    edit = sm.Edit(models / "stateful")
    for name in "store", "load", "put", "lookup":
        edit.remove_signature(name)
    edit.prune().save(dst)
    assert set(sm.inspect(dst).variables) == {"count"}
    check(dst, "incr", {"by": np.float32(2)}, {"count": np.float32(2)})
