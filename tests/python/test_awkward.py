"""Models that ask more of a runtime than they seem to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from . import graphs
from .helpers import Load, aligned, run_python


def test_a_kernel_that_writes_into_its_input_gets_a_copy(load: Load) -> None:
    f = load("inplace").signatures["serving_default"]
    x = aligned([1.0, 2.0, 3.0], np.float32)
    x.flags.writeable = False
    assert f(x)["y"].tolist() == [7.0, 2.0, 3.0]
    assert x.tolist() == [1.0, 2.0, 3.0]
    assert "InplaceUpdate" in f.explain(x)["x"]


def test_nodes_that_wait_for_one_another_do_not_hang(models: Path) -> None:
    code = f"""
        import numpy as np, savedmodel as sm
        model = sm.load({str(models / "staging")!r})
        for _ in range(3):
            assert model(np.ones(2, np.float32))["y"].tolist() == [2.0, 2.0]
    """
    run_python(code)


def test_a_variable_without_a_value(models: Path) -> None:
    code = f"""
        import savedmodel as sm
        model = sm.load({str(models / "uninitialised")!r})
        assert model.variables["restored"] == 2.0
        try:
            model.variables["forgotten"]
        except sm.FailedPreconditionError as error:
            assert "'forgotten' has no value" in str(error)
        else:
            raise AssertionError
        assert model(3.0)["y"] == 6.0
    """
    run_python(code)


@pytest.mark.parametrize("optimize", ["none", "default"])
def test_variables_without_a_shared_name_are_one(tmp_path: Path, optimize: Any) -> None:
    """TensorFlow finds a resource variable by its shared name alone, which is empty by default."""
    string = 'attr { key: "dtype" value { type: DT_STRING } }'
    handle = string + 'attr { key: "shape" value { shape {} } }'
    path = graphs.save(
        tmp_path / "model",
        graphs.const("one", "first")
        + graphs.const("two", "second")
        + "".join(graphs.node(name, "VarHandleOp", attributes=handle) for name in "ab")
        + graphs.node("set_a", "AssignVariableOp", "a", "one", attributes=string)
        + graphs.node("set_b", "AssignVariableOp", "b", "two", "^set_a", attributes=string)
        + graphs.node("init", "NoOp", "^set_b")
        + graphs.node("read", "ReadVariableOp", "a", attributes=string),
        output="read:0",
        init="init",
    )
    with sm.load(path, optimize=optimize) as model:
        assert model("x")["y"] == b"second"
        assert [model.variables[name].item() for name in "ab"] == [b"second", b"second"]


def test_an_empty_slice_does_not_end_the_borrowing(load: Load) -> None:
    f = load("prefix").signatures["serving_default"]
    x, n = aligned([1.0, 2.0, 3.0], np.float32), aligned(0, np.int32)
    assert f(x=x, n=n)["y"].shape == (0,)
    assert set(f.explain(x=x, n=n).values()) == {"borrowed"}
    assert f(x=x, n=aligned(2, np.int32))["y"].tolist() == [1.0, 2.0]


def test_strings_of_a_reference_variable_do_not_change_later(load: Load) -> None:
    model = load("v1_ref_string")
    before = model.signatures["get"]()["v"]
    model.signatures["set"](["c" * 50, "d"])
    assert before.tolist() == [b"a" * 40, b"b" * 40]
    assert model.signatures["get"]()["v"].tolist() == [b"c" * 50, b"d"]


def test_a_config_that_builds_cost_models_is_refused(load: Load) -> None:
    """It does not go together with callables, of which a model makes several."""
    # ConfigProto.graph_options (10) . build_cost_model (4) = 1
    with pytest.raises(sm.UnimplementedError, match="build_cost_model"):
        load("mlp", session=sm.SessionOptions(config=b"\x52\x02\x20\x01"))


def test_operation_timeout_of_the_config(load: Load) -> None:
    # ConfigProto.operation_timeout_in_ms (11) = 20
    model = load("slow", session=sm.SessionOptions(config=b"\x58\x14"))
    with pytest.raises(sm.DeadlineExceededError):
        model(np.int32(2_000_000_000))


def test_a_relative_path_is_kept_when_the_directory_changes(models: Path) -> None:
    here = os.getcwd()
    try:
        os.chdir(models)
        with sm.load("add") as model:
            os.chdir("/")
            assert sum(model.placement.values()) > 0
    finally:
        os.chdir(here)


def test_exit_handlers_of_before_may_join_a_thread_that_calls(models: Path) -> None:
    code = f"""
        import atexit, threading
        stop = threading.Event()
        atexit.register(lambda: (stop.set(), worker.join()))  # runs after what later imports register
        import numpy as np, savedmodel as sm
        model = sm.load({str(models / "mlp")!r})
        x = np.ones((1, 64), np.float32)
        def work():
            while not stop.is_set():
                model(x)
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
    """
    assert run_python(code) == ("", "")


def test_a_forked_child_may_look_at_a_model_that_it_closed(models: Path) -> None:
    code = f"""
        import os, savedmodel as sm
        model = sm.load({str(models / "mlp")!r})
        pid = os.fork()
        if pid == 0:
            model.close()
            assert "w0" in model.variables and repr(model)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    """
    run_python(code)


@pytest.mark.parametrize("value", [[2**24 + 1], [1e300], [10**400]])
def test_numbers_that_float32_cannot_hold(load: Load, value: list[float]) -> None:
    f = load("multi").signatures["double"]
    with pytest.raises(ValueError, match=r"'double'.*does not fit float32"):
        f(value)
    assert f([2**24])["y"].tolist() == [2.0**25]
