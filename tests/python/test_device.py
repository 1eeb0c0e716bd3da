"""Where nodes go. Shown from the step statistics of real runs, with two CPU devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load

# ConfigProto.device_count {"CPU": 2}: field 1, a map entry of a string and an int32.
TWO_CPUS = b"\x0a\x07\x0a\x03CPU\x10\x02"
PREFIX = "/job:localhost/replica:0/task:0/device:"
# A fed or fetched value passes through a node on the client's device.
CLIENT = {"_Arg", "_Retval", "NoOp", "_Send", "_Recv", "_HostSend", "_HostRecv", ""}


def devices_of(trace: sm.Trace) -> set[str]:
    return {event.device for event in trace.events if event.op not in CLIENT}


@pytest.mark.parametrize("device", ["/device:CPU:1", "cpu:1", "CPU:1", "/cpu:1", PREFIX + "CPU:1"])
def test_a_whole_model_on_the_second_cpu(load: Load, device: str) -> None:
    session = sm.SessionOptions(config=TWO_CPUS)
    model = load("mlp", device=device, session=session)
    x = np.random.default_rng(1).normal(size=(4, 64)).astype(np.float32)
    results, trace = model.signatures["serving_default"].run({"x": x}, trace=True)
    assert devices_of(trace) == {PREFIX + "CPU:1"}
    np.testing.assert_array_equal(results["probs"], load("mlp", optimize="none")(x)["probs"])
    np.testing.assert_array_equal(model(x)["probs"], results["probs"])


@pytest.mark.parametrize("name", ["keras_conv", "while_loop", "table", "v1_main_op", "strings"])
def test_more_models_on_the_second_cpu(load: Load, name: str) -> None:
    there = load(name, device="/device:CPU:1", session=sm.SessionOptions(config=TWO_CPUS))
    here = load(name, optimize="none")
    signature = next(iter(here.signatures))
    feeds = {}
    for key, spec in here.signatures[signature].inputs.items():
        shape = [2 if size is None else size for size in spec.shape or ()]
        feeds[key] = np.full(shape, b"one", object) if spec.dtype == object else np.ones(shape, spec.dtype)
    results, trace = there.signatures[signature].run(feeds, trace=True)
    assert PREFIX + "CPU:1" in devices_of(trace)
    for key, value in here.signatures[signature].run(feeds).items():
        np.testing.assert_array_equal(results[key], value)


def test_without_device_the_second_cpu_is_idle(load: Load) -> None:
    model = load("mlp", session=sm.SessionOptions(config=TWO_CPUS))
    assert model.devices == (PREFIX + "CPU:0", PREFIX + "CPU:1")
    x = np.ones((1, 64), np.float32)
    _, trace = model.signatures["serving_default"].run({"x": x}, trace=True)
    assert devices_of(trace) == {PREFIX + "CPU:0"}


def test_placement_counts_nodes(load: Load) -> None:
    session = sm.SessionOptions(config=TWO_CPUS)
    model = load("mlp", device="cpu:1", session=session)
    placement = model.placement
    assert placement[PREFIX + "CPU:1"] > 20  # the functions' nodes are counted, too
    # The functions that save and restore pin their string constants to the first CPU.
    assert placement[PREFIX + "CPU:1"] > placement.get(PREFIX + "CPU:0", 0)
    assert set(load("mlp").placement) == {PREFIX + "CPU:0"}


@pytest.mark.parametrize("device", ["/device:CPU:5", "cpu:2", "gpu:63", "tpu"])
def test_a_device_that_does_not_exist(load: Load, device: str) -> None:
    with pytest.raises(sm.InvalidArgumentError, match="there are: /device:CPU:0"):
        load("mlp", device=device)


@pytest.mark.parametrize("device", ["fast one", "/cpu", "cpu:x", "/device:", ":"])
def test_what_is_no_device_name(load: Load, device: str) -> None:
    with pytest.raises(sm.InvalidArgumentError, match="device"):
        load("mlp", device=device)


def test_nodes_pinned_to_a_gpu_need_soft_placement(load: Load) -> None:
    with pytest.raises(sm.InvalidArgumentError, match="GPU:0"):
        load("two_devices")
    model = load("two_devices", session=sm.SessionOptions(allow_soft_placement=True))
    assert model(np.ones((1, 8), np.float32))["y"].shape[0] == 1


def test_device_leaves_pinned_nodes_where_they_are(load: Load) -> None:
    """With `device`, soft placement is on, and can be forbidden."""
    load("two_devices", device="cpu")
    with pytest.raises(sm.InvalidArgumentError, match="GPU:0"):
        load("two_devices", device="cpu", session=sm.SessionOptions(allow_soft_placement=False))


def has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


needs_gpu = pytest.mark.skipif(not has_gpu(), reason="no NVIDIA GPU on this machine")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", ["mlp", "keras_conv", "wide"])
def test_on_a_gpu(load: Load, name: str) -> None:
    model = load(name, device="gpu", session=sm.SessionOptions(allow_growth=True))
    signature = model.signatures["serving_default"]
    ((key, spec),) = signature.inputs.items()
    x = np.random.default_rng(2).normal(size=[2 if d is None else d for d in spec.shape or ()])
    results, trace = signature.run({key: x.astype(spec.dtype)}, trace=True)
    assert any("GPU:0" in device for device in model.placement)
    assert any("GPU:0" in device for device in devices_of(trace))
    expected = load(name, device="cpu")(x.astype(spec.dtype))
    for output, value in results.items():
        np.testing.assert_allclose(value, expected[output], rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@needs_gpu
def test_variables_of_a_gpu_are_copied_to_the_host(load: Load) -> None:
    there = load("weights", device="gpu", session=sm.SessionOptions(allow_growth=True))
    np.testing.assert_array_equal(there.variables["w"], load("weights").variables["w"])


@pytest.mark.gpu
@needs_gpu
def test_strings_stay_on_the_cpu(load: Load) -> None:
    model = load("table", device="gpu", session=sm.SessionOptions(allow_growth=True))
    assert model(["one", "zero"])["id"].shape == (2,)
