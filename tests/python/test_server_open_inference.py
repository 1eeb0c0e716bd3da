"""examples/server, asked by Triton's client."""

from __future__ import annotations

import concurrent.futures
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from . import goldens

pytest.importorskip("tritonclient.grpc", reason="no tritonclient")

import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from .helpers import eventually
from .serving import Server, given, infer, layout, refused, send

X = np.arange(4, dtype=np.float32)
DTYPES = [
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "bfloat16"),
]
FIELDS = {
    "bool": ("BOOL", "bool_contents"),
    "uint8": ("UINT8", "uint_contents"),
    "uint16": ("UINT16", "uint_contents"),
    "uint32": ("UINT32", "uint_contents"),
    "uint64": ("UINT64", "uint64_contents"),
    "int8": ("INT8", "int_contents"),
    "int16": ("INT16", "int_contents"),
    "int32": ("INT32", "int_contents"),
    "int64": ("INT64", "int64_contents"),
    "float32": ("FP32", "fp32_contents"),
    "float64": ("FP64", "fp64_contents"),
}
# ---- health and metadata


def test_health(server: Server) -> None:
    client = server.client
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("add")
    assert client.is_model_ready("versions", "9")
    assert not client.is_model_ready("broken")
    assert client.is_model_ready("half")  # by its version 1
    assert not client.is_model_ready("half", "2")
    assert client.get_server_metadata().name == "savedmodel"


def test_metadata(server: Server) -> None:
    found = server.client.get_model_metadata("mlp")
    assert (found.name, found.platform, list(found.versions)) == ("mlp", "tensorflow_savedmodel", ["1"])
    assert [(i.name, i.datatype, list(i.shape)) for i in found.inputs] == [("x", "FP32", [-1, 64])]
    assert [(o.name, o.datatype, list(o.shape)) for o in found.outputs] == [("probs", "FP32", [-1, 10])]
    assert list(server.client.get_model_metadata("versions").versions) == ["9", "10"]
    assert not server.client.get_model_metadata("dtypes").inputs  # it has no default signature


def test_what_cannot_be_loaded_is_reported(server: Server) -> None:
    text = server.errors.read_text()
    assert "cannot serve" in text
    assert "broken/1: " in text
    assert "half/2: " in text
    error = refused(lambda: infer(server.client, "broken", {}), "UNAVAILABLE")
    assert error == "no version of the model 'broken' could be loaded"  # why is nothing to a client


def test_a_new_version_is_taken_while_it_serves(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"add/1": "add"})
    arguments = [f"--models={folder}", "--poll=20ms"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:

        def version() -> str:
            result = server.client.infer("add", [given("x", X), given("y", X)])
            np.testing.assert_array_equal(result.as_numpy("z"), X + X)
            return str(result.get_response().model_version)

        assert version() == "1"
        (folder / "add" / "3").symlink_to(models / "bad_garbage_pb")
        eventually(lambda: "cannot serve" in server.errors.read_text())
        assert version() == "1"
        (folder / "add" / "2").symlink_to(models / "add")
        eventually(lambda: version() == "2")
        refused(lambda: server.client.infer("add", [], model_version="1"), "NOT_FOUND")
        assert list(server.client.get_model_metadata("add").versions) == ["2"]


def test_models_come_and_go_while_it_serves(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"add/1": "add"})
    arguments = [f"--models={folder}", "--poll=20ms"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        client = server.client
        refused(lambda: client.is_model_ready("mlp"), "NOT_FOUND")
        layout(folder, models, {"mlp/1": "mlp"})
        eventually(lambda: "loaded " + str(folder / "mlp" / "1") in server.errors.read_text())

        def gone(model: str) -> bool:
            try:
                return not client.is_model_ready(model)
            except triton.InferenceServerException as error:
                return bool(error.status() == "StatusCode.NOT_FOUND")

        assert client.is_model_ready("mlp")
        (folder / "mlp" / "1").unlink()
        eventually(lambda: gone("mlp"))  # its folder is there still
        shutil.rmtree(folder / "add")
        eventually(lambda: gone("add"))
        layout(folder, models, {"add/2": "add"})
        eventually(lambda: not gone("add"))
        assert infer(client, "add", {"x": X, "y": X}).keys() == {"z"}


def test_a_tensor_of_64_megabytes(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"identity/1": "add"})
    large = np.ones(16 << 20, np.float32)
    with Server(server_program, f"--models={folder}", errors=tmp_path / "stderr") as server:
        result = infer(server.client, "identity", {"x": large, "y": np.zeros(1, np.float32)})["z"]
    np.testing.assert_array_equal(result, large)


