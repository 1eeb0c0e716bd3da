# SPDX-License-Identifier: Apache-2.0
"""examples/server over HTTP: TensorFlow Serving's REST API, health, metrics."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import goldens

pytest.importorskip("tritonclient.grpc", reason="no tritonclient")

from .helpers import eventually
from .serving import MODELS, Server, infer, layout

VECTOR = [1.0, 2.0, 3.5]


@pytest.fixture(scope="module")
def server(server_program: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    versions = {**MODELS, "batching/1": "batching"}
    arguments = ["--versions=0", "--http=127.0.0.1:0", "--max_message=1000000"]
    arguments.append(f"--models={layout(folder, models, versions)}")
    with Server(server_program, *arguments, errors=folder / "stderr") as server:
        yield server


def ask(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    connection = http.client.HTTPConnection(server.http, timeout=60)
    try:
        text = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        connection.request(method, path, text)
        response = connection.getresponse()
        content = response.read()
        assert response.headers["Content-Type"] == "application/json", content
        return response.status, json.loads(content)
    finally:
        connection.close()


def post(server: Server, path: str, body: Any) -> Any:
    status, answer = ask(server, "POST", f"/v1/models/{path}", body)
    assert status == 200, answer
    return answer


def refused(server: Server, path: str, body: Any, status: int = 400) -> str:
    found, answer = ask(server, "POST", f"/v1/models/{path}", body)
    assert found == status, answer
    assert list(answer) == ["error"]
    return str(answer["error"])


# ---- predict


def test_rows_and_columns(server: Server) -> None:
    rows = [{"x": x, "y": 2 * x} for x in VECTOR]
    wanted = [3 * x for x in VECTOR]
    assert post(server, "add:predict", {"instances": rows}) == {"predictions": wanted}
    columns = {"x": VECTOR, "y": [2 * x for x in VECTOR]}
    assert post(server, "add:predict", {"inputs": columns}) == {"outputs": wanted}
    assert post(server, "add/versions/1:predict", {"inputs": columns}) == {"outputs": wanted}


@pytest.mark.parametrize("model", ["add", "mlp", "multi", "shapes", "keras_conv"])
def test_golden_answers_in_columns(server: Server, models: Path, model: str) -> None:
    for (_, signature), run in goldens.read(models / f"{model}.npz").items():
        feeds = {name: parts[""].tolist() for name, parts in run.inputs.items()}
        answer = post(server, f"{model}:predict", {"signature_name": signature, "inputs": feeds})["outputs"]
        if len(run.outputs) == 1:
            answer = {next(iter(run.outputs)): answer}
        assert answer.keys() == run.outputs.keys()
        for name, parts in run.outputs.items():
            found = np.array(answer[name], parts[""].dtype).reshape(parts[""].shape)
            np.testing.assert_allclose(found, parts[""], rtol=1e-5, atol=1e-6)


def test_rows_of_one_input_and_of_several_outputs(server: Server, models: Path) -> None:
    x = np.random.default_rng(3).normal(size=(3, 64)).astype(np.float32)
    wanted = infer(server.client, "mlp", {"x": x})["probs"]
    for rows in x.tolist(), [{"x": row} for row in x.tolist()]:
        found = post(server, "mlp:predict", {"instances": rows})["predictions"]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    rows = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]
    answer = post(server, "multi:predict", {"signature_name": "sum_prod", "instances": rows})
    assert answer == {"predictions": [{"prod": 2.0, "sum": 3.0}, {"prod": 12.0, "sum": 7.0}]}


def test_every_type(server: Server, models: Path) -> None:
    for dtype in ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]:
        x = goldens.read(models / "dtypes.npz")["", dtype].inputs["x"][""].tolist()
        assert post(server, "dtypes:predict", {"signature_name": dtype, "inputs": x}) == {"outputs": x}
    for dtype in ["float32", "float64"]:
        x = goldens.read(models / "dtypes.npz")["", dtype].inputs["x"][""]
        given = np.nan_to_num(x, posinf=1e30, neginf=-1e30).tolist()
        found = post(server, "dtypes:predict", {"signature_name": dtype, "inputs": given})["outputs"]
        np.testing.assert_array_equal(np.array(found, dtype), np.array(given, dtype))
    for dtype in ["float16", "bfloat16", "complex64"]:
        text = refused(server, "dtypes:predict", {"signature_name": dtype, "inputs": [1, 2]})
        assert text == f"input 'x' is {dtype}, which JSON has no form for"


def test_numbers_come_back_as_they_are(server: Server) -> None:
    x = [0.1, 1e-30, 1e30, 16777216.0, -0.0, 5.0]
    found = post(server, "dtypes:predict", {"signature_name": "float64", "inputs": x})["outputs"]
    assert list(map(repr, found)) == list(map(repr, x))
    for value in 1e39, -1e300:
        assert "is float32, " in refused(server, "add:predict", {"inputs": {"x": [value], "y": [1]}})
    divided = {"x": [1e38], "y": [1e38]}
    huge = post(server, "add:predict", {"inputs": {"x": [3e38], "y": [3e38]}})["outputs"]
    assert huge == [float("inf")]
    body: dict[str, Any]
    odd = [float("nan"), float("inf"), -float("inf")]
    body = {"signature_name": "float32", "inputs": odd}
    np.testing.assert_array_equal(post(server, "dtypes:predict", body)["outputs"], odd)
    words = ["NaN", 'a"Infinity', "b"]
    body = {"signature_name": "upper", "inputs": words}
    assert post(server, "strings:predict", body)["outputs"] == ["NAN", 'A"INFINITY', "B"]
    assert post(server, "add:predict", {"inputs": divided})["outputs"][0] == pytest.approx(2e38)


def test_strings_and_bytes(server: Server) -> None:
    def upper(words: Any, **body: Any) -> Any:
        answer = post(server, "strings:predict", {"signature_name": "upper", "inputs": words, **body})
        return answer["outputs"]

    encoded = {"b64": base64.b64encode(b"\xffa").decode()}
    assert upper(["a", "b c", ""]) == ["A", "B C", ""]
    assert upper(["a", encoded]) == ["A", {"b64": base64.b64encode(b"\xffA").decode()}]
    assert upper(['"\\\n']) == ['"\\\n']
    rows = {"signature_name": "upper", "instances": ["a", encoded]}
    assert post(server, "strings:predict", rows)["predictions"][0] == "A"
    wrong = {"signature_name": "upper", "inputs": [{"b64": "!"}]}
    assert "is no base64" in refused(server, "strings:predict", wrong)


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "the body is no JSON: "),
    "no object": ([1], "the body is no JSON object"),
    "an empty body": ("", "the body is no JSON"),
    "neither": ({}, "the body has either 'instances' or 'inputs'"),
    "both": ({"instances": [], "inputs": []}, "the body has either"),
    "no rows": ({"instances": []}, "'instances' is a list of at least one row"),
    "a row": ({"instances": 1}, "'instances' is a list of at least one row"),
    "no names": ({"instances": [1.0]}, "the signature has 2 inputs: 'instances' names them"),
    "no names in columns": ({"inputs": [1.0]}, "the signature has 2 inputs: 'inputs' names them"),
    "rows that differ": (
        {"instances": [{"x": 1, "y": 1}, {"x": 1}]},
        "row 1 does not name the same inputs as the first one",
    ),
    "rows of other shapes": ({"instances": [{"x": [1], "y": 1}, {"x": 1, "y": 1}]}, "of different lengths"),
    "a ragged list": ({"inputs": {"x": [[1], [1, 2]], "y": [1]}}, "lists are of different lengths or depths"),
    "no such input": ({"inputs": {"x": [1], "z": [1]}}, "there is no input 'z', but 'x', 'y'"),
    "one input": ({"inputs": {"x": [1]}}, "input 'y' is missing"),
    "a word": ({"inputs": {"x": ["a"], "y": [1]}}, "input 'x' is a number, got string"),
    "null": ({"inputs": {"x": [None], "y": [1]}}, "input 'x' is a number, got null"),
    "no such signature": ({"signature_name": "q", "inputs": 1}, "there is no signature 'q'"),
    "a signature that is a number": ({"signature_name": 1, "inputs": 1}, "'signature_name' is a string"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_bodies_are_refused(server: Server, what: str) -> None:
    body, text = WRONG[what]
    assert text in refused(server, "add:predict", body)


@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [
        ("int8", 128, "is int8, 128 does not fit"),
        ("int8", -129, "is int8, -129 does not fit"),
        ("uint8", -1, "is uint8, -1 does not fit"),
        ("uint64", 2**64, "is an integer"),
        ("int32", 1.5, "is an integer, got 1.5"),
        ("int32", True, "is an integer, got boolean"),
        ("bool", 1, "is true or false, got number"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(server: Server, dtype: str, value: Any, text: str) -> None:
    assert text in refused(server, "dtypes:predict", {"signature_name": dtype, "inputs": [value]})


def test_rows_need_outputs_with_rows(server: Server) -> None:
    body = {"signature_name": "total", "instances": [[1, 2, 3, 4], [5, 6, 7, 8]]}
    text = "not a row for each instance: ask with 'inputs'"
    assert text in refused(server, "batching:predict", body)


def test_places_that_are_not_there(server: Server) -> None:
    body = {"inputs": {"x": [1], "y": [1]}}
    assert refused(server, "nobody:predict", body, 404) == "there is no model 'nobody'"
    assert "version 7 of the model 'add'" in refused(server, "add/versions/7:predict", body, 404)
    assert "there is no version 'x'" in refused(server, "add/versions/x:predict", body, 404)
    assert "no version label 'a'" in refused(server, "add/labels/a:predict", body, 404)
    assert "could be loaded" in refused(server, "broken:predict", body, 503)
    assert refused(server, "add:guess", body, 404) == "there is no POST /v1/models/add:guess"
    assert ask(server, "GET", "/") == (404, {"error": "there is no GET /"})
    assert ask(server, "GET", "/v1/models/add:predict")[0] == 404


def test_bodies_are_limited_however_they_are_sent(server: Server) -> None:
    text = "the body has more than 1000000 bytes"
    assert refused(server, "add:predict", "[" * 2_000_000, 503) == text
    for headers, body in (
        ({"Transfer-Encoding": "chunked"}, (b"[" * 1000 for _ in range(2000))),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"[" * 2_000_000)),
    ):
        connection = http.client.HTTPConnection(server.http, timeout=60)
        try:
            chunked = "Transfer-Encoding" in headers
            connection.request("POST", "/v1/models/add:predict", body, headers, encode_chunked=chunked)
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())) == (503, {"error": text})
        except (BrokenPipeError, ConnectionResetError):  # it was closed before all was sent
            assert "chunked" in headers.values()
        finally:
            connection.close()
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.request("POST", "/v1/models/add:predict", b"--x--", form)
    response = connection.getresponse()
    error = {"error": "the body is a form of parts, not JSON"}
    assert (response.status, json.loads(response.read())) == (400, error)
    connection.close()


def test_lists_are_not_too_deep(server: Server) -> None:
    deep = "[" * 100_000 + "1" + "]" * 100_000
    body = f'{{"inputs": {{"x": {deep}, "y": 1}}}}'
    assert "nested more than 254 deep" in refused(server, "add:predict", body)


def test_what_is_no_http(server: Server) -> None:
    host, _, port = server.http.partition(":")
    for text in b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"POST /v1 HTTP/1.1\r\nContent-Length: -3\r\n\r\n":
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1000)
    assert post(server, "add:predict", {"inputs": {"x": [1], "y": [1]}}) == {"outputs": [2.0]}


# ---- classify, regress


def test_classify_and_regress(server: Server) -> None:
    rows = [{"a": 1.5, "b": 2.0}, {"a": -1.0, "b": 0.25}]
    labels = ["first", "second", "both"]
    wanted = [[1.5, 2.0, 3.5], [-1.0, 0.25, -0.75]]
    answer = post(server, "examples:classify", {"examples": rows})
    assert answer == {"results": [[[a, b] for a, b in zip(labels, row, strict=True)] for row in wanted]}
    body = {"signature_name": "product", "context": {"b": 10.0}, "examples": [{"a": 1.5}, {"a": [2.0]}]}
    assert post(server, "examples:regress", body) == {"results": [15.0, 20.0]}


def test_wrong_examples_are_refused(server: Server) -> None:
    def text(body: Any, verb: str = "regress") -> str:
        return refused(server, f"examples:{verb}", {"signature_name": "sum", **body})

    assert text({}) == "the body has a list of 'examples'"
    assert text({"examples": []}) == "the request has no examples"
    assert text({"examples": [1]}) == "an example is an object of features"
    assert text({"examples": [{"a": 1.0}], "context": 1}) == "'context' is an object of features"
    assert "feature 'a' is a string, or" in text({"examples": [{"a": None}]})
    assert "does not fit" in text({"examples": [{"a": 2**64 - 1}]})
    assert "is of the method" in text({"examples": [{"a": 1.0}]}, "classify")


# ---- status, metadata, health, metrics


def test_status_and_metadata(server: Server) -> None:
    def version(number: str, state: str = "AVAILABLE", code: str = "OK", message: str = "") -> Any:
        return {
            "version": number,
            "state": state,
            "status": {"error_code": code, "error_message": message},
        }

    _, answer = ask(server, "GET", "/v1/models/versions")
    assert answer == {"model_version_status": [version("10"), version("9")]}
    _, answer = ask(server, "GET", "/v1/models/versions/versions/9")
    assert answer == {"model_version_status": [version("9")]}
    _, answer = ask(server, "GET", "/v1/models/half")
    failed = version("2", "END", "UNKNOWN", "the version could not be loaded")
    assert answer["model_version_status"][0] == failed
    assert ask(server, "GET", "/v1/models/nobody")[0] == 404

    _, answer = ask(server, "GET", "/v1/models/add/metadata")
    assert answer["model_spec"] == {"name": "add", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert set(signature["outputs"]) == {"z"}


def test_health(server: Server) -> None:
    assert ask(server, "GET", "/v2/health/live") == (200, {"live": True})
    assert ask(server, "GET", "/v2/health/ready") == (200, {"ready": True})


def metrics(server: Server) -> dict[str, float]:
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/plain")
    text = response.read().decode()
    connection.close()
    parser = pytest.importorskip("prometheus_client.parser", reason="no prometheus_client")
    return {
        f"{sample.name} {sorted(sample.labels.items())}": sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics(server: Server) -> None:
    def count(name: str, **labels: str) -> float:
        return metrics(server).get(f"{name} {sorted(labels.items())}", 0.0)

    run = {"protocol": "http", "method": "Run", "code": "OK"}
    runs = {"model": "add", "version": "1", "signature": "serving_default", "code": "OK"}
    before = count("savedmodel_server_requests_total", **run)
    ran = count("savedmodel_request_duration_seconds_count", **runs)
    post(server, "add:predict", {"inputs": {"x": [1], "y": [1]}})
    refused(server, "nobody:predict", {"inputs": 1}, 404)
    assert count("savedmodel_server_requests_total", **run) == before + 1
    assert count("savedmodel_server_requests_total", **{**run, "code": "NOT_FOUND"}) >= 1
    assert count("savedmodel_request_duration_seconds_count", **runs) == ran + 1
    assert count("savedmodel_loaded_versions", model="versions") == 2
    assert count("savedmodel_failed_versions", model="broken") == 1


# ---- connections


def test_many_connections(server: Server) -> None:
    def call(number: int) -> Any:
        connection = http.client.HTTPConnection(server.http, timeout=60)
        body = json.dumps({"inputs": {"x": [number], "y": [1]}})
        answers = []
        for _ in range(20):  # one connection
            connection.request("POST", "/v1/models/add:predict", body)
            answers.append(json.loads(connection.getresponse().read()))
        connection.close()
        return answers

    with ThreadPoolExecutor(64) as pool:
        for number, answers in enumerate(pool.map(call, range(64))):
            assert answers == [{"outputs": [number + 1.0]}] * 20


def test_curl(server: Server) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    url = f"http://{server.http}/v1/models/add:predict"
    command = ["curl", "-sS", "--fail", "-d", '{"instances": [{"x": 1, "y": 2}]}', url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"predictions": [3.0]}
    # A body that needs a second step: curl waits for "100 Continue".
    body = json.dumps({"inputs": {"x": [1.0] * 5000, "y": [1.0] * 5000}})
    done = subprocess.run(
        ["curl", "-sS", "--compressed", "-d", "@-", url],
        input=body,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == {"outputs": [2.0] * 5000}


def test_drains(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"add/1": "add"})
    arguments = [f"--models={folder}", "--http=127.0.0.1:0", "--drain_delay=2s"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        server.process.terminate()
        eventually(lambda: ask(server, "GET", "/v2/health/ready") == (503, {"ready": False}))
        assert post(server, "add:predict", {"inputs": {"x": [1], "y": [1]}}) == {"outputs": [2.0]}
        assert server.process.wait(timeout=60) == 0
        with pytest.raises(ConnectionRefusedError):
            ask(server, "GET", "/v2/health/live")


def test_a_port_in_use_is_an_error(server: Server, server_program: Path, tmp_path: Path) -> None:
    for address in server.http, "127.0.0.1:70000", "127.0.0.1:-1":
        command = [str(server_program), f"--models={tmp_path}", "--address=127.0.0.1:0", f"--http={address}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "cannot listen on" in done.stderr


def test_a_slow_client_does_not_hold_up_the_end(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"add/1": "add"})
    arguments = [f"--models={folder}", "--http=127.0.0.1:0", "--grace=1s"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        host, _, port = server.http.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = b"POST /v1/models/add:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
            connection.sendall(head)
            time.sleep(0.2)
            server.process.terminate()
            assert server.process.wait(timeout=20) == 0


def certificate(folder: Path, name: str, *issuer: str) -> tuple[Path, Path]:
    key, file = folder / f"{name}.key", folder / f"{name}.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
    ]
    command += [
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(file),
    ]
    subprocess.run([*command, *issuer], check=True, capture_output=True)
    return file, key


def test_tls(server_program: Path, models: Path, tmp_path: Path) -> None:
    for tool in "openssl", "curl":
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}")
    import tritonclient.grpc as triton

    authority, authority_key = certificate(tmp_path, "authority")
    issuer = ["-CA", str(authority), "-CAkey", str(authority_key)]
    chain, key = certificate(tmp_path, "localhost", *issuer)
    theirs, their_key = certificate(tmp_path, "client", *issuer)
    folder = layout(tmp_path / "models", models, {"add/1": "add"})
    arguments = [f"--models={folder}", "--http=127.0.0.1:0", f"--tls_cert={chain}", f"--tls_key={key}"]
    arguments.append(f"--tls_client_ca={authority}")
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        port = server.http.rpartition(":")[2]
        curl = ["curl", "-sS", "--cacert", str(authority), f"https://localhost:{port}/v2/health/ready"]
        assert subprocess.run(curl, capture_output=True, timeout=60).returncode != 0
        curl += ["--cert", str(theirs), "--key", str(their_key)]
        done = subprocess.run(curl, capture_output=True, text=True, timeout=60)
        assert done.stdout == '{"ready":true}', done.stderr
        files = {"root_certificates": str(authority), "private_key": str(their_key)}
        files["certificate_chain"] = str(theirs)
        with triton.InferenceServerClient(f"localhost:{server.port}", ssl=True, **files) as client:
            assert infer(client, "add", {"x": [1.0], "y": [2.0]})["z"].tolist() == [3.0]
        plain = triton.InferenceServerClient(f"localhost:{server.port}")
        with pytest.raises(triton.InferenceServerException):
            plain.is_server_live()
        plain.close()
