"""Calls that do more than compute: they are optimized, and leave and find what TensorFlow's would."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import savedmodel as sm
from savedmodel._optimization import Optimization

from .helpers import IN_A_SESSION, Array, Load

X = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)


def report(model: sm.Model, name: str = "serving_default") -> Optimization:
    return next(r for r in model.prepare() if r.function == f"signature {name!r}")


def example(signature: sm.Signature, batch: int) -> dict[str, Array]:
    """Numbers, or words, for inputs whose first dimension is the batch."""
    generator = np.random.default_rng(batch)
    inputs = {}
    for key, spec in signature.inputs.items():
        shape = [batch if size is None else size for size in spec.shape or ()]
        words = spec.dtype == np.dtype(object)
        inputs[key] = np.full(shape, b"yes") if words else generator.normal(size=shape).astype(spec.dtype)
    return inputs


@pytest.mark.parametrize("level", ["none", "default"])
def test_writes_happen_in_order_and_are_seen_by_all(load: Load, level: str) -> None:
    model = load("effects", optimize=level)
    f = model.signatures["serving_default"]
    for i in range(3):
        results = f(x=X)
        assert (results["before"], results["after"]) == (11 * i + 1, 11 * i + 11)
        assert model.variables["calls"] == 11 * i + 11
    # Another set of outputs has kernels of its own, and the same variable.
    assert f.run({"x": X}, outputs=["before"])["before"] == 34
    _, trace = f.run({"x": X}, outputs=["before"], trace=True)
    assert trace.events
    assert f.run({"x": X}, outputs=["before"], options=IN_A_SESSION)["before"] == 56
    assert f(x=X)["after"] == model.variables["calls"]


def test_a_signature_with_effects_is_optimized(load: Load) -> None:
    model = load("effects")
    model.signatures["serving_default"](x=X)
    model.signatures["draw"](x=X)
    for name, effects in {"serving_default": ("AssignAddVariableOp",), "draw": ("Multinomial",)}.items():
        done = report(model, name)
        assert done.optimized, done
        assert done.executor == "sequential"
        assert set(effects) <= set(done.effects)


def test_draws_go_on_where_they_stopped_whoever_asks(load: Load) -> None:
    plain, optimized = load("effects", optimize="none"), load("effects")
    noise = []
    for outputs in None, ["noisy", "y"], None, ["choice", "y"], ["noisy", "y"]:
        expected = plain.signatures["draw"].run({"x": X}, outputs=outputs)
        results = optimized.signatures["draw"].run({"x": X}, outputs=outputs)
        for key, value in expected.items():
            np.testing.assert_allclose(results[key], value, rtol=1e-5, atol=1e-5)
        if "noisy" in results:
            noise.append(results["noisy"] - results["y"])
    for a, b in itertools.pairwise(noise):
        assert np.abs(a - b).max() > 1e-2


def test_weights_that_a_signature_trains_are_read_anew(load: Load) -> None:
    model = load("effects")
    w = model.variables["w"].astype(np.float64)
    x = X.astype(np.float64)
    for _ in range(4):
        results = model.signatures["train"](x=X)
        error = x @ w - 1
        np.testing.assert_allclose(results["loss"], np.mean(error**2), rtol=1e-4)
        w -= 0.05 * 2 * x.T @ error / error.size
        np.testing.assert_allclose(results["after"], np.mean((x @ w - 1) ** 2), rtol=1e-4)
        np.testing.assert_allclose(model.variables["w"], w, rtol=1e-4, atol=1e-5)
    y = model.signatures["draw"].run({"x": X}, outputs=["y"])["y"]
    np.testing.assert_allclose(y, x @ w, rtol=1e-4, atol=1e-4)


def test_loops_and_branches_that_write_and_draw(load: Load) -> None:
    plain, optimized = load("effects", optimize="none"), load("effects")
    for n in 3, 0, 1, 6, 2:
        given = {"x": X, "n": np.int32(n)}
        expected, results = (m.signatures["loop"].run(given) for m in (plain, optimized))
        assert results["i"] == n
        for key, value in expected.items():
            np.testing.assert_allclose(results[key], value, rtol=1e-5, atol=1e-5)
        assert optimized.variables["calls"] == plain.variables["calls"]
    assert report(optimized, "loop").executor == "sequential"


def test_a_table_that_a_signature_fills(load: Load) -> None:
    f = load("effects").signatures["note"]
    x = np.zeros(2, np.float32)
    assert f(words=["a", "b"], x=x)["known"].tolist() == [-1, -1]
    results = f(words=["b", "c"], x=x)
    assert results["known"].tolist() == [1, -1]
    assert results["size"] == 3


def test_calls_with_effects_are_not_made_to_verify(load: Load) -> None:
    model = load("effects", verify=True)
    assert model.variables["calls"] == 0


@pytest.mark.parametrize("name", ["compiled", "pinned_inside", "v1_unnamed_table"])
def test_what_asks_for_a_compiler_a_gpu_or_its_kernels_table_is_optimized(load: Load, name: str) -> None:
    model = load(name)
    for signature in model.signatures.values():
        signature.run(example(signature, 2))
        done = report(model, signature.name)
        assert done.optimized, done
        assert done.executor == "sequential"


def test_variables_of_tensorflow_1_are_constants_until_somebody_writes_them(load: Load) -> None:
    model = load("v1_ref_weights")
    f = model.signatures["serving_default"]
    w, b = model.variables["w"], model.variables["b"]
    np.testing.assert_allclose(f(x=X)["y"], np.maximum(X @ w + b, 0), rtol=1e-5, atol=1e-5)
    done = report(model)
    assert (done.optimized, done.executor, done.variables_frozen) == (True, "sequential", 2), done
    assert not np.shares_memory(f(x=X)["b"], f(x=X)["b"])
    model.run(["set_b:0"], {"new_b:0": b + 1})
    results = f(x=X)
    np.testing.assert_allclose(results["y"], np.maximum(X @ w + b + 1, 0), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(results["b"], b + 1)


def seed_states(model: sm.Model) -> dict[str, Array]:
    """Of the names that Keras saves a variable by, only one may have a value."""
    states = {}
    for name in model.variables:
        try:
            value = model.variables[name]
        except sm.FailedPreconditionError:
            continue
        if value.dtype.kind in "iu":
            states[name] = value
    return states


@pytest.mark.parametrize("name", ["rnn_dropout", "rnn_stacked", "rnn_by_gates", "augmented"])
def test_layers_that_are_random_in_training_only(load: Load, name: str) -> None:
    plain, optimized = load(name, optimize="none"), load(name)
    for batch in 1, 3, 3:
        x = example(optimized.signatures["serving_default"], batch)
        (expected,), (result,) = (m.signatures["serving_default"].run(x).values() for m in (plain, optimized))
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=2e-6)
    done = report(optimized)
    assert done.optimized
    assert done.executor == "sequential", done  # no loop is left
    states = seed_states(optimized)
    assert states
    for key, state in states.items():
        np.testing.assert_array_equal(state, plain.variables[key])