# ---- answers


@pytest.mark.parametrize("model", ["add", "mlp", "multi", "strings", "scalar", "shapes", "keras_conv"])
def test_golden_answers(server: Server, models: Path, model: str) -> None:
    for (_, signature), run in goldens.read(models / f"{model}.npz").items():
        feeds = {name: parts[""] for name, parts in run.inputs.items()}
        results = infer(server.client, model, feeds, signature)
        assert results.keys() == run.outputs.keys()
        for name, parts in run.outputs.items():
            wanted = parts[""]
            assert results[name].shape == wanted.shape
            if wanted.dtype.kind == "f":
                np.testing.assert_allclose(results[name], wanted, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(results[name], wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_raw(server: Server, models: Path, dtype: str) -> None:
    x = goldens.read(models / "dtypes.npz")["", dtype].inputs["x"][""]
    result = infer(server.client, "dtypes", {"x": x}, dtype)["y"]
    assert result.dtype == x.dtype
    assert result.tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", FIELDS)
def test_dtypes_in_typed_contents(server: Server, models: Path, dtype: str) -> None:
    x = goldens.read(models / "dtypes.npz")["", dtype].inputs["x"][""]
    datatype, field = FIELDS[dtype]
    message = service_pb2.ModelInferRequest(model_name="dtypes")
    message.parameters["signature_name"].string_param = dtype
    tensor = message.inputs.add(name="x", datatype=datatype, shape=x.shape)
    getattr(tensor.contents, field).extend(x.tolist())
    assert send(server, message).raw_output_contents[0] == x.tobytes()


def test_strings_in_typed_contents(server: Server) -> None:
    message = service_pb2.ModelInferRequest(model_name="strings")
    message.parameters["signature_name"].string_param = "upper"
    tensor = message.inputs.add(name="s", datatype="BYTES", shape=[3])
    tensor.contents.bytes_contents.extend([b"", b"\xffa\0b", b"c" * 100])
    words = [b"", b"\xffA\0B", b"C" * 100]
    raw = b"".join(struct.pack("<I", len(word)) + word for word in words)
    assert send(server, message).raw_output_contents[0] == raw


def test_names_and_parameters_that_only_describe(server: Server) -> None:
    result = server.client.infer("add", [given("x", X), given("y", X)], request_id="seven", priority=3)
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("add", "1", "seven")
    assert [(o.name, o.datatype, list(o.shape)) for o in response.outputs] == [("z", "FP32", [4])]


def test_output_subsets(server: Server) -> None:
    feeds = {"a": X, "b": X + 1}
    for wanted in [("sum",), ("prod",), ("sum", "prod"), ("prod", "sum")]:
        results = infer(server.client, "multi", feeds, "sum_prod", wanted)
        assert tuple(results) == wanted
        for name in wanted:
            np.testing.assert_array_equal(results[name], {"sum": X + X + 1, "prod": X * (X + 1)}[name])


def test_versions(server: Server) -> None:
    np.testing.assert_array_equal(infer(server.client, "versions", {"x": X})["y"], X + 1)
    np.testing.assert_array_equal(infer(server.client, "versions", {"x": X}, version="10")["y"], X + 1)
    np.testing.assert_array_equal(infer(server.client, "versions", {"x": X, "y": X}, version="9")["z"], X + X)
    np.testing.assert_array_equal(infer(server.client, "half", {"x": X, "y": X})["z"], X + X)
    for version in "1", "latest", "-1", "9 ", "9" * 30:
        error = refused(lambda v=version: infer(server.client, "versions", {"x": X}, version=v), "NOT_FOUND")
        assert f"version {version} " in error or f"version '{version}'" in error


def test_inputs_with_defaults_may_be_left_out(server: Server) -> None:
    np.testing.assert_array_equal(infer(server.client, "defaults", {"x": X})["z"], 3 * X)


def test_a_hundred_requests_at_once(server: Server) -> None:
    x = np.random.default_rng(7).normal(size=(100, 5, 64)).astype(np.float32)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        together = list(pool.map(lambda one: infer(server.client, "mlp", {"x": one})["probs"], x))
    alone = [infer(server.client, "mlp", {"x": one})["probs"] for one in x]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
