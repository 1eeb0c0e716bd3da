"""`sm.export.function`: tf.functions, Python functions and tf.Modules."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import numpy as np
import pytest
import savedmodel as sm

from .exporting import Outcome

Outcomes = Mapping[str, Outcome]


@pytest.fixture(scope="module")
def outcomes(exported: Mapping[str, Outcomes]) -> Outcomes:
    return exported["functions"]


@pytest.mark.parametrize(
    "name",
    [
        *("function", "in_order", "concrete", "no_inputs", "called", "closure"),
        *("defaults", "other_values", "filled", "case", "bytes"),
    ],
)
def test_the_answers_are_the_functions_own(outcomes: Outcomes, name: str) -> None:
    outcomes[name].check()


def test_all_conversions_have_the_same_keywords() -> None:
    shared = {"batch", "input_shapes", "samples", "tolerance", "overwrite"}
    conversions = sm.export.function, sm.export.keras, sm.export.checkpoint, sm.export.frozen_graph
    found = [inspect.signature(each).parameters for each in conversions]
    first, *others = [{name: str(known[name]) for name in shared} for known in found]
    assert others == [first] * 3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_floats(outcomes: Outcomes, dtype: str) -> None:
    outcomes[dtype].check(rtol=1e-2)
    (graph,) = sm.inspect(outcomes[dtype].path).meta_graphs
    assert [spec.dtype for spec in graph.variables.values()] == [dtype]


@pytest.mark.parametrize("name", ["m\u00f6del %s #{a}@b:c", "two\nlines"])
def test_odd_names(outcomes: Outcomes, name: str) -> None:
    outcomes[name].check("a b")


def test_random_results_have_to_be_accepted(outcomes: Outcomes) -> None:
    assert " off, of values up to " in outcomes["random_accepted"].report


def test_methods_as_signatures(outcomes: Outcomes) -> None:
    outcomes["module"].check("ids")
    with sm.load(outcomes["module"].path) as model:
        count = model.signatures["count"]
        assert list(count.inputs) == ["given_a", "given_b_0", "given_b_1"]
        values = {"given_a": np.float32(2), "given_b_0": np.float32(5), "given_b_1": np.float32(3)}
        # The comparison counted in a copy: this one begins where the module was when it was written.
        assert [float(count.run(values)["output_0"]) for _ in range(2)] == [6, 12]
        assert float(count.run(values)["output_1_0"]) == 5


def test_a_vocabulary_becomes_an_asset(outcomes: Outcomes) -> None:
    (graph,) = sm.inspect(outcomes["module"].path).meta_graphs
    assert [asset.filename for asset in graph.assets] == ["words.txt"]


def test_control_flow_of_python(outcomes: Outcomes) -> None:
    """Both branches are there, though the conversion was traced once."""
    with sm.load(outcomes["function"].path) as model:
        x, y = -np.ones((1, 3), np.float32), np.ones((1, 3), np.float32)
        assert model(x=x, y=y)["output_0"].tolist() == [[-2, -2, -2]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_signature", "ValueError: the function does not say what its inputs are; give input_signature="),
        ("no_tensor", "TypeError: an input must be a tf.TensorSpec or a (shape, dtype), got 'float32'"),
        ("contradiction", "the source fails on generated inputs, give samples= (--samples): "),
        ("no_method", "KeyError: \"Words has no method 'cuonted'; did you mean 'counted'?\""),
        ("untracked", "ValueError: a function uses a resource that nothing holds"),
        ("pattern[1]", "TensorFlow reads *, ?, [ and \\ in a path as a pattern"),
        ("none", "TypeError: outputs must be dense tensors; 'output_0' is None"),
        ("ragged", "TypeError: outputs must be dense tensors; 'output_0' is tf.RaggedTensor"),
        ("ragged_input", "TypeError: inputs must be dense tensors, got RaggedTensorSpec"),
        ("raises", "no such key"),
        ("asserts", "the source fails on generated inputs"),
        ("random", "InternalError: signature 'serving_default', output 'output_0': the conversion differs "),
        ("python", "(PyFunc) calls a Python function of this process"),
        ("full", "File too large"),
    ],
)
def test_nothing_is_written_after_an_error(outcomes: Outcomes, name: str, text: str) -> None:
    assert text in outcomes[name].error
    assert not outcomes[name].existed
    assert outcomes[name].left == []
