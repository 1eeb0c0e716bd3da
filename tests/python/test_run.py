"""Calling signatures: forms of a call, subsets of outputs, results into given memory."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Array, Load, address, aligned

A = np.array([1, 2, 3], np.float32)
B = np.array([10, 20, 30], np.float32)


@pytest.fixture
def sum_prod(load: Load) -> sm.Signature:
    """(a, b) -> (prod, sum)."""
    return load("multi").signatures["sum_prod"]


def check_sum_prod(results: Mapping[str, Any]) -> None:
    assert list(results) == ["prod", "sum"]
    np.testing.assert_array_equal(results["sum"], A + B)
    np.testing.assert_array_equal(results["prod"], A * B)


def test_forms_of_a_call(sum_prod: sm.Signature) -> None:
    inputs = {"b": B, "a": A}
    check_sum_prod(sum_prod(A, B))
    check_sum_prod(sum_prod(A, b=B))
    check_sum_prod(sum_prod(b=B, a=A))
    check_sum_prod(sum_prod(inputs))
    check_sum_prod(sum_prod(**inputs))
    check_sum_prod(sum_prod.run(inputs))
    check_sum_prod(sum_prod.run(inputs=inputs))
    check_sum_prod(sum_prod.run(types.MappingProxyType(inputs)))


def test_the_model_is_its_default_signature(load: Load) -> None:
    multi = load("multi")
    np.testing.assert_array_equal(multi(A)["y"], A + 1)
    np.testing.assert_array_equal(multi(x=A)["y"], A + 1)
    np.testing.assert_array_equal(multi({"x": A})["y"], A + 1)
    with load("weights") as model, pytest.raises(TypeError, match="'apply', 'get'"):
        model(A)


def test_the_only_signature_is_the_default(load: Load) -> None:
    assert load("table").signatures.keys() == {"lookup", "serving_default"}
    only = load("v1_main_op")
    assert list(only.signatures) == ["serving_default"]
    np.testing.assert_array_equal(only(["gamma", "alpha", "delta"])["id"], [2, 0, -1])


def test_signatures_of_a_model(load: Load) -> None:
    model = load("multi")
    assert list(model.signatures) == ["double", "no_inputs", "serving_default", "sum_prod"]
    f = model.signatures["sum_prod"]
    assert f.name == "sum_prod"
    assert f.method_name == "tensorflow/serving/predict"
    assert list(f.inputs) == ["a", "b"]
    assert list(f.outputs) == ["prod", "sum"]
    spec = f.inputs["a"]
    assert (spec.dtype, spec.tf_dtype, spec.shape) == (np.dtype("float32"), "float32", (None,))
    assert spec.name == "sum_prod_a:0"
    with pytest.raises(TypeError):
        f.inputs["c"] = spec  # type: ignore[index]


def test_shapes_of_specs(load: Load) -> None:
    signatures = load("shapes").signatures
    shapes = {name: f.inputs["x"].shape for name, f in signatures.items()}
    assert shapes == {"static": (2, 3), "partial": (None, 3), "unknown": None}
    assert load("strings").signatures["upper"].inputs["s"].dtype == np.dtype(object)


def test_any_rank_where_the_rank_is_unknown(load: Load) -> None:
    f = load("shapes").signatures["unknown"]
    for shape in (), (3,), (2, 0, 2), (1,) * 8:
        assert f(np.ones(shape, np.float32))["y"].shape == shape


def test_no_inputs(load: Load) -> None:
    f = load("multi").signatures["no_inputs"]
    for results in f(), f({}), f.run(), f.run({}), f.run(None):
        assert results["answer"].shape == ()
        assert results["answer"] == 42


def test_names_that_are_not_identifiers(load: Load) -> None:
    model = load("odd_names")
    f = model.signatures["serving_default"]
    assert list(f.inputs) == ["0/observation", "a b", "in"]
    inputs = {"in": A, "0/observation": A, "a b": A}
    for results in f.run(inputs), f(inputs), f(A, A, A), f(**inputs), model(**inputs):
        np.testing.assert_array_equal(results["total"], 111 * A)
    results = model.signatures["tensorflow/serving/predict"](A)
    np.testing.assert_array_equal(results["out/0"], -A)
    np.testing.assert_array_equal(results["class"], A + 1)


def test_defaults(load: Load) -> None:
    f = load("defaults").signatures["serving_default"]
    assert f.inputs["x"].default is None
    default = f.inputs["scale"].default
    assert default is not None
    assert default == 3
    np.testing.assert_array_equal(f(x=A)["z"], 3 * A)
    np.testing.assert_array_equal(f.run({"x": A})["z"], 3 * A)
    np.testing.assert_array_equal(f(x=A, scale=2)["z"], 2 * A)
    np.testing.assert_array_equal(f(2, A)["z"], 2 * A)
    assert "default" in f.explain(x=A)["scale"]
    with pytest.raises(TypeError, match="missing input 'x'"):
        f(scale=2)


def test_reference_outputs(load: Load) -> None:
    model = load("v1_ref_counter")
    spec = model.signatures["get"].outputs["counter"]
    assert spec.dtype == np.float32
    incr, get = model.signatures["incr"], model.signatures["get"]
    assert incr(1.5)["counter"] == 11.5
    assert get()["counter"] == 11.5
    assert get()["counter"].dtype == np.float32


def test_state_is_kept_between_calls_and_models_do_not_share_it(load: Load) -> None:
    first, second = load("stateful"), load("stateful")
    first.signatures["incr"](2.0)
    assert first.signatures["incr"](by=3.0)["count"] == 5
    assert second.signatures["get"]()["count"] == 0
    keys = np.array([b"a", b"b"], object)
    assert first.signatures["put"](keys, np.array([1, 2], np.int64))["size"] == 2
    np.testing.assert_array_equal(first.signatures["lookup"](["b", "x"])["values"], [2, -1])
    np.testing.assert_array_equal(second.signatures["lookup"](["b", "x"])["values"], [-1, -1])


def test_where_a_signature_errs_the_graph_decides(load: Load) -> None:
    signatures = load("bad_sig").signatures
    x = np.ones((2, 3), np.float32)
    for name in "wrong_dtype", "wrong_out_dtype", "wrong_shape":
        f = signatures[name]
        assert f.inputs["x"].dtype == np.float32, name
        assert f.inputs["x"].shape == (None, 3), name
        assert f.outputs["y"].dtype == np.float32
        np.testing.assert_array_equal(f(x)["y"], 2 * x, err_msg=name)


def test_one_tensor_under_two_inputs(load: Load) -> None:
    f = load("bad_sig").signatures["dup_in"]
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(f(x=x, also_x=x)["y"], 2 * x)
    np.testing.assert_array_equal(f(x=x, also_x=x.copy())["y"], 2 * x)
    with pytest.raises(ValueError, match="'also_x' and 'x' are one tensor of the graph") as error:
        f(x=x, also_x=x + 1)
    assert "signature 'dup_in'" in str(error.value)
    np.testing.assert_array_equal(f(x, x)["y"], 2 * x)


def test_an_output_that_is_an_input(load: Load) -> None:
    f = load("bad_sig").signatures["fed_fetched"]
    x = np.ones((2, 3), np.float32)
    for results in f(x), f.run({"x": x}, outputs=["y", "x"]):
        np.testing.assert_array_equal(results["x"], x)
        np.testing.assert_array_equal(results["y"], 2 * x)
    np.testing.assert_array_equal(f.run({"x": x}, outputs="x")["x"], x)


def test_subset_of_outputs(sum_prod: sm.Signature) -> None:
    inputs = {"a": A, "b": B}
    for outputs in ["sum"], ("sum",), "sum", iter(["sum"]), {"sum"}, ["sum", "sum"]:
        results = sum_prod.run(inputs, outputs=outputs)
        assert list(results) == ["sum"]
        np.testing.assert_array_equal(results["sum"], A + B)
    both = sum_prod.run(inputs, outputs=["sum", "prod"])
    assert list(both) == ["sum", "prod"]
    np.testing.assert_array_equal(both["prod"], A * B)
    check_sum_prod(sum_prod.run(inputs, outputs=None))


def test_a_subset_leaves_out_what_cannot_be_returned(load: Load) -> None:
    f = load("resource_out").signatures["resource"]
    with pytest.raises(sm.UnimplementedError, match=r"'resource', output 'handle'.*resource"):
        f(A)
    np.testing.assert_array_equal(f.run({"x": A}, outputs="y")["y"], 2 * A)


def test_out(sum_prod: sm.Signature) -> None:
    inputs = {"a": A, "b": B}
    buffer = np.zeros(3, np.float32)
    results = sum_prod.run(inputs, out={"sum": buffer})
    assert results["sum"] is buffer
    assert results["prod"] is not buffer
    check_sum_prod(results)
    both = {"sum": aligned(np.zeros(3), np.float32), "prod": np.zeros(3, np.float32)}
    results = sum_prod.run(inputs, out=both, outputs=["sum", "prod"])
    assert all(results[name] is both[name] for name in both)
    np.testing.assert_array_equal(both["sum"], A + B)
    check_sum_prod(sum_prod.run(inputs, out={}))
    check_sum_prod(sum_prod.run(inputs, out=types.MappingProxyType({"sum": buffer})))


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((8, 16), np.float32)[::2],
        lambda: np.zeros((4, 32), np.float32)[:, ::2],
        lambda: np.zeros((4, 16), np.float32, order="F"),
        lambda: np.zeros((16, 4), np.float32).T[::-1],
    ],
)
def test_out_that_is_not_contiguous(load: Load, make: Any) -> None:
    x = np.arange(64, dtype=np.float32).reshape(4, 16)
    buffer: Array = make()
    results = load("identity").signatures["serving_default"].run({"x": x}, out={"y": buffer})
    assert results["y"] is buffer
    np.testing.assert_array_equal(buffer, x)


def test_out_that_is_large_empty_or_the_input(load: Load) -> None:
    f = load("identity").signatures["serving_default"]
    x = np.arange(1 << 20, dtype=np.float32).reshape(1024, 1024)
    buffer = np.empty_like(x)
    f.run({"x": x}, out={"y": buffer})
    np.testing.assert_array_equal(buffer, x)
    empty = np.empty((0, 3), np.float32)
    assert f.run({"x": empty}, out={"y": empty})["y"] is empty
    same = aligned(x)
    f.run({"x": same}, out={"y": same})
    np.testing.assert_array_equal(same, x)


def test_out_never_loses_a_result(sum_prod: sm.Signature) -> None:
    inputs = {"a": A, "b": B}
    block = np.zeros(8, np.float32)
    for one, other in (block[:3], block[:3]), (block[:3], block[2:5]), (block[:6:2], block[4:7]):
        with pytest.raises(ValueError, match=r"overlapping arrays for '(sum|prod)' and '(sum|prod)'"):
            sum_prod.run(inputs, out={"sum": one, "prod": other})
    once = np.lib.stride_tricks.as_strided(block, (3,), (0,))
    with pytest.raises(ValueError, match="out 'sum': elements of the array overlap in memory"):
        sum_prod.run(inputs, out={"sum": once})
    assert not block.any()
    sum_prod.run(inputs, out={"sum": block[:6:2], "prod": block[1:6:2]})  # side by side
    np.testing.assert_array_equal(block[:6:2], A + B)
    np.testing.assert_array_equal(block[1:6:2], A * B)
    masked = np.ma.masked_array(np.zeros(3, np.float32), [False, True, False])
    with pytest.raises(ValueError, match="out 'sum': the array is masked"):
        sum_prod.run(inputs, out={"sum": masked})


def test_several_results_over_the_inputs(sum_prod: sm.Signature) -> None:
    """Inputs are read before results are written."""
    a, b = aligned(A), aligned(B)
    sum_prod.run({"a": a, "b": b}, out={"sum": b, "prod": a})
    np.testing.assert_array_equal(a, A * B)
    np.testing.assert_array_equal(b, A + B)


def test_out_of_strings_and_scalars(load: Load) -> None:
    words = np.empty(2, object)
    f = load("strings").signatures["upper"]
    assert f.run({"s": ["a", "b"]}, out={"t": words})["t"] is words
    assert list(words) == [b"A", b"B"]
    scalar = np.zeros((), np.float32)
    load("scalar").signatures["serving_default"].run({"x": 3}, out={"y": scalar})
    assert scalar == 9


def test_out_keeps_its_memory(sum_prod: sm.Signature) -> None:
    buffer = np.zeros(3, np.float32)
    where = address(buffer)
    for factor in range(1, 4):
        sum_prod.run({"a": A * factor, "b": B}, out={"sum": buffer})
        assert address(buffer) == where
        np.testing.assert_array_equal(buffer, A * factor + B)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ({"sum": np.zeros(3)}, TypeError, r"out 'sum': expected float32 \[\?\], got float64 \[3\]"),
        ({"sum": np.zeros(3, ">f4")}, TypeError, r"out 'sum': expected float32 \[\?\], got >f4"),
        ({"sum": np.zeros(4, np.float32)}, ValueError, r"out 'sum': the result is \[3\].*\[4\]"),
        ({"sum": np.zeros((1, 3), np.float32)}, ValueError, r"out 'sum': the result is \[3\]"),
        ({"sum": np.broadcast_to(A, 3)}, ValueError, r"out 'sum': the array is read-only"),
        ({"sum": [0.0, 0.0, 0.0]}, TypeError, r"out 'sum': expected a numpy array.*got list"),
        ({"difference": np.zeros(3, np.float32)}, KeyError, r"out names 'difference'"),
        ([np.zeros(3, np.float32)], TypeError, r"out must be a dict.*got list"),
    ],
)
def test_wrong_out(sum_prod: sm.Signature, out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        sum_prod.run({"a": A, "b": B}, out=out)
    assert "signature 'sum_prod'" in str(caught.value)
    check_sum_prod(sum_prod(A, B))


def test_out_that_is_not_among_the_outputs_asked_for(sum_prod: sm.Signature) -> None:
    with pytest.raises(KeyError, match="out names 'prod'"):
        sum_prod.run({"a": A, "b": B}, outputs=["sum"], out={"prod": np.zeros(3, np.float32)})


def test_specs_of_outputs_are_those_of_results(load: Load) -> None:
    for name in "mlp", "multi", "scalar", "slice_view", "while_loop", "shapes":
        for f in load(name).signatures.values():
            inputs = {
                key: np.ones([size or 2 for size in spec.shape or ()], spec.dtype)
                for key, spec in f.inputs.items()
            }
            for key, value in f.run(inputs).items():
                spec = f.outputs[key]
                assert value.dtype == spec.dtype
                assert spec.shape is None or len(spec.shape) == value.ndim
