# SPDX-License-Identifier: Apache-2.0
"""examples/server, asked by TensorFlow Serving's own client."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import goldens, serving_client
from .serving_client import Client

pytest.importorskip("tritonclient.grpc", reason="no tritonclient")

from .helpers import eventually
from .serving import EXAMPLE, Server, infer, layout

for needed in "tensorflow_serving", "tensorflow":
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"no {needed}", allow_module_level=True)

X = np.arange(4, dtype=np.float32)
ROWS = [{"a": 1.5, "b": 2.0}, {"a": -1.0, "b": 0.25}]


@pytest.fixture(scope="session")
def client(running_server: Server) -> Client:
    return Client(running_server.port)


def ok(answer: tuple[str, Any]) -> Any:
    code, value = answer
    assert code == "OK", answer
    return value


def refused(answer: tuple[str, Any], code: str) -> str:
    assert answer[0] == code, answer
    return str(answer[1])


def test_the_messages_are_tensorflow_servings(tmp_path: Path) -> None:
    protocols = EXAMPLE / "protocols"
    files = [protocols / "tensorflow.proto", protocols / "serving.proto"]
    where = [f"--proto_path={protocols}", f"--descriptor_set_out={tmp_path / 'set'}"]
    if shutil.which("protoc") is None:
        pytest.skip("no protoc")
    subprocess.run(["protoc", *where, *files], check=True)
    assert serving_client.compare((tmp_path / "set").read_bytes()) == []


@pytest.mark.parametrize("model", ["add", "mlp", "multi", "strings", "scalar", "shapes", "keras_conv"])
def test_golden_answers(server: Server, client: Client, models: Path, model: str) -> None:
    for (_, signature), run in goldens.read(models / f"{model}.npz").items():
        feeds = {name: parts[""] for name, parts in run.inputs.items()}
        values, spec = ok(client.predict(feeds, model=model, signature=signature))
        assert spec == (model, 1, signature)
        assert values.keys() == run.outputs.keys()
        for name, parts in run.outputs.items():
            assert values[name].shape == parts[""].shape
            if parts[""].dtype.kind == "f":
                np.testing.assert_allclose(values[name], parts[""], rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(values[name], parts[""])


FIELDS = {
    **dict.fromkeys(["int8", "int16", "int32", "uint8", "uint16"], "int_val"),
    **{"int64": "int64_val", "uint32": "uint32_val", "uint64": "uint64_val", "bool": "bool_val"},
    **{"float32": "float_val", "float64": "double_val"},
}
TYPES = {
    **{"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "bool": 10},
    **{"uint16": 17, "float16": 19, "uint32": 22, "uint64": 23, "complex64": 8, "complex128": 18},
}


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_in_tensor_content_and_in_its_field(client: Client, models: Path, dtype: str) -> None:
    x = goldens.read(models / "dtypes.npz")["", dtype].inputs["x"][""]
    plain = {"dtype": TYPES[dtype], "shape": x.shape}
    given: list[dict[str, Any]] = [{"tensor_content": x.tobytes()}]
    if dtype in FIELDS:
        given.append({FIELDS[dtype]: x.ravel().tolist()})
    elif dtype == "float16":
        given.append({"half_val": x.view(np.uint16).ravel().tolist()})
    else:
        parts = x.ravel().view(np.float32 if dtype == "complex64" else np.float64).tolist()
        given.append({"scomplex_val" if dtype == "complex64" else "dcomplex_val": parts})
    for fields in given:
        values, _ = ok(client.predict_raw({"x": {**plain, **fields}}, model="dtypes", signature=dtype))
        assert values["y"].dtype == x.dtype
        np.testing.assert_array_equal(values["y"], x)


def test_the_last_value_stands_for_those_that_are_missing(client: Client) -> None:
    def add(fields: dict[str, Any]) -> Any:
        x = {"dtype": 1, "shape": [4], **fields}
        y = {"dtype": 1, "shape": [4]}  # no values: zeros
        values, _ = ok(client.predict_raw({"x": x, "y": y}, model="add"))
        return values["z"].tolist()

    assert add({"float_val": [7.0]}) == [7, 7, 7, 7]
    assert add({"float_val": [1.0, 2.0]}) == [1, 2, 2, 2]
    assert add({}) == [0, 0, 0, 0]
    nan = add({"float_val": [float("nan")]})
    assert np.isnan(nan).all()
    words = {"dtype": 7, "shape": [3], "string_val": [b"a", b"bc"]}
    values, _ = ok(client.predict_raw({"s": words}, model="strings", signature="upper"))
    assert next(iter(values.values())).tolist() == [b"A", b"BC", b"BC"]


def test_strings_in_tensor_content(client: Client) -> None:
    """As TensorFlow writes them: lengths, then bytes."""
    long = b"c" * 300
    content = bytes([2, 0, 0xAC, 0x02]) + b"ab" + long
    spec: dict[str, Any] = {"model": "strings", "signature": "upper"}
    words = {"dtype": 7, "shape": [3], "tensor_content": content}
    values, _ = ok(client.predict_raw({"s": words}, **spec))
    assert next(iter(values.values())).tolist() == [b"AB", b"", long.upper()]
    for damaged in content[:-1], content + b"x", b"\xff" * 20, content[:2]:
        refused(client.predict_raw({"s": {**words, "tensor_content": damaged}}, **spec), "INVALID_ARGUMENT")


def test_results_are_in_the_field_of_their_type(client: Client, models: Path) -> None:
    """Where clients of TensorFlow Serving look for them."""
    for dtype, field in {**FIELDS, "float16": "half_val", "complex64": "scomplex_val"}.items():
        x = goldens.read(models / "dtypes.npz")["", dtype].inputs["x"][""]
        found = ok(client.fields({"x": x}, model="dtypes", signature=dtype))["y"]
        assert set(found) == {"dtype", "tensor_shape", field}
        expected = x.view(np.uint16) if dtype == "float16" else x
        if dtype == "complex64":
            expected = x.ravel().view(np.float32)
        np.testing.assert_array_equal(np.array(found[field], expected.dtype), expected.ravel())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "too many values": ({"float_val": [1.0] * 5}, "5 values, not 4"),
    "half a tensor": (
        {"tensor_content": b"123456"},
        "6 bytes of tensor_content, not 4 for each of 4 elements",
    ),
    "a negative size": ({"shape": [-4]}, "has a dimension of the size -4"),
    "a huge shape": ({"shape": [1 << 20, 1 << 20, 1 << 20]}, "too many elements"),
    "a few bytes for much memory": ({"shape": [1 << 28], "float_val": [1.0]}, "bytes to fill up"),
    "no rank": ({"unknown_rank": True}, "unknown rank"),
    "another type": ({"dtype": 2, "double_val": [1.0]}, "input 'x' is float32, got DT_DOUBLE"),
    "no type": ({"dtype": 0}, "input 'x' is DT_INVALID"),
    "a resource": ({"dtype": 20}, "input 'x' is DT_RESOURCE"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_tensors_are_refused(server: Server, client: Client, what: str) -> None:
    fields, text = WRONG[what]
    x = {"dtype": 1, "shape": [4], **fields}
    answer = client.predict_raw({"x": x, "y": {"dtype": 1, "shape": [4]}}, model="add")
    assert text in refused(answer, "INVALID_ARGUMENT")


def test_wrong_requests_are_refused(server: Server, client: Client) -> None:
    feeds = {"x": X, "y": X}

    def text(code: str, inputs: Any = feeds, outputs: Any = (), **spec: Any) -> str:
        return refused(client.predict(inputs, outputs, **{"model": "add", **spec}), code)

    assert text("NOT_FOUND", model="nobody") == "there is no model 'nobody'"
    assert text("INVALID_ARGUMENT", model="") == "the request names no model"
    assert "there is no signature 'nope', but 'serving_default'" in text("INVALID_ARGUMENT", signature="nope")
    assert text("NOT_FOUND", version=7) == "version 7 of the model 'add' is not loaded"
    assert text("NOT_FOUND", label="stable") == "model 'add' has no version label 'stable'"
    assert text("INVALID_ARGUMENT", {"x": X}) == "input 'y' is missing"
    assert text("INVALID_ARGUMENT", {**feeds, "q": X}) == "there is no input 'q', but 'x', 'y'"
    assert text("INVALID_ARGUMENT", outputs=["w"]) == "there is no output 'w', but 'z'"
    assert text("INVALID_ARGUMENT", outputs=["z", "z"]) == "output 'z' is asked for twice"
    assert "which signature? there are" in text("INVALID_ARGUMENT", model="dtypes")
    assert "could be loaded" in text("UNAVAILABLE", model="broken")


def test_output_filter_and_versions(client: Client) -> None:
    feeds = {"a": X, "b": X + 1}
    spec: dict[str, Any] = {"model": "multi", "signature": "sum_prod"}
    for wanted in [("sum",), ("prod",), ("prod", "sum")]:
        values, _ = ok(client.predict(feeds, wanted, **spec))
        assert set(values) == set(wanted)
    values, spec_of = ok(client.predict({"x": X, "y": X}, model="versions", version=9))
    assert spec_of == ("versions", 9, "serving_default")
    np.testing.assert_array_equal(values["z"], 2 * X)
    assert ok(client.predict(feeds, model="versions", signature="sum_prod"))[1][1] == 10


def test_a_deadline_reaches_the_run(server: Server, client: Client) -> None:
    begin = time.monotonic()
    answer = client.predict({"n": np.int32(2**31 - 1)}, model="slow", signature="spin", timeout=0.5)
    refused(answer, "DEADLINE_EXCEEDED")
    assert time.monotonic() - begin < 30
    # The run has ended as well: two of them would keep both threads busy.
    assert ok(client.predict({"n": np.int32(1)}, model="slow", signature="spin"))


# ---- classes, values


def test_classify(client: Client) -> None:
    wanted = [[1.5, 2.0, 3.5], [-1.0, 0.25, -0.75]]
    labels = ["first", "second", "both"]
    found = ok(client.examples("Classify", ROWS, model="examples"))
    assert found == [list(zip(labels, row, strict=True)) for row in wanted]
    found = ok(client.examples("Classify", ROWS, model="examples", signature="scores"))
    assert found == [[("", score) for score in row] for row in wanted]
    found = ok(client.examples("Classify", ROWS[:1], model="examples", signature="labels"))
    assert found == [[(label, 0.0) for label in labels]]


def test_regress(client: Client) -> None:
    assert ok(client.examples("Regress", ROWS, model="examples", signature="sum")) == [3.5, -0.75]
    assert ok(client.examples("Regress", ROWS, model="examples", signature="product")) == [3.0, -0.25]


def test_a_context_has_the_features_of_all_examples(client: Client) -> None:
    rows = [{"a": 1.0}, {"a": 2.0}, {"a": 3.0, "b": 1.0}]
    found = ok(client.examples("Regress", rows, {"b": 10.0}, model="examples", signature="product"))
    assert found == [10.0, 20.0, 3.0]


def test_multi_inference(client: Client) -> None:
    tasks = [("examples", "sum", "regress"), ("examples", "scores", "classify")]
    assert ok(client.multi(tasks, ROWS[:1])) == [[3.5], [[("", 1.5), ("", 2.0), ("", 3.5)]]]

    def text(code: str, *tasks: tuple[str, str, str]) -> str:
        return refused(client.multi(tasks, ROWS), code)

    assert text("INVALID_ARGUMENT") == "the request has no tasks"
    one = ("examples", "sum", "regress")
    assert "two tasks are for the signature 'sum'" in text("INVALID_ARGUMENT", one, one)
    assert "more than one model" in text("INVALID_ARGUMENT", one, ("add", "", "regress"))
    assert "is of the method" in text("INVALID_ARGUMENT", ("examples", "sum", "classify"))
    assert "for the method" in text("UNIMPLEMENTED", ("examples", "sum", "predict"))


def test_examples_that_do_not_fit_are_refused(client: Client) -> None:
    def text(method: str, rows: Any, signature: str, code: str = "INVALID_ARGUMENT") -> str:
        return refused(client.examples(method, rows, model="examples", signature=signature), code)

    assert "is of the method 'tensorflow/serving/regress'" in text("Classify", ROWS, "sum")
    assert "is of the method 'tensorflow/serving/predict'" in text("Regress", ROWS, "predict")
    assert text("Regress", [], "sum") == "the request has no examples"
    assert "as its only input" in text("Regress", ROWS, "numbers")
    assert "6 values for 2 examples" in text("Regress", ROWS, "matrix")
    assert "b" in text("Regress", [{"a": 1.0}], "sum")


# ---- metadata, versions


def test_metadata(client: Client) -> None:
    version, signatures = ok(client.metadata(model="examples"))
    assert version == 1
    found = signatures["serving_default"]
    assert found["methodName"] == "tensorflow/serving/classify"
    assert found["inputs"]["inputs"] == {
        "name": "serialized:0",
        "dtype": "DT_STRING",
        "tensorShape": {"dim": [{"size": "-1"}]},
    }
    assert set(found["outputs"]) == {"classes", "scores"}
    assert "there is no metadata_field" in refused(client.metadata(["x"], model="add"), "INVALID_ARGUMENT")
    assert "names no metadata_field" in refused(client.metadata([], model="add"), "INVALID_ARGUMENT")
    refused(client.metadata(model="nobody"), "NOT_FOUND")


def test_status(client: Client) -> None:
    assert ok(client.status(model="versions")) == [(10, "AVAILABLE", 0), (9, "AVAILABLE", 0)]
    assert ok(client.status(model="versions", version=9)) == [(9, "AVAILABLE", 0)]
    assert ok(client.status(model="half")) == [(2, "END", 2), (1, "AVAILABLE", 0)]
    assert "there is no version 8" in refused(client.status(model="versions", version=8), "NOT_FOUND")
    refused(client.status(model="nobody"), "NOT_FOUND")


CONFIG = """
model_config_list {
  config { name: "any" base_path: "%(folder)s/versions" model_platform: "tensorflow"
           model_version_policy { specific { versions: 9 versions: 11 } }
           version_labels { key: "stable" value: 9 } version_labels { key: "canary" value: 11 }
           logging_config { sampling_config { sampling_rate: 0.1 } } }
  config { name: "sums" base_path: "%(folder)s/add" }
}
"""


def test_a_configuration_file(server_program: Path, models: Path, tmp_path: Path) -> None:
    places = {"versions/9": "add", "versions/10": "multi", "versions/11": "mlp", "add/1": "add"}
    folder = layout(tmp_path / "models", models, places)
    config = tmp_path / "models.config"
    config.write_text(CONFIG % {"folder": folder})
    arguments = [f"--model_config_file={config}", "--poll=50ms"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        client = Client(server.port, model="any")
        assert ok(client.status()) == [(11, "AVAILABLE", 0), (9, "AVAILABLE", 0)]
        assert ok(client.predict({"x": X, "y": X}, label="stable"))[1] == ("any", 9, "serving_default")
        assert ok(client.predict({"x": np.ones((1, 64), np.float32)}, label="canary"))[1][1] == 11
        refused(client.predict({"x": X, "y": X}, version=10), "NOT_FOUND")
        # A label moves, a model goes; a mistake, or an empty file, changes nothing.
        for nothing in "", "\n":
            config.write_text(nothing)
            time.sleep(0.3)
            assert ok(client.predict({"x": X, "y": X}, label="stable"))[1][1] == 9
        config.write_text("model_config_list { config { name: ")
        time.sleep(0.3)
        assert ok(client.predict({"x": X, "y": X}, label="stable"))[1][1] == 9
        moved = (CONFIG % {"folder": folder}).replace('"canary" value: 11', '"canary" value: 9')
        config.write_text(moved.partition('config { name: "sums"')[0] + "}")
        eventually(lambda: ok(client.status())[0] and client.predict({}, model="sums")[0] == "NOT_FOUND")
        eventually(lambda: client.predict({"x": X, "y": X}, label="canary")[0] == "OK")
    errors = (tmp_path / "stderr").read_text()
    assert "it has no model_config_list" in errors
    assert "line 1, column " in errors


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("model_config_list { config { base_path: '/x' } }", "a model has no name"),
        ("model_config_list { config { name: 'a' } }", "the model 'a' has no base_path"),
        (
            "model_config_list { config { name: 'a' base_path: '/x' model_platform: 'torch' } }",
            "is of the platform 'torch', not 'tensorflow'",
        ),
        (
            "model_config_list { config { name: 'a' base_path: '/x' } config { name: 'a' base_path: '/y' } }",
            "the model 'a' is there twice",
        ),
        ("model_config_list {\n  config ", "line 2, column "),
    ],
)
def test_a_wrong_configuration_file(server_program: Path, tmp_path: Path, text: str, error: str) -> None:
    config = tmp_path / "models.config"
    config.write_text(text)
    command = [str(server_program), "--address=127.0.0.1:0", f"--model_config_file={config}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert error in done.stderr


def test_a_version_that_comes_back_is_another(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"a/1": "add", "a/2": "add"})
    arguments = [f"--models={folder}", "--poll=30ms", "--versions=0"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        client = Client(server.port, model="a")
        assert ok(client.predict({"x": X, "y": X}, version=1))
        (folder / "a" / "1").unlink()
        eventually(lambda: ok(client.status()) == [(2, "AVAILABLE", 0)])
        shutil.copytree(models / "mlp", folder / "a" / "1")
        rows = np.ones((1, 64), np.float32)
        eventually(lambda: client.predict({"x": rows}, version=1)[0] == "OK")
        refused(client.predict({"x": X, "y": X}, version=1), "INVALID_ARGUMENT")


def test_paths_are_hidden_and_slashes_are_not(server_program: Path, models: Path, tmp_path: Path) -> None:
    config = tmp_path / "models.config"
    layout(tmp_path, models, {"examples/1": "examples"})
    config.write_text('model_config_list { config { name: "examples" base_path: "examples" } }')
    arguments = [f"--model_config_file={config}"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr", cwd=tmp_path) as server:
        answer = Client(server.port, model="examples").examples("Classify", ROWS, signature="sum")
        assert "'tensorflow/serving/regress'" in refused(answer, "INVALID_ARGUMENT")


# ---- load


def test_two_hundred_clients_while_versions_switch(
    server_program: Path, models: Path, tmp_path: Path
) -> None:
    """No call fails, whichever version answers it."""
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    folder = layout(tmp_path / "models", models, {"add/1": "add"})
    arguments = [f"--models={folder}", "--poll=20ms", "--threads=1", "--batching"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        request = service_pb2.ModelInferRequest(model_name="add")
        for name in "xy":
            request.inputs.add(name=name, datatype="FP32", shape=[4])
            request.raw_input_contents.append(X.tobytes())
        stop, wrong, versions = threading.Event(), [], set()

        def call(number: int) -> None:
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(f"127.0.0.1:{server.port}", options) as channel:
                stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
                while not stop.is_set():
                    try:
                        answer = stub.ModelInfer(request, timeout=60)
                        versions.add(answer.model_version)
                        if np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() != [0, 2, 4, 6]:
                            wrong.append((number, answer))
                    except grpc.RpcError as error:
                        wrong.append((number, error.details()))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(200)]
        for thread in threads:
            thread.start()
        for version in range(2, 8):
            os.symlink(models / "add", folder / "add" / str(version))
            eventually(lambda version=version: str(version) in versions)  # type: ignore[misc]
            if version > 2:
                (folder / "add" / str(version - 2)).unlink()
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []


@pytest.mark.parametrize("model", ["mlp", "strings", "examples"])
def test_batches_answer_each_request(server_program: Path, models: Path, tmp_path: Path, model: str) -> None:
    folder = layout(tmp_path / "models", models, {f"{model}/1": model})
    arguments = [f"--models={folder}", "--batching", "--max_delay=20ms", "--http=127.0.0.1:0"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        if model == "examples":
            client = Client(server.port, model=model)
            assert ok(client.examples("Regress", ROWS, signature="sum")) == [3.5, -0.75]
            assert "b" in refused(
                client.examples("Regress", [{"a": 1.0}], signature="sum"), "INVALID_ARGUMENT"
            )
            return
        for (_, signature), run in goldens.read(models / f"{model}.npz").items():
            feeds = {name: parts[""] for name, parts in run.inputs.items()}
            results = infer(server.client, model, feeds, signature)
            for name, parts in run.outputs.items():
                if parts[""].dtype.kind == "f":
                    np.testing.assert_allclose(results[name], parts[""], rtol=1e-5, atol=1e-6)
                else:
                    np.testing.assert_array_equal(results[name], parts[""])


def test_logs_are_lines_of_json(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"add/1": "add", "broken/1": "bad_garbage_pb"})
    arguments = [f"--models={folder}", "--log=json", "--log_requests"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        client = Client(server.port, model="add")
        ok(client.predict({"x": X, "y": X}))
        refused(client.predict({"x": X}), "INVALID_ARGUMENT")
    lines = [json.loads(line) for line in (tmp_path / "stderr").read_text().splitlines() if line[0] == "{"]
    loaded = next(line for line in lines if line["message"].startswith("loaded"))
    assert (loaded["level"], loaded["model"], loaded["version"]) == ("info", "add", 1)
    failed = next(line for line in lines if line["level"] == "error")
    assert failed["model"] == "broken"
    calls = [line for line in lines if line.get("method") == "Predict"]
    assert [line["code"] for line in calls] == ["OK", "INVALID_ARGUMENT"]
    assert calls[0]["protocol"] == "grpc"
    assert (calls[0]["model"], calls[0]["version"], calls[0]["signature"]) == ("add", 1, "serving_default")
    assert calls[0]["seconds"] > 0
    assert calls[1]["error"] == "input 'y' is missing"
