"""Model.run: any tensor of the graph by name. Model.variables: the graph's variables by name."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load, address, misaligned

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def model(load: Load) -> sm.Model:
    """y:0 = 2 * x:0, where x:0 is float32 [?, 3]."""
    return load("bad_sig")


def test_one_fetch_or_several(model: sm.Model) -> None:
    np.testing.assert_array_equal(model.run("y:0", {"x:0": X}), 2 * X)
    np.testing.assert_array_equal(model.run("y", {"x": X}), 2 * X)
    for fetches in ["y:0", "y"], ("y:0", "y"):
        results = model.run(fetches, {"x:0": X})
        assert type(results) is list
        assert len(results) == 2
        for result in results:
            np.testing.assert_array_equal(result, 2 * X)
    assert len(model.run(["y"], {"x": X})) == 1


def test_without_feeds(load: Load) -> None:
    model = load("v1_ref_counter")
    assert model.run("counter") == 10
    assert model.run("counter:0", {}) == 10
    assert model.run(["counter"], None) == [10]
    assert load("multi").run(load("multi").signatures["no_inputs"].outputs["answer"].name) == 42


def test_fetch_what_is_fed(model: sm.Model) -> None:
    x, y = model.run(["x", "y:0"], {"x:0": X})
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, 2 * X)
    assert not np.shares_memory(x, X)
    np.testing.assert_array_equal(model.run("x", {"x": X}), X)


def test_feed_any_tensor(model: sm.Model) -> None:
    fed = np.full((4, 4), 7, np.float32)  # not what x can be, but y is no placeholder
    np.testing.assert_array_equal(model.run("y", {"y": fed}), fed)


def test_feed_one_tensor_under_two_names(model: sm.Model) -> None:
    np.testing.assert_array_equal(model.run("y", {"x": X, "x:0": X.copy()}), 2 * X)
    with pytest.raises(ValueError, match="'x' and 'x:0' are one tensor of the graph"):
        model.run("y", {"x": X, "x:0": X + 1})


def test_strings_and_lists(load: Load) -> None:
    model = load("strings")
    f = model.signatures["upper"]
    result = model.run(f.outputs["t"].name, {f.inputs["s"].name: ["a", b"b"]})
    assert list(result) == [b"A", b"B"]


def test_more_sets_of_fetches_than_are_kept(model: sm.Model) -> None:
    kept = []
    for _ in range(2):
        for count in range(1, 101):
            results = model.run(["y"] * count, {"x": X * count})
            assert len(results) == count
            kept.append((count, results[-1]))
    for count, result in kept:
        np.testing.assert_array_equal(result, 2 * X * count)


@pytest.mark.parametrize("name", ["", ":0", "y:", "y:x", "y:-1", "^y", "y:99999999999999999999"])
def test_what_is_not_the_name_of_a_tensor(model: sm.Model, name: str) -> None:
    for fetch, feed in (name, "x"), ("y", name):
        with pytest.raises(ValueError, match="is not the name of a tensor") as error:
            model.run(fetch, {feed: X})
        assert repr(name) in str(error.value)
    np.testing.assert_array_equal(model.run("y", {"x": X}), 2 * X)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "no node 'nope'"),
        ("nope:0", "no node 'nope'"),
        ("y:7", "'y' has no output 7; it has 1 outputs"),
        ("y/", "no node 'y/'"),
        (" y", "no node ' y'"),
        ("init", "'init' has no output 0; it has 0 outputs"),
    ],
)
def test_tensors_that_the_graph_does_not_have(model: sm.Model, name: str, message: str) -> None:
    for fetch, feed in (name, "x"), ("y", name):
        with pytest.raises(sm.NotFoundError, match=message):
            model.run(fetch, {feed: X})
    np.testing.assert_array_equal(model.run("y", {"x": X}), 2 * X)


def test_wrong_feeds(model: sm.Model) -> None:
    with pytest.raises(TypeError, match=r"input 'x': expected float32 \[\?, 3\], got float64"):
        model.run("y", {"x": X.astype(np.float64)})
    with pytest.raises(ValueError, match=r"input 'x': expected float32 \[\?, 3\], got .*\[3\]"):
        model.run("y", {"x": X[0]})
    with pytest.raises(sm.InvalidArgumentError, match="must feed a value for placeholder"):
        model.run("y")
    np.testing.assert_array_equal(model.run("y", {"x": misaligned(X)}), 2 * X)


@pytest.mark.parametrize(
    ("fetches", "feeds"),
    [(5, {}), ([5], {}), (b"y", {}), ("y", {5: X}), ("y", [X]), ("y", X), ("y", 5)],
)
def test_arguments_of_another_type(model: sm.Model, fetches: Any, feeds: Any) -> None:
    with pytest.raises(TypeError) as error:
        model.run(fetches, feeds)
    assert "incompatible function arguments" not in str(error.value)  # not in the caller's words
    np.testing.assert_array_equal(model.run("y", {"x": X}), 2 * X)


def test_no_fetches(model: sm.Model) -> None:
    with pytest.raises(ValueError, match="fetches is empty"):
        model.run([], {"x": X})


def test_a_resource_has_no_value(load: Load) -> None:
    model = load("resource_out")
    name = model.signatures["resource"].outputs["handle"].name
    with pytest.raises(sm.UnimplementedError, match="resource handle"):
        model.run(name)
    np.testing.assert_array_equal(model.signatures["good"](X[0])["y"], 2 * X[0])


def test_variables(load: Load) -> None:
    model = load("weights")
    assert list(model.variables) == ["w"]
    assert len(model.variables) == 1
    assert "w" in model.variables
    assert "float32 [4, 5]" in repr(model.variables)
    w = model.variables["w"]
    assert w.shape == (4, 5)
    assert not w.flags.writeable
    np.testing.assert_array_equal(w, model.signatures["get"]()["w"])
    assert address(w) == address(model.variables["w"])
    with pytest.raises(KeyError, match=r"no variable 'v'; there are: w"):
        model.variables["v"]
    assert model.variables.get("v") is None
    model.close()
    del model
    gc.collect()
    assert np.isfinite(w).all()


def test_variables_of_other_kinds(load: Load) -> None:
    assert dict(load("add").variables) == {}
    assert load("v1_ref_counter").variables["counter"] == 10
    assert {name: v.shape for name, v in load("mlp").variables.items()} == {
        **{f"w{i}": shape for i, shape in enumerate([(64, 128), (128, 128), (128, 10)])},
        **{f"b{i}": (size,) for i, size in enumerate([128, 128, 10])},
    }
    with pytest.raises(KeyError, match="none"):
        load("add").variables["w"]


def test_variables_are_read_anew(load: Load) -> None:
    for name, signature, variable, start in [
        ("stateful", "incr", "count", 0),
        ("v1_ref_counter", "incr", "counter", 10),
    ]:
        model = load(name)
        variables = model.variables
        before = variables[variable]
        model.signatures[signature](2.0)
        assert before == start
        assert variables[variable] == start + 2


def test_parts_of_a_partitioned_variable(load: Load) -> None:
    model = load("v1_partitioned_variable")
    parts = [model.variables[name] for name in sorted(model.variables)]
    assert [part.shape for part in parts] == [(3, 4), (3, 4)]
    x = np.eye(6, dtype=np.float32)
    np.testing.assert_allclose(model(x)["y"], np.concatenate(parts), rtol=1e-6)


def test_a_run_that_repeats_gives_the_same(load: Load) -> None:
    """From some run on the graph is optimized."""
    model = load("mlp")
    f = model.signatures["serving_default"]
    fetch, (feed, spec) = next(iter(f.outputs.values())).name, next(iter(f.inputs.items()))
    x = np.linspace(-1, 1, 2 * 64, dtype=np.float32).reshape(2, 64)
    wanted = next(iter(f.run({feed: x}).values()))
    for _ in range(25):
        np.testing.assert_allclose(model.run(fetch, {spec.name: x}), wanted, rtol=1e-5, atol=1e-6)
    results: list[Any] = []
    other = load("mlp")
    threads = [
        threading.Thread(target=lambda: results.extend(other.run(fetch, {spec.name: x}) for _ in range(10)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 40
    for result in results:
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)


def test_a_repeated_run_sees_what_another_run_writes(load: Load) -> None:
    model = load("assignable_v1")
    f = model.signatures["serving_default"]
    fetch, feed = f.outputs["y"].name, f.inputs["x"].name
    x = np.ones(3, np.float32)
    for value in (2, 5, 7):
        if value != 2:
            assert model.run("set_weight:0", {"new_weight:0": np.float32(value)}) == value
        for _ in range(15):
            np.testing.assert_array_equal(model.run(fetch, {feed: x}), value * x)
