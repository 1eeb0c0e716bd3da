"""`savedmodel edit`: its options do what `Edit` does, and what can't be meant is one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .commands import error, many, output

HIDDEN = "StatefulPartitionedCall/StatefulPartitionedCall/Relu:0"


def test_signatures(models: Path, tmp_path: Path) -> None:
    dst = tmp_path / "edited"
    text = output(
        *("edit", models / "mlp", dst),
        *("--rename-signature", "serving_default=classify"),
        *("--method-name", "classify=tensorflow/serving/classify"),
        *("--add-signature", "embed", "--input", "x=serving_default_x:0", "--output", f"hidden={HIDDEN}"),
        *("--add-output", f"classify:first={HIDDEN}"),
        "--clear-devices",
    )
    assert text == ""
    x = np.ones((2, 64), np.float32)
    with sm.load(dst) as model, sm.load(models / "mlp") as original:
        assert set(model.signatures) == {"classify", "embed"}
        assert model.signatures["classify"].method_name == "tensorflow/serving/classify"
        results = model.signatures["classify"](x)
        np.testing.assert_allclose(results["probs"], original(x)["probs"], rtol=1e-5)
        np.testing.assert_allclose(results["first"], model.signatures["embed"](x)["hidden"], rtol=1e-5)


def test_pruning_tells_what_it_removed(models: Path, tmp_path: Path) -> None:
    dst = tmp_path / "edited"
    text = output(
        *("edit", models / "mlp", dst, "--prune", "--format", "pbtxt"),
        *("--remove-signature", "serving_default"),
        *("--add-signature", "embed", "--input", "x=serving_default_x", "--output", f"hidden={HIDDEN}"),
    )
    assert "variables 6 -> 2" in text
    assert (dst / "saved_model.pbtxt").is_file()
    assert set(sm.inspect(dst).variables) == {"w0", "b0"}


def test_meta_graphs(models: Path, tmp_path: Path) -> None:
    dst = tmp_path / "edited"
    output(
        *("edit", models / "v1_multi_tags", dst, "--tag-set", "canary"),
        *("--copy-meta-graph", "serve=canary", "--set-tags", "serve,gpu=serve,tpu"),
        *("--drop-meta-graph", "train", "--drop-meta-graph", ""),
        *("--remove-signature", "lookup", "--keep-outputs", "serving_default=y"),
    )
    graphs = {graph.tags: sorted(graph.signatures) for graph in sm.inspect(dst).meta_graphs}
    assert graphs == {
        frozenset({"serve"}): ["lookup", "serving_default"],
        frozenset({"serve", "tpu"}): ["lookup", "serving_default"],
        frozenset({"canary"}): ["serving_default"],
    }


def test_overwrite(models: Path, tmp_path: Path) -> None:
    dst = tmp_path / "edited"
    output("edit", models / "mlp", dst)
    assert "exists already" in error("edit", models / "table", dst)
    output("edit", models / "table", dst, "--overwrite")
    assert sorted(sm.inspect(dst).meta_graphs[0].signatures) == ["lookup", "serving_default"]


def test_what_cannot_be_meant_is_one_line(models: Path, tmp_path: Path) -> None:
    dst = tmp_path / "edited"
    cases = {
        ("--input", "x=y"): "--add-signature NAME",
        ("--rename-signature", "a"): "OLD=NEW",
        ("--rename-signature", "serving=b"): "did you mean 'serving_default'?",
        ("--add-output", "probs=x"): "NAME:KEY=TENSOR",
        ("--add-signature", "s", "--output", "a=x", "--output", "a=y"): "the key 'a' is given twice",
        ("--set-tags", "serve"): "TAGS=TAGS",
        ("--tag-set", "server"): "did you mean {serve}?",
        ("--add-signature", "s"): "no output",
    }
    results = many(["edit", models / "mlp", dst, *options] for options in cases)
    for (status, out, err), text in zip(results, cases.values(), strict=True):
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert text in err
    assert not dst.exists()


@pytest.mark.parametrize("where", ["", "inside"])
def test_the_source_is_not_written_to(models: Path, where: str) -> None:
    assert "the SavedModel that is edited" in error("edit", models / "mlp", models / "mlp" / where)
