"""Timeouts, traces and TensorFlow's own run options; per call and as the model's default."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load, run_python

FOREVER = np.int32(2**31 - 1)


def test_timeout(load: Load) -> None:
    model = load("slow")
    f = model.signatures["spin"]
    with pytest.raises(sm.DeadlineExceededError):
        f.run({"n": FOREVER}, timeout=0.05)
    with pytest.raises(sm.DeadlineExceededError):
        f.run({"n": FOREVER}, options=sm.RunOptions(timeout=0.05))
    with pytest.raises(sm.DeadlineExceededError):
        model.run(f.outputs["mean"].name, {f.inputs["n"].name: FOREVER}, timeout=0.05)
    assert np.isfinite(f(3)["mean"])
    assert np.isfinite(f.run({"n": 3}, timeout=60)["mean"])
    assert isinstance(sm.DeadlineExceededError("..."), sm.Error)


@pytest.mark.parametrize("optimize", ["none", "default"])
def test_timeout_within_one_layer(load: Load, optimize: Any) -> None:
    """Which the optimizer makes one op."""
    f = load("edges_rows", optimize=optimize).signatures["lstm_large"]
    x = np.zeros((32, 60_000, 8), np.float32)
    assert f(x=x[:, :2])["y"].shape == (32, 64)
    with pytest.raises(sm.DeadlineExceededError):
        f.run({"x": x}, timeout=0.02)


# A timer presses Ctrl-C while the main thread is in a run; one that ends early writes no result.
PRESS_CTRL_C = """
    import os, signal, threading
    import numpy as np
    import savedmodel as sm

    signal.signal(signal.SIGINT, {handler})
    f = sm.load({path!r}, optimize={optimize!r}, threads={threads}).signatures["lstm_large"]
    x = np.zeros((32, 60_000, 8), np.float32)
    f(x=x[:, :2])
    y = np.full((32, 64), np.nan, np.float32)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        f.run({{"x": x}}, out={{"y": y}})
    except KeyboardInterrupt:
        print("interrupted")
    print("no result" if np.isnan(y).all() else "result")
    print(np.isfinite(f(x=x[:, :2])["y"]).all())
"""


@pytest.mark.parametrize("optimize", ["none", "default"])
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_a_run(models: Path, optimize: str, threads: int) -> None:
    path = str(models / "edges_rows")
    code = PRESS_CTRL_C.format(
        path=path, optimize=optimize, threads=threads, handler="signal.default_int_handler"
    )
    assert run_python(code)[0].split("\n")[:3] == ["interrupted", "no result", "True"]


def test_other_handlers_of_ctrl_c_wait_for_the_run(models: Path) -> None:
    code = PRESS_CTRL_C.format(
        path=str(models / "edges_rows"),
        optimize="default",
        threads=1,
        handler="lambda *_: print('handled')",
    )
    assert run_python(code)[0].split("\n")[:3] == ["handled", "result", "True"]


@pytest.mark.parametrize(
    ("timeout", "error", "message"),
    [
        *[(passed, sm.DeadlineExceededError, "no time is left") for passed in (0, -1, -0.5)],
        *[
            (float(none), ValueError, "timeout must be a finite number of seconds")
            for none in ("nan", "inf", "-inf")
        ],
    ],
)
def test_a_timeout_that_has_passed_or_is_none(
    load: Load, models: Path, timeout: float, error: type[Exception], message: str
) -> None:
    """What is left of a deadline may be nothing; as every run's default that would be a mistake."""
    model = load("add")
    f, x = model.signatures["serving_default"], np.ones(2, np.float32)
    with pytest.raises(error, match=message):
        f.run({"x": x, "y": x}, timeout=timeout)
    with pytest.raises(error, match=message):
        f.run({"x": x, "y": x}, options=sm.RunOptions(timeout=timeout))
    with pytest.raises(error, match=message):
        model.run(f.outputs["z"].name, {}, timeout=timeout)
    with pytest.raises(ValueError, match="a finite number of seconds above 0"):
        sm.load(models / "add", run=sm.RunOptions(timeout=timeout))
    np.testing.assert_array_equal(f(x, x)["z"], [2, 2])


