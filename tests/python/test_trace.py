# SPDX-License-Identifier: Apache-2.0
"""Traces of the graph that runs: what its nodes compute, and in which threads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import IN_A_SESSION, Load

X = np.random.default_rng(5).normal(size=(2, 64)).astype(np.float32)


def ops(trace: sm.Trace) -> dict[str, list[str]]:
    """By the last part of a node's name: the ops that it computes."""
    return {e.node.rpartition("/")[2]: [op for _, op in e.origins] for e in trace.events if not e.part}


def test_fused_nodes_tell_what_they_compute(load: Load) -> None:
    f = load("mlp").signatures["serving_default"]
    wanted = f.run({"x": X})["probs"]
    results, trace = f.run({"x": X}, trace=True)
    np.testing.assert_array_equal(results["probs"], wanted)
    assert ops(trace) == {
        "MatMul": ["MatMul", "AddV2", "Relu"],
        "MatMul_1": ["MatMul", "AddV2", "Relu"],
        "MatMul_2": ["MatMul", "AddV2"],
        "Softmax": ["Softmax"],
    }
    names = [node for event in trace.events for node, _ in event.origins]
    assert all(name.startswith("StatefulPartitionedCall/") for name in names)
    assert len(set(names)) == len(names)


def test_a_graph_as_loaded_has_no_origins(load: Load) -> None:
    for options in ({"optimize": "none"}, {"session": sm.SessionOptions(inter_op_threads=2)}):
        _, trace = load("mlp", **options).signatures["serving_default"].run({"x": X}, trace=True)
        assert sum("MatMul" in event.op for event in trace.events) == 3
        assert not any(event.origins for event in trace.events)
        assert trace.session is ("session" in options)


def test_tensorflows_options_are_traced_in_a_session(load: Load) -> None:
    f = load("mlp").signatures["serving_default"]
    _, trace = f.run({"x": X}, trace=True, options=IN_A_SESSION)
    assert trace.session
    assert trace.duration > 0


def test_saved_functions_have_origins(models: Path, tmp_path: Path) -> None:
    with sm.load(models / "mlp") as model:
        expected = ops(model.signatures["serving_default"].run({"x": X}, trace=True)[1])
        model.save_optimized(tmp_path / "saved")
    with sm.load(tmp_path / "saved") as model:
        assert ops(model.signatures["serving_default"].run({"x": X}, trace=True)[1]) == expected


@pytest.mark.parametrize(
    ("name", "fused", "origin"),
    [
        ("rnn_lstm", "_SavedmodelLSTM", "While"),
        ("rnn_gru", "_SavedmodelGRU", "While"),
        ("encoder_tanh", "_SavedmodelAttention", "Softmax"),
        ("encoder_tanh", "_SavedmodelLayerNorm", "Rsqrt"),
        ("conv_bottleneck", "_SavedmodelBottleneck", "DepthwiseConv2dNative"),
    ],
)
def test_every_layer_knows_its_origins(load: Load, name: str, fused: str, origin: str) -> None:
    model = load(name)
    f = next(iter(model.signatures.values()))
    shapes = {key: [size or 2 for size in spec.shape or ()] for key, spec in f.inputs.items()}
    feeds = {key: np.ones(shape, f.inputs[key].dtype) for key, shape in shapes.items()}
    _, trace = f.run(feeds, trace=True)
    found = [event for event in trace.events if event.op == fused and not event.part]
    assert found
    assert any(origin in [op for _, op in event.origins] for event in found)


def test_kernels_in_loops_are_events(load: Load) -> None:
    f = load("while_loop").signatures["serving_default"]
    feeds = {key: np.ones([2 for _ in spec.shape or ()], spec.dtype) for key, spec in f.inputs.items()}
    _, trace = f.run(feeds, trace=True)
    assert any("/while/0/" in event.node for event in trace.events)
    assert any(event.op.endswith("While") for event in trace.events)


@pytest.mark.parametrize("name", ["cond", "while"])
def test_the_executor_of_control_flow_is_traced(load: Load, name: str) -> None:
    f = load("control_flow_v1").signatures[name]
    feeds = {key: np.ones([2 for _ in spec.shape or ()], spec.dtype) for key, spec in f.inputs.items()}
    expected = f.run(feeds)
    results, trace = f.run(feeds, trace=True)
    assert not trace.session
    assert {"Switch", "Merge"} <= {event.op for event in trace.events}
    for key, value in expected.items():
        np.testing.assert_array_equal(results[key], value)


def wide(load: Load, threads: int) -> Iterator[sm.Trace]:
    """Traces of a model that several threads compute."""
    f = load("conv_wide", threads=threads).signatures["serving_default"]
    shapes = {key: [size or 8 for size in spec.shape or ()] for key, spec in f.inputs.items()}
    feeds = {key: np.ones(shape, f.inputs[key].dtype) for key, shape in shapes.items()}
    for _ in range(50):
        yield f.run(feeds, trace=True)[1]


def test_the_nodes_cover_the_run(load: Load) -> None:
    shares = [sum(e.duration for e in t.events if not e.part) / t.duration for t in wide(load, 1)]
    assert max(shares) <= 1
    assert max(shares) > 0.95


def test_other_threads_have_lanes_of_their_own(load: Load, tmp_path: Path) -> None:
    """Whether a worker is quick enough is up to the machine: one of the runs has to show it."""
    for trace in wide(load, 2):
        parts = [event for event in trace.events if event.part]
        if not parts:
            continue
        (caller,) = {event.thread for event in trace.events if not event.part}
        assert all(event.thread != caller for event in parts)
        nodes = {event.node: event for event in trace.events if not event.part}
        for event in parts:
            node = nodes[event.node]
            assert node.start_ns <= event.start_ns
            assert event.start_ns + event.duration_ns <= node.start_ns + node.duration_ns
        trace.save(tmp_path / "trace.json")
        rows = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
        lanes = {row["tid"]: row["args"]["name"] for row in rows if row["name"] == "thread_name"}
        assert lanes[caller] == "caller"
        assert {lanes[event.thread] for event in parts} == {"worker"}
        return
    pytest.fail("no worker took a part of 50 runs")


@pytest.mark.parametrize("flag", [True, False])
def test_a_flag_that_only_the_run_knows(models: Path, flag: bool) -> None:
    with sm.load(models / "add") as model:
        f = model.signatures["serving_default"]
        result = f.run({key: np.ones(1, np.float32) for key in f.inputs}, trace=flag)
        assert isinstance(result, tuple) is flag
