"""`sm.export.keras` and the models of Keras 2."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import pytest
import savedmodel as sm

from . import exporting
from .exporting import Outcome

Outcomes = Mapping[str, Outcome]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf_keras") is None, reason="tf_keras is not installed (the extra keras2)"
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return exporting.done(tmp_path_factory.mktemp("keras2"), "keras2")["keras2"]


@pytest.mark.parametrize(
    "name", ["model", "folder", "model2", "by_2", "by_3", "strings", "lambda_folder", "lambda_file"]
)
def test_the_answers_are_the_models_own(outcomes: Outcomes, name: str) -> None:
    outcomes[name].check()


def test_a_model_in_memory(outcomes: Outcomes) -> None:
    outcomes["memory"].check("other")


def test_keras_3_is_tried_first(outcomes: Outcomes) -> None:
    assert "made from model.h5, tf_keras 2." in outcomes["model"].report
    assert "made from folder, tf_keras 2." in outcomes["folder"].report
    assert "made from plain.h5, tf_keras 2." in outcomes["by_2"].report
    assert "made from plain.h5, Keras 3." in outcomes["by_3"].report


def test_a_vocabulary_becomes_an_asset(outcomes: Outcomes) -> None:
    (graph,) = sm.inspect(outcomes["strings"].path).meta_graphs
    assert [asset.filename for asset in graph.assets] == ["words.txt"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("only_3", "Keras 3 can't read it: "),
        ("lambda_refused_folder", "has a Lambda layer, which is Python code that would be run"),
        ("lambda_refused_file", "has a Lambda layer, which is Python code that would be run"),
        ("lambda_disguised", "has a Lambda layer, which is Python code that would be run"),
        ("no_metadata", "keras_metadata.pb: "),
        ("inside", "lies inside its source"),
        ("not_installed", "for Keras 2: pip install 'tf_keras=="),
    ],
)
def test_nothing_is_written_after_an_error(outcomes: Outcomes, name: str, text: str) -> None:
    assert text in outcomes[name].error
    assert not outcomes[name].existed


def test_a_model_is_not_written_over_itself(outcomes: Outcomes) -> None:
    outcome = outcomes["itself"]
    assert "lies inside its source" in outcome.error
    assert (outcome.path / "keras_metadata.pb").exists()