def test_a_timeout_is_a_number(load: Load) -> None:
    f, x = load("add").signatures["serving_default"], np.ones(2, np.float32)
    with pytest.raises(TypeError):
        f.run({"x": x, "y": x}, timeout="1 s")  # type: ignore[call-overload]
    np.testing.assert_array_equal(f.run({"x": x, "y": x}, timeout=np.float32(60))["z"], [2, 2])
    # A fraction of a millisecond is rounded up, not down to "none".
    tiny = load("slow").signatures["spin"]
    with pytest.raises(sm.DeadlineExceededError):
        tiny.run({"n": FOREVER}, timeout=1e-6)


def test_traces_from_several_threads(load: Load) -> None:
    """TensorFlow has one tracer for the process."""
    one, other = load("add").signatures["serving_default"], load("mlp").signatures["serving_default"]
    inputs = {"x": np.ones(2, np.float32), "y": np.ones(2, np.float32)}

    def trace(number: int) -> sm.Trace:
        if number % 2:
            return one.run(inputs, trace=True)[1]
        return other.run({"x": np.ones((1, 64), np.float32)}, timeout=60, trace=True)[1]

    with ThreadPoolExecutor(8) as pool:
        assert all(trace.events for trace in pool.map(trace, range(48)))


def test_timeout_as_the_models_default(load: Load) -> None:
    model = load("slow", run=sm.RunOptions(timeout=0.5))
    f = model.signatures["spin"]
    for call in (
        lambda: f(FOREVER),
        lambda: model(FOREVER),
        lambda: f.run({"n": FOREVER}),
        lambda: model.run(f.outputs["mean"].name, {f.inputs["n"].name: FOREVER}),
    ):
        with pytest.raises(sm.DeadlineExceededError):
            call()
    assert np.isfinite(f(3)["mean"])


def check_trace(trace: sm.Trace, session: bool = False) -> None:
    ops = [op for event in trace.events for op in [event.op, *(op for _, op in event.origins)]]
    assert any("MatMul" in op for op in ops)
    assert trace.duration > 0
    assert trace.session is session
    for event in trace.events:
        assert event.device.endswith("/device:CPU:0")
        assert event.node
        assert event.duration_ns >= 0
        assert event.start_ns > 1_500_000_000 * 10**9  # since the epoch
    assert "ops" in repr(trace)


def test_trace(load: Load, tmp_path: Path) -> None:
    f, x = load("mlp").signatures["serving_default"], np.ones((2, 64), np.float32)
    results, trace = f.run({"x": x}, trace=True)
    np.testing.assert_allclose(results["probs"].sum(axis=1), [1, 1], rtol=1e-5)
    check_trace(trace)

    trace.save(tmp_path / "trace.json")
    rows = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    complete = [row for row in rows if row["ph"] == "X"]
    assert len(complete) == len(trace.events)
    assert {row["pid"] for row in complete} == {row["pid"] for row in rows if row["ph"] == "M"}
    lanes = {row["tid"]: row["args"]["name"] for row in rows if row["name"] == "thread_name"}
    assert lanes == {row["tid"]: "caller" for row in complete}
    for row in complete:
        assert row["ts"] >= 0
        assert row["dur"] >= 0
        assert row["name"]
    assert min(row["ts"] for row in complete) == 0


def test_run_metadata_is_tensorflows(load: Load, tmp_path: Path) -> None:
    f = load("mlp").signatures["serving_default"]
    _, trace = f.run({"x": np.ones((2, 64), np.float32)}, trace=True)
    path = tmp_path / "run_metadata.pb"
    path.write_bytes(trace.run_metadata)
    out, _ = run_python(
        f"""
        from tensorflow.core.protobuf import config_pb2

        with open({str(path)!r}, "rb") as file:
            metadata = config_pb2.RunMetadata.FromString(file.read())
        for device in metadata.step_stats.dev_stats:
            for node in device.node_stats:
                print(node.timeline_label)
        """
    )
    assert len(out.splitlines()) == len(trace.events)
    assert "MatMul" in out


