"""Warm-up requests: replayed by a load, recorded from arrays, compared with TensorFlow Serving's protos."""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .commands import error, output
from .helpers import Array
from .warmup_files import FILE, field, frame, predict, read, read_one, tensor, write

X = np.linspace(-1, 1, 64, dtype=np.float32)[None]


@pytest.fixture
def mlp(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models / "mlp", tmp_path / "mlp"))


@pytest.fixture
def stateful(models: Path, tmp_path: Path) -> Path:
    """Its counter tells how often it was called."""
    return Path(shutil.copytree(models / "stateful", tmp_path / "stateful"))


# Replaying.


def test_a_load_replays_the_requests(stateful: Path) -> None:
    assert sm.record_warmup(stateful, [{"by": 2.0}, {"by": 3.0}], signature="incr") == 2
    with sm.load(stateful) as model:
        assert model.warmed_up == 0
        before = next(iter(model.signatures["get"]().values()))
    with sm.load(stateful, warmup=True) as model:
        assert model.warmed_up == 2
        assert next(iter(model.signatures["get"]().values())) == before + 5
        copy = pickle.loads(pickle.dumps(model))
        assert copy.warmed_up == 2
        copy.close()


def test_a_model_without_requests(models: Path) -> None:
    with sm.load(models / "mlp", warmup=True) as model:
        assert model.optimization[0].optimized  # without requests, it is made ready
        assert model.warmed_up == 0
    with pytest.raises(TypeError, match="warmup must be a bool"):
        sm.load(models / "mlp", warmup="yes")  # type: ignore[arg-type]


def test_a_request_that_fails_fails_the_load(mlp: Path) -> None:
    good = predict("serving_default", {"x": tensor(X)})
    short = predict("serving_default", {"x": tensor(X[:, :3])})
    for record, kind, message in (
        (short, sm.InvalidArgumentError, "warm-up request 2 of .*expected float32"),
        (predict("other", {}), sm.InvalidArgumentError, "request 2 of .*no signature 'other'"),
        (predict("", {}), sm.InvalidArgumentError, "request 2 of .*'x'"),
        (good[:-1], sm.DataLossError, "request 2 of .*ends in the middle of a field"),
        (b"\x0f", sm.DataLossError, "request 2 of .*unknown wire type"),
    ):
        write(mlp, good, record)
        with pytest.raises(kind, match=message):
            sm.load(mlp, warmup=True)
        with pytest.raises(kind, match=message):
            sm.publish(mlp, mlp.with_name("published"))
    assert not mlp.with_name("published").exists()


