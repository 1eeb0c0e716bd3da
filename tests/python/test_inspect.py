"""inspect(), and how models, signatures and inspections read."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load, run_python


def test_tag_sets_and_signatures(models: Path) -> None:
    inspection = sm.inspect(models / "v1_multi_tags")
    tag_sets = [set(graph.tags) for graph in inspection.meta_graphs]
    assert sorted(map(sorted, tag_sets)) == [[], ["gpu", "serve"], ["serve"], ["train"]]
    graph = next(graph for graph in inspection.meta_graphs if graph.tags == {"serve"})
    assert list(graph.signatures) == ["lookup", "serving_default"]
    signature = graph.signatures["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    spec = signature.inputs["x"]
    assert (spec.dtype, spec.shape) == (np.dtype(np.float32), (None, 3))
    assert spec.name.endswith(":0")
    assert graph.signatures["lookup"].inputs["word"].dtype == object
    assert graph.signatures["lookup"].inputs["word"].tf_dtype == "string"
    assert [asset.filename for asset in graph.assets] == ["vocab.txt"]
    assert graph.assets[0].size_bytes == (models / "v1_multi_tags" / "assets" / "vocab.txt").stat().st_size


def test_ops_producer_and_variables(models: Path) -> None:
    inspection = sm.inspect(models / "mlp")
    (graph,) = inspection.meta_graphs
    assert {"MatMul", "Relu", "RestoreV2"} <= graph.ops  # of its functions, too
    assert not any(op.startswith("__inference") for op in graph.ops)
    assert graph.producer > 1000
    assert graph.tensorflow_version.startswith("2.")
    assert inspection.variables["w0"].shape == (64, 128)
    assert inspection.variables["w0"].dtype == np.float32


def test_sizes_are_those_on_disk(models: Path) -> None:
    inspection = sm.inspect(models / "mlp")
    on_disk = {
        str(file.relative_to(models / "mlp")): file.stat().st_size
        for file in (models / "mlp").rglob("*")
        if file.is_file()
    }
    assert inspection.files == on_disk
    assert inspection.size_bytes == sum(on_disk.values())


def test_fingerprint(models: Path) -> None:
    fingerprint = sm.inspect(models / "mlp").fingerprint
    assert fingerprint is not None
    assert fingerprint.uuid
    assert fingerprint.saved_model_checksum > 0
    assert sm.inspect(models / "v1_pbtxt").fingerprint is None


def test_defaults(models: Path) -> None:
    (graph,) = sm.inspect(models / "defaults").meta_graphs
    inputs = graph.signatures["serving_default"].inputs
    assert inputs["x"].default is None
    default = inputs["scale"].default
    assert default is not None
    assert default == 3.0


def test_weights_are_not_needed(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "mlp", tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "variables")
    assert "w0" in sm.inspect(tmp_path / "bare").variables


def test_signatures_are_shown_as_written_and_loaded_as_the_graph_has_them(models: Path, load: Load) -> None:
    (graph,) = sm.inspect(models / "bad_sig").meta_graphs
    assert graph.signatures["wrong_dtype"].inputs["x"].dtype == np.int32
    assert load("bad_sig").signatures["wrong_dtype"].inputs["x"].dtype == np.float32


@pytest.mark.parametrize("name", ["bad_truncated_pb", "bad_garbage_pb", "bad_empty_pb", "bad_no_saved_model"])
def test_what_is_no_saved_model(models: Path, name: str) -> None:
    with pytest.raises(sm.Error, match=name):
        sm.inspect(models / name)


def test_an_inspection_starts_no_threads_of_tensorflow(models: Path) -> None:
    code = f"""
        import os, savedmodel as sm
        before = len(os.listdir("/proc/self/task"))
        sm.inspect({str(models / "mlp")!r})
        assert len(os.listdir("/proc/self/task")) == before
    """
    run_python(code)


def test_reprs_read_well(load: Load, models: Path) -> None:
    model = load("keras_dense")
    for text in (
        repr(model),
        repr(model.signatures["serving_default"]),
        repr(sm.inspect(model.path)),
    ):
        assert "a" in text
        assert "float32 [?, 4]" in text
        for line in text.splitlines()[1:]:
            assert len(line) <= 80, line
    assert "0/observation" in repr(load("odd_names"))
    assert "Model" in repr(load("multi"))
    model.close()
    assert "closed" in repr(model)


def test_html(load: Load) -> None:
    model = load("odd_names")
    html = model._repr_html_()
    assert html.count("<tr>") >= 5
    assert "a b" in html
    assert "<table>" in model.signatures["serving_default"]._repr_html_()
    inspected = sm.inspect(model.path)._repr_html_()
    assert inspected.count("<tr>") >= 5
    assert "a b" in inspected


def test_specs(load: Load) -> None:
    signature = load("shapes").signatures["static"]
    spec = signature.inputs["x"]
    assert spec.shape == (2, 3)
    assert load("shapes").signatures["unknown"].inputs["x"].shape is None
    assert "float32 [2, 3]" in repr(spec)
    with pytest.raises(TypeError):
        signature.inputs["x"] = spec  # type: ignore[index]


def test_a_model_pickles_as_its_path_and_options(load: Load) -> None:
    model = load("v1_multi_tags", tags=["gpu", "serve"], threads=1, run=sm.RunOptions(timeout=20))
    copy = pickle.loads(pickle.dumps(model))
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(copy(x)["y"], model(x)["y"])
    assert (copy.tags, copy._arguments) == (model.tags, model._arguments)
    copy.close()
    assert not model.closed
    with pytest.raises(TypeError, match="pickle its model"):
        pickle.dumps(model.signatures["serving_default"])