def test_trace_of_a_run_by_tensor_name(load: Load) -> None:
    model = load("mlp")
    f = model.signatures["serving_default"]
    feeds = {f.inputs["x"].name: np.ones((2, 64), np.float32)}
    probs, trace = model.run(f.outputs["probs"].name, feeds, trace=True)
    assert probs.shape == (2, 10)
    check_trace(trace)
    (probs,), trace = model.run([f.outputs["probs"].name], feeds, trace=True)
    assert probs.shape == (2, 10)
    check_trace(trace)


def test_trace_with_a_timeout_and_outputs_into_memory(load: Load) -> None:
    f, out = load("mlp").signatures["serving_default"], np.empty((2, 10), np.float32)
    x = np.ones((2, 64), np.float32)
    results, trace = f.run({"x": x}, trace=True, timeout=60, out={"probs": out})
    assert results["probs"] is out
    check_trace(trace)


def test_trace_as_the_models_default(load: Load) -> None:
    model = load("mlp", run=sm.RunOptions(trace=True))
    f, x = model.signatures["serving_default"], np.ones((2, 64), np.float32)
    answer: Any = f.run({"x": x})
    results, trace = answer
    assert results.keys() == {"probs"}
    check_trace(trace, session=True)
    assert f.run({"x": x}, trace=False).keys() == {"probs"}
    # A call has no place for a trace.
    assert f(x).keys() == {"probs"}
    fetched: Any = model.run(f.outputs["probs"].name, {f.inputs["x"].name: x})
    check_trace(fetched[1], session=True)
    fetched = model.run(f.outputs["probs"].name, {f.inputs["x"].name: x}, trace=False)
    assert fetched.shape == (2, 10)


def test_trace_of_one_calls_options(load: Load) -> None:
    f, x = load("mlp").signatures["serving_default"], np.ones((2, 64), np.float32)
    answer: Any = f.run({"x": x}, options=sm.RunOptions(trace=True))
    check_trace(answer[1])
    answer = f.run({"x": x}, options=sm.RunOptions(trace=True), trace=False)
    assert answer.keys() == {"probs"}


def test_proto(load: Load, models: Path) -> None:
    f, x = load("slow").signatures["spin"], np.ones(2, np.float32)
    timeout_in_ms = b"\x10\x32"  # field 2, 50
    with pytest.raises(sm.DeadlineExceededError):
        f.run({"n": FOREVER}, options=sm.RunOptions(proto=timeout_in_ms))
    # The named field is laid over the message.
    assert f.run({"n": 3}, options=sm.RunOptions(proto=b"\x10\x01", timeout=60))["mean"] != 0
    with pytest.raises(sm.InvalidArgumentError, match="not a serialized RunOptions"):
        load("add").signatures["serving_default"].run(
            {"x": x, "y": x}, options=sm.RunOptions(proto=b"\xff\xff")
        )
    with pytest.raises(sm.InvalidArgumentError, match="not a serialized RunOptions"):
        sm.load(models / "add", run=sm.RunOptions(proto=b"\xff\xff"))
    with pytest.raises(TypeError, match="protocol buffer message or its bytes, got str"):
        sm.load(models / "add", run=sm.RunOptions(proto="timeout_in_ms: 5"))


def test_options_of_another_type(load: Load, models: Path) -> None:
    f, x = load("add").signatures["serving_default"], np.ones(2, np.float32)
    with pytest.raises(TypeError, match="RunOptions"):
        f.run({"x": x, "y": x}, options=5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="RunOptions"):
        sm.load(models / "add", run=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="SessionOptions"):
        sm.load(models / "add", session=5)  # type: ignore[arg-type]