def test_a_damaged_file(mlp: Path) -> None:
    sm.record_warmup(mlp, [{"x": X}, {"x": X}])
    file = mlp / FILE
    content = file.read_bytes()
    for position in (0, 8, 20, len(content) // 2 - 1, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 4
        file.write_bytes(damaged)
        with pytest.raises(sm.DataLossError, match=r"tf_serving_warmup_requests': record [12]"):
            sm.load(mlp, warmup=True)
    file.write_bytes(content[:-1])
    with pytest.raises(sm.DataLossError, match="ends in the middle of record 2"):
        sm.load(mlp, warmup=True)
    file.write_bytes(b"")
    with sm.load(mlp, warmup=True) as model:
        assert model.warmed_up == 0


def test_what_no_signature_answers_is_skipped(mlp: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = predict("", {"x": tensor(X)})
    session_run, unknown = b"\x2a\x00", b"\xfa\x01\x00"
    write(mlp, session_run, good, unknown, b"")
    with caplog.at_level(logging.WARNING, "savedmodel.warmup"), sm.load(mlp, warmup=True) as model:
        assert model.warmed_up == 1
    assert [record.getMessage().split(" of ")[0] for record in caplog.records] == [
        f"warm-up request {number}" for number in (1, 3, 4)
    ]


# Recording.


def test_what_can_be_recorded(models: Path, tmp_path: Path, mlp: Path) -> None:
    assert sm.record_warmup(mlp, {"x": X}) == 1
    assert sm.record_warmup(mlp, [{"x": X}] * 3, outputs=["probs"], append=True) == 4
    assert sm.record_warmup(mlp, {"x": X.tolist()}) == 1
    request = read_one(mlp)
    assert (request.signature, request.outputs) == ("serving_default", ())
    assert request.inputs is not None
    np.testing.assert_array_equal(request.inputs["x"], X)
    assert {p.name for p in (mlp / "assets.extra").iterdir()} == {Path(FILE).name}
    strings = Path(shutil.copytree(models / "strings", tmp_path / "strings"))
    sm.record_warmup(strings, {"a": ["\u20ac", b"\xff"], "b": np.array(["x", "y"])}, signature="join")
    with sm.load(strings, warmup=True) as model:
        assert model.warmed_up == 1
    defaults = Path(shutil.copytree(models / "defaults", tmp_path / "defaults"))
    sm.record_warmup(defaults, {"x": np.ones(2, np.float32)})
    sm.load(defaults, warmup=True).close()


def test_what_can_not(models: Path, mlp: Path, tmp_path: Path) -> None:
    for inputs, kind, message in (
        ({}, TypeError, "missing input 'x'"),
        ({"y": X}, TypeError, "no input 'y'; there are: 'x'"),
        ({"x": X.astype(np.float64)}, TypeError, "expected float32, got float64"),
        ({"x": X[0]}, ValueError, r"expected the shape \(None, 64\), got \(64,\)"),
        ({"x": X[:, :3]}, ValueError, "expected the shape"),
        ([], ValueError, "1 to 1000 warm-up requests, got 0"),
        ([{"x": X}] * 1001, ValueError, "1 to 1000 warm-up requests, got 1001"),
    ):
        with pytest.raises(kind, match=message):
            sm.record_warmup(mlp, inputs)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="no signature 'other'; there are: 'serving_default'"):
        sm.record_warmup(mlp, {"x": X}, signature="other")
    with pytest.raises(KeyError, match="no output 'other'"):
        sm.record_warmup(mlp, {"x": X}, outputs=["other"])
    with pytest.raises(sm.NotFoundError, match=r"its tag sets: \{serve\}"):
        sm.record_warmup(mlp, {"x": X}, tags=["gpu"])
    assert not (mlp / FILE).exists()
    with pytest.raises(ValueError, match="dense tensors only"):
        sm.record_warmup(models / "composite", {"x": X}, signature="sparse")
    published = sm.publish(mlp, tmp_path / "published", verify=False).path
    with pytest.raises(sm.FailedPreconditionError, match="is published"):
        sm.record_warmup(published, {"x": X})
    assert sm.verify(published) == []


def test_every_dtype_comes_back(models: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(models / "dtypes", tmp_path / "dtypes"))
    inspection = sm.inspect(model).meta_graphs[0]
    recorded: dict[str, Array] = {}
    for name, signature in inspection.signatures.items():
        dtype = signature.inputs["x"].dtype
        recorded[name] = (
            np.array([b"", b"a", "\u20ac".encode()], object)
            if dtype == np.dtype(object)
            else np.array([0, 1, 1]).astype(dtype)
        )
        sm.record_warmup(model, {"x": recorded[name]}, signature=name, append=True)
    for (request,) in read(model):
        assert request.inputs is not None
        x = request.inputs["x"]
        assert x.dtype == recorded[request.signature].dtype
        np.testing.assert_array_equal(x, recorded.pop(request.signature))
    assert recorded == {}
    with sm.load(model, warmup=True) as loaded:
        assert loaded.warmed_up == len(inspection.signatures)


# Records.


@pytest.mark.parametrize("length", [6, 2**31, 2**63, 2**64 - 1])
def test_a_length_that_lies(mlp: Path, length: int) -> None:
    (mlp / FILE).parent.mkdir()
    (mlp / FILE).write_bytes(frame(b"short", length))
    with pytest.raises(sm.DataLossError, match="ends in the middle of record 1"):
        sm.load(mlp, warmup=True)


@pytest.mark.parametrize("size", [2**40 + 1, 2**62, 2**64 - 1])
def test_a_shape_that_lies(mlp: Path, size: int) -> None:
    shape = field(2, field(2, field(1, size)))
    write(mlp, predict("", {"x": field(1, 1) + shape}))
    with pytest.raises(sm.DataLossError, match=r"request 1 of .*impossible shape"):
        sm.load(mlp, warmup=True)


# With the rest.


def test_publish_and_watch_warm_up(stateful: Path, tmp_path: Path) -> None:
    sm.record_warmup(stateful, {"by": 2.0}, signature="incr")
    directory = tmp_path / "published"
    assert sm.publish(stateful, directory).warmup_requests == 1
    with sm.watch(directory, poll=60) as handle:
        warm = next(iter(handle.signatures["get"]().values()))
        write(stateful, b"\x0f")
        sm.publish(stateful, directory, verify=False)
        assert handle.refresh() == 1
        assert "warm-up request 1" in handle.status.failed[2]
    with sm.watch(directory, poll=60, warmup=False) as handle:
        assert handle.version == 2
        assert next(iter(handle.signatures["get"]().values())) == warm - 2


def test_the_command(mlp: Path) -> None:
    text = output("warmup", mlp, "--input-exprs", "x=np.ones((1, 64))")
    assert text == f"{mlp}: recorded 1 request of serving_default\n"
    text = output("warmup", mlp, "--random", "--batch", "1,8", "--append")
    assert text == f"{mlp}: recorded 2 requests of serving_default\n"
    assert output("warmup", mlp).startswith("loaded, and replayed 3 requests, in ")
    np.save(mlp / "x.npy", np.zeros((2, 64), np.float32))
    output("warmup", mlp, "--inputs", f"x={mlp / 'x.npy'}", "--signature-def", "serving_default")
    request = read_one(mlp)
    assert request.inputs is not None
    assert request.inputs["x"].shape == (2, 64)
    before = (mlp / FILE).read_bytes()
    assert "expected float32" in error("warmup", mlp, "--input-exprs", "x=np.ones((1, 3))")
    assert "no input 'y'" in error("warmup", mlp, "--input-exprs", "y=1")
    assert (mlp / FILE).read_bytes() == before
    (mlp / FILE).unlink()
    assert "has no warm-up requests" in error("warmup", mlp)


def test_a_mask_is_not_recorded(models: Path, tmp_path: Path) -> None:
    copy = tmp_path / "m"
    shutil.copytree(models / "add", copy)
    masked = np.ma.masked_array(np.ones(2, np.float32), [True, False])
    with pytest.raises(ValueError, match=r"input 'x': a masked array, whose mask would be lost"):
        sm.record_warmup(copy, {"x": masked, "y": np.ones(2, np.float32)})
