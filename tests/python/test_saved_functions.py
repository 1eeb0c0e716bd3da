"""`save_optimized`: functions that are no signatures."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from . import commands
from .helpers import IN_A_SESSION, Array, Load

X = np.arange(8, dtype=np.float32).reshape(2, 4)
SCALARS = {"x": 1.0, "y": [2.0]}
CALLS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    ("__call__", (X,), {}),
    ("__call__", (X,), {"training": True}),
    ("encoder.call", (X,), {}),
    ("nested", (SCALARS,), {}),
    ("nested", (SCALARS,), {"c": 3.0}),
    ("counted", (), {}),
    ("look_up", (["a", "c", "x", "m", "?"],), {}),
    ("vocabulary", (), {}),
    ("ragged", (sm.RaggedTensor(np.array([1, 2, 3], np.float32), np.array([0, 2, 3])),), {}),
    ("twice", (np.array([1, 2, 3], np.float32),), {}),
    ("reset", (), {}),
    ("counted", (), {}),
)


@pytest.fixture
def copy(load: Load, tmp_path: Path) -> Path:
    """An optimized copy of `functions`, which has no signature."""
    load("functions").save_optimized(tmp_path / "copy")
    return tmp_path / "copy"


def reports(model: sm.Model) -> dict[str, str]:
    """By function, the notes of the traces that are ready."""
    found: dict[str, str] = {}
    for report in model.prepare():
        function = report.function.partition(", trace")[0]
        found[function] = found.get(function, "") + "\n".join(report.notes)
    return found


def was_read(model: sm.Model, path: str) -> bool:
    return "read from assets.extra/savedmodel" in reports(model)[f"function {path!r}"]


def flat(value: Any) -> list[Array]:
    if isinstance(value, dict):
        return [one for key in sorted(value) for one in flat(value[key])]
    if isinstance(value, sm.RaggedTensor):
        return [value.flat_values, *value.nested_row_splits]
    if isinstance(value, list | tuple):
        return [one for item in value for one in flat(item)]
    return [] if value is None else [value]


def check(model: sm.Model, plain: sm.Model, calls: Any = CALLS) -> None:
    """Each call in turn, with what it does to the model's state."""
    for path, args, kwargs in calls:
        results = flat(model.functions[path](*args, **kwargs))
        expected = flat(plain.functions[path](*args, **kwargs))
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            if np.asarray(wanted).dtype == object:
                np.testing.assert_array_equal(result, wanted, err_msg=path)
            else:
                np.testing.assert_allclose(result, wanted, rtol=1e-6, err_msg=path)


@pytest.mark.parametrize("order", ["", "writers last", "writers first"])
def test_the_copy_computes_the_same(models: Path, copy: Path, order: str) -> None:
    def rank(call: Any) -> bool:
        return (call[0] in ("nested", "reset")) is (order == "writers last")

    calls = sorted(CALLS, key=rank) if order else CALLS
    with sm.load(copy) as model, sm.load(models / "functions", optimize="none") as plain:
        check(model, plain, [*calls, *CALLS])
        np.testing.assert_allclose(model(X), plain(X), rtol=1e-6)


def test_they_are_taken_from_there(copy: Path) -> None:
    with sm.load(copy) as model:
        for path, args, kwargs in CALLS:
            model.functions[path](*args, **kwargs)
        read = {path for path, _, _ in CALLS if was_read(model, path)}
        # What reads the count may have it as a constant, and is made anew where something counts; `reset`
        # returns nothing.
        assert read >= {"__call__", "encoder.call", "nested", "look_up", "vocabulary", "ragged", "twice"}


def test_what_has_no_state_needs_no_variables(load: Load, copy: Path) -> None:
    (data,) = copy.glob("variables/*.data*")
    weights = [value.tobytes() for value in load("functions").variables.values() if value.shape == (4, 3)]
    content = data.read_bytes()
    assert content.count(weights[0]) == 1
    data.write_bytes(content.replace(weights[0], os.urandom(len(weights[0]))))
    with sm.load(copy) as model:
        np.testing.assert_array_equal(model(X), load("functions")(X))
        encoded = load("functions").functions["encoder.call"](X)
        np.testing.assert_array_equal(model.functions["encoder.call"](X), encoded)
        assert was_read(model, "__call__")
        for _ in range(2):
            with pytest.raises(sm.DataLossError):
                model.functions["nested"](SCALARS)
        np.testing.assert_array_equal(model(X), load("functions")(X))


def test_a_writer_ends_what_is_a_constant(copy: Path) -> None:
    with sm.load(copy) as model:
        counted = model.functions["counted"]
        assert counted() == 0
        assert was_read(model, "counted")
        for i in range(3):
            assert counted() == i
            model.functions["nested"](SCALARS)
        model.functions["reset"]()
        assert counted() == 0
    with sm.load(copy) as model:
        model.functions["nested"](SCALARS)
        assert model.functions["counted"]() == 1
        assert "another function writes" in reports(model)["function 'counted'"]


def test_many_threads_at_once(copy: Path) -> None:
    """Some need the session, some the graph alone."""
    with sm.load(copy) as model, ThreadPoolExecutor(8) as pool:
        calls = [("__call__", (X,)), ("encoder.call", (X,)), ("nested", (SCALARS,)), ("counted", ())]

        def call(number: int) -> Any:
            path, args = calls[number % len(calls)]
            return path, model.functions[path](*args)

        results = list(pool.map(call, range(64)))
        assert model.functions["counted"]() == 16
        for path in "__call__", "encoder.call":
            first, *others = [result for of, result in results if of == path]
            for other in others:
                np.testing.assert_array_equal(other, first)


