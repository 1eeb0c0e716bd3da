"""`sm.export.checkpoint` and `sm.export.frozen_graph`: what TensorFlow 1 left behind."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import savedmodel as sm

from .exporting import Outcome

Outcomes = Mapping[str, Outcome]


@pytest.fixture(scope="module")
def outcomes(exported: Mapping[str, Outcomes]) -> Outcomes:
    return exported["graphs"]


@pytest.mark.parametrize(
    "name",
    [
        *("ref", "resource", "frozen", "text", "by_folder", "built", "iterator", "shape"),
        *("freed", "batch_of_3", "old_saver", "added", "no_asset", "beside"),
    ],
)
def test_the_answers_are_the_graphs_own(outcomes: Outcomes, name: str) -> None:
    outcomes[name].check()


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("several_ref", "probs"),
        ("several_resource", "probs"),
        ("several_ref", "ids"),
        ("several_ref", "head"),
        ("named", "names"),
        ("default", "doubled"),
        ("default", "scaled"),
    ],
)
def test_several_signatures(outcomes: Outcomes, name: str, signature: str) -> None:
    """Of other inputs, other tables; one is fed what another computes."""
    outcomes[name].check(signature)


def test_what_no_signature_needs_stays_behind(outcomes: Outcomes) -> None:
    for kind, variables in ("ref", 3), ("resource", 2):  # partitions count
        (graph,) = sm.inspect(outcomes[kind].path).meta_graphs
        assert len(graph.variables) == variables
        assert not graph.assets
        assert not {op for op in graph.ops if "Adam" in op or "Table" in op}
        assert "nodes are not needed and left out" in outcomes[kind].report


def test_a_table_brings_its_asset(outcomes: Outcomes) -> None:
    (graph,) = sm.inspect(outcomes["several_ref"].path).meta_graphs
    assert [asset.filename for asset in graph.assets] == ["words.txt"]
    assert graph.signatures["ids"].method_name == "my/method"


def test_an_iterator_is_replaced_by_what_is_fed(outcomes: Outcomes) -> None:
    (graph,) = sm.inspect(outcomes["iterator"].path).meta_graphs
    assert not {op for op in graph.ops if "Iterator" in op or "Dataset" in op}


@pytest.mark.parametrize(
    ("name", "input_shape"),
    [
        ("ref", (None, 4)),
        ("text", (3, 4)),
        ("shape", (None, 4)),
        ("freed", (None, 4)),
        ("batch_of_3", (3, 4)),
        ("old_saver", (2, 4)),
    ],
)
def test_shapes(outcomes: Outcomes, name: str, input_shape: tuple[int | None, ...]) -> None:
    signature = sm.inspect(outcomes[name].path).meta_graphs[0].signatures["serving_default"]
    (spec,) = signature.inputs.values()
    (result,) = signature.outputs.values()
    assert spec.shape == input_shape
    assert result.shape is not None
    assert result.shape[0] == input_shape[0]


def test_a_shape_counts_for_all_keys_of_a_tensor(outcomes: Outcomes) -> None:
    signatures = sm.inspect(outcomes["one_shape"].path).meta_graphs[0].signatures
    assert signatures["first"].inputs["x"].shape == signatures["second"].inputs["rows"].shape == (1, 4)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_tensor", "no tensor 'prob:0' in resource-7, a checkpoint; did you mean 'probs'"),
        ("no_output", "no tensor 'probs:1' in resource-7, a checkpoint: 'probs' (Softmax) has 1 outputs"),
        ("no_input_tensor", "no tensor 'X:0' in resource.pbtxt, a frozen graph; did you mean 'x'"),
        ("no_names", "ValueError: give inputs= and outputs= (--input, --output): they name the tensors"),
        ("no_checkpoint", "no such checkpoint; did you mean 'resource-7'"),
        ("no_meta", "resource-7.meta: no such file; without it, graph= (--graph) builds the graph"),
        (
            "missing_variable",
            "lacks 1 of the 1 variables that the signatures need, such as 'head/bias'; did you mean",
        ),
        ("built_nothing", "returns no GraphSignature, so inputs= and outputs="),
        ("missing_op", "MyCompanysSum"),
        ("not_frozen", "is not frozen: it has variables, such as 'w'"),
        ("garbage", "not a GraphDef"),
        ("garbage_text", "not a GraphDef"),
        (
            "from_queue",
            "'q_DequeueMany' (QueueDequeueManyV2) waits for a queue that a training script fills",
        ),
        ("from_python", "(PyFunc) calls a Python function of this process"),
        ("from_table", "(MutableHashTableV2) keeps state outside variables, which would be lost"),
        ("saved_already", "saved_model.pb is a SavedModel already"),
        (
            "baked",
            "the conversion fails on inputs of the shapes {'x': [1, 4]}, which its source takes: Input to",
        ),
        ("baked_3", "two.pb, a frozen graph: it does not take inputs of these shapes: Cannot reshape"),
        ("asset_missing", "words.txt; No such file or directory"),
        ("sparse", "a checkpoint's signature takes dense tensors only; use the Builder"),
        (
            "two_shapes",
            "inputs 'x' and 'rows' are one tensor, 'x:0': it can't have the shape (1, 4) and (3, 4)",
        ),
        ("scalar", "Cannot feed value of shape () for Tensor"),
        ("total", "output 'total' does not have one row for each of the 2 rows of a batch"),
    ],
)
def test_nothing_is_written_after_an_error(outcomes: Outcomes, name: str, text: str) -> None:
    assert text in outcomes[name].error
    assert not outcomes[name].existed
    assert outcomes[name].left == []
