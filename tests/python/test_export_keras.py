"""`sm.export.keras`: Keras 3 models give the same answers as SavedModels, or nothing is written."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import savedmodel as sm

from . import exporting
from .exporting import Outcome

Outcomes = Mapping[str, Outcome]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return exporting.done(tmp_path_factory.mktemp("keras"), "keras")["keras"]


@pytest.mark.parametrize(
    "name",
    [
        "functional",
        "batch",
        "h5",
        "in_memory",
        "custom",
        "lambda_keras",
        "lambda_h5",
        "subclassed",
        "input_signature",
        "sizes",
        "replaced",
        "freed_batch",
    ],
)
def test_the_answers_are_the_models_own(outcomes: Outcomes, name: str) -> None:
    outcomes[name].check()


def test_mixed_precision(outcomes: Outcomes) -> None:
    outcomes["mixed"].check(rtol=2e-2)


def test_outputs_of_a_layer_as_a_signature(outcomes: Outcomes) -> None:
    outcomes["functional"].check("features")


def test_names_and_shapes_are_the_models_own(outcomes: Outcomes) -> None:
    signatures = sm.inspect(outcomes["functional"].path).meta_graphs[0].signatures
    assert set(signatures) == {"serving_default", "features"}
    default = signatures["serving_default"]
    assert {key: spec.shape for key, spec in default.inputs.items()} == {"in": (None, 8), "a b": (None, 4)}
    assert set(default.outputs) == {"probs", "score"}
    assert default.method_name == "tensorflow/serving/predict"


def test_a_fixed_batch(outcomes: Outcomes) -> None:
    signature = sm.inspect(outcomes["batch"].path).meta_graphs[0].signatures["serving_default"]
    assert {spec.shape for spec in signature.inputs.values()} == {(16, 8), (16, 4)}
    assert {spec.shape for spec in signature.outputs.values()} == {(16, 3), (16, 1)}


def test_a_batch_that_the_model_fixes_can_be_freed(outcomes: Outcomes) -> None:
    for name, batch in ("fixed_batch", 8), ("freed_batch", None):
        signature = sm.inspect(outcomes[name].path).meta_graphs[0].signatures["serving_default"]
        assert signature.inputs["x"].shape == (batch, 4)
        assert signature.outputs["y"].shape == (batch, 2)


def test_what_predict_gives_counts_too(outcomes: Outcomes) -> None:
    outcomes["eager"].check()
    assert (
        "note: the results are those of model.predict(x); model(x) gives others: " in outcomes["eager"].report
    )


def test_a_vocabulary_comes_along(outcomes: Outcomes) -> None:
    """The file that it was read from is gone by now."""
    outcome = outcomes["strings"]
    outcome.check()
    assert outcome.expected["serving_default"]["ids"].tolist() == [[1, 3], [0, 2]]


def test_the_optimizers_variables_stay_behind(outcomes: Outcomes) -> None:
    variables = sm.inspect(outcomes["in_memory"].path).meta_graphs[0].variables
    assert len(variables) == 2 + 4 + 2 + 2  # three dense layers and the batch norm's


def test_the_report_says_what_was_compared(outcomes: Outcomes) -> None:
    report = outcomes["functional"].report
    assert "made from functional.keras, Keras 3." in report
    for output in "serving_default: probs", "serving_default: score", "features: hidden":
        assert output in report
    assert "(2 generated samples)" in report
    assert "tf.saved_model.load gives the input 'a b' the name 'arg_a_b'" in report
    assert "(1 sample)" in outcomes["batch"].report


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_layer", "KeyError: \"no layer 'hiden' in the model; did you mean 'hidden'"),
        ("bad_batch", "ValueError: input 'in' has a batch of 4 in the model; batch=16 does not fit"),
        ("bad_shape", "ValueError: input 'in' has the shape (None, 8) in the model; (None, 9) does not fit"),
        ("no_input", "KeyError: \"no input 'inn' to give a shape to; did you mean 'in'?\""),
        ("few_samples", "ValueError: no signature has all its inputs in the samples"),
        ("custom_unknown", "custom layers: custom_objects= (--import MODULE)"),
        ("lambda_refused_keras", "has a Lambda layer, which is Python code that would be run"),
        ("lambda_refused_h5", "has a Lambda layer, which is Python code that would be run"),
        ("lambda_spaced", "has a Lambda layer, which is Python code that would be run"),
        ("lambda_escaped", "has a Lambda layer, which is Python code that would be run"),
        ("lambda_not_json", "its configuration can't be searched for Lambda layers"),
        ("not_built", "ValueError: the model does not say what its inputs are; give input_signature="),
        ("random", "InternalError: signature 'serving_default', output 'y': the conversion differs "),
        ("weights_only", "has weights only; a model is saved with model.save()"),
        ("empty", "not a .keras file, or cut short"),
        ("text", "a Keras model is a .keras or .h5 file, or a folder that Keras 2 wrote"),
        ("missing", "NotFoundError: "),
        ("no_model", "TypeError: src is a path or a Keras model, got int"),
        ("stateful", "If an RNN is stateful, the batch size of the input sequences must be the same"),
    ],
)
def test_nothing_is_written_after_an_error(outcomes: Outcomes, name: str, text: str) -> None:
    outcome = outcomes[name]
    assert text in outcome.error
    assert not outcome.existed
    assert outcome.left == []


def test_random_results_have_to_be_accepted(outcomes: Outcomes) -> None:
    assert outcomes["random_accepted"].error == ""
    assert " off, of values up to " in outcomes["random_accepted"].report


def test_nothing_is_replaced_unless_asked(outcomes: Outcomes) -> None:
    exists = outcomes["exists"]
    assert exists.error.startswith("AlreadyExistsError")
    exists.error = ""
    exists.check()  # the old model
    assert outcomes["replaced"].left == []


def test_a_model_that_holds_its_source_is_not_replaced(outcomes: Outcomes) -> None:
    assert "source.keras: it is not replaced" in outcomes["holds"].error
    assert (outcomes["holds"].path / "source.keras").exists()


def test_what_is_no_savedmodel_is_never_replaced(outcomes: Outcomes) -> None:
    folder = outcomes["folder"]
    assert "exists and is not a SavedModel" in folder.error
    assert [each.name for each in folder.path.iterdir()] == ["thesis.txt"]