def test_saving_changes_nothing_for_the_model_itself(models: Path, tmp_path: Path) -> None:
    with sm.load(models / "functions") as model, sm.load(models / "functions", optimize="none") as plain:
        model.functions["nested"](SCALARS)
        model.save_optimized(tmp_path / "copy")
        plain.functions["nested"](SCALARS)
        check(model, plain)
        assert all(report.optimized for report in model.prepare() if report.function != "function 'reset'")
    with sm.load(tmp_path / "copy") as copy, sm.load(models / "functions", optimize="none") as plain:
        check(copy, plain)  # the count starts anew, as in the files


def test_with_signatures(load: Load, models: Path, tmp_path: Path) -> None:
    with sm.load(models / "keras_saved") as model:
        path = next(iter(model.functions))
        model.save_optimized(tmp_path / "copy")
        trace = model.functions[path].concrete[0]
        (key,) = trace.inputs
        x = np.ones((3, 4), np.float32)
        expected = trace({key: x})
    with sm.load(tmp_path / "copy") as copy:
        result = copy.functions[path].concrete[0]({key: x})
        for name, value in expected.items():
            np.testing.assert_allclose(result[name], value, rtol=1e-5)
        assert was_read(copy, path)
        assert "read from" in reports(copy)["signature 'serving_default'"]


def test_chosen_functions(models: Path, tmp_path: Path) -> None:
    with sm.load(models / "functions") as model:
        model.save_optimized(tmp_path / "one", functions=["encoder.call"])
        with pytest.raises(KeyError, match=r"encoder\.call"):
            model.save_optimized(tmp_path / "none", functions=["encoder.cal"])
        with pytest.raises(TypeError, match="list of paths"):
            model.save_optimized(tmp_path / "none", functions="__call__")
        with pytest.raises(sm.FailedPreconditionError, match="no signature or function"):
            model.save_optimized(tmp_path / "none", functions=[])
    assert not (tmp_path / "none").exists()
    with sm.load(tmp_path / "one") as copy:
        copy(X)
        copy.functions["encoder.call"](X)
        assert was_read(copy, "encoder.call")
        assert not was_read(copy, "__call__")


def test_of_very_many_the_objects_own(models: Path, tmp_path: Path) -> None:
    """Functions of the objects in it are optimized when they are called."""
    x = np.array([1, 2], np.float32)
    for name, functions in ("default", None), ("chosen", ["layer.call"]):
        with sm.load(models / "many_functions") as model:
            assert sum(len(function.concrete) for function in model.functions.values()) == 33
            model.save_optimized(tmp_path / name, functions=functions)
        with sm.load(tmp_path / name) as copy:
            np.testing.assert_array_equal(copy(x), [6, 12])
            np.testing.assert_array_equal(copy.functions["layer.call"](x, 7), [7, 14])
            assert was_read(copy, "__call__") is (name == "default")
            assert was_read(copy, "layer.call") is (name == "chosen")
            assert all(report.optimized for report in copy.prepare())


def test_what_needs_a_session_gets_one(copy: Path, load: Load) -> None:
    plain = load("functions", optimize="none")
    with sm.load(copy) as model:
        trace = model.functions["__call__"].concrete[0]
        results = trace.run({"x": X}, options=IN_A_SESSION)
        np.testing.assert_allclose(results["output_0"], plain(X), rtol=1e-6)
        np.testing.assert_allclose(model(X), plain(X), rtol=1e-6)
        assert model(X[:0]).shape == (0, 3)
        assert model.variables.keys() == plain.variables.keys()
        assert model.devices == plain.devices


def test_other_options_and_other_files(copy: Path, load: Load) -> None:
    for options in ({"optimize": "none"}, {"device": "cpu"}, {"threads": 1}):
        with sm.load(copy, **options) as model:  # type: ignore[arg-type]
            np.testing.assert_allclose(model(X), load("functions")(X), rtol=1e-6)
            assert was_read(model, "__call__") is (options == {"threads": 1})
    with sm.load(copy) as model:
        graph = copy / "saved_model.pb"
        graph.write_bytes(graph.read_bytes() + b"\xf8\x7f\x01")
        with pytest.raises(sm.FailedPreconditionError, match="has changed since it was loaded"):
            model(X)
    with sm.load(copy) as model:
        np.testing.assert_array_equal(model(X), load("functions")(X))
        assert "is not used: made for model" in reports(model)["function '__call__'"]


def test_damaged_graphs_are_not_used(copy: Path, load: Load) -> None:
    graphs = copy / "assets.extra/savedmodel/graphs.pb"
    content = bytearray(graphs.read_bytes())
    content[len(content) // 2] ^= 1
    graphs.write_bytes(content)
    with sm.load(copy) as model:
        np.testing.assert_array_equal(model(X), load("functions")(X))
        assert "wrong checksum" in reports(model)["function '__call__'"]


def test_the_command(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "functions", tmp_path / "own")
    own, other = tmp_path / "own", tmp_path / "other"
    text = commands.output("optimize", own, own, "--function", "__call__", "--verify")
    assert text.startswith("__call__, trace 0: same results\n__call__, trace 1: same results\n")
    assert "function '__call__', trace 1: sequential executor" in text
    assert text.count("function '__call__'") == 2
    assert text.count("read from assets.extra/savedmodel") == 2
    assert "'encoder.cal'" in commands.error("optimize", own, other, "--function", "encoder.cal")
