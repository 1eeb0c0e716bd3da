"""examples/server and requests that are wrong, clients that go away, and its own end."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc", reason="no tritonclient")

import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from .helpers import eventually
from .serving import Server, given, infer, layout, refused, send

X = np.arange(4, dtype=np.float32)
FLOATS = ("FP32", [4], X.tobytes())
SLOW = 20_000  # products of 64x64 matrices: a second or so


def request(
    model: str, signature: str = "", **inputs: tuple[str, list[int], bytes]
) -> service_pb2.ModelInferRequest:
    """A request as any client might write it: input=(datatype, shape, raw contents)."""
    message = service_pb2.ModelInferRequest(model_name=model)
    if signature:
        message.parameters["signature_name"].string_param = signature
    for name, (datatype, shape, contents) in inputs.items():
        message.inputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_input_contents.append(contents)
    return message


# ---- wrong requests


WRONG = {
    "missing input": (request("add", x=FLOATS), "input 'y' is missing"),
    "unknown input": (request("add", x=FLOATS, q=FLOATS), "there is no input 'q', but 'x', 'y'"),
    "wrong dtype": (
        request("add", x=("INT32", [4], X.tobytes()), y=FLOATS),
        "input 'x' is FP32, got INT32",
    ),
    "unknown datatype": (request("add", x=("FLOAT", [4], b""), y=FLOATS), "there is no datatype 'FLOAT'"),
    "wrong rank": (
        request("add", x=("FP32", [2, 2], X.tobytes()), y=FLOATS),
        "input 'x': expected float32 [?], got float32 [2, 2]",
    ),
    "shapes that do not go together": (
        request("add", x=("FP32", [3], X[:3].tobytes()), y=FLOATS),
        "Incompatible shapes",
    ),
    "negative dimension": (request("add", x=("FP32", [-4], b""), y=FLOATS), "[-4]"),
    "overflowing shape": (
        request("add", x=("FP32", [1 << 62, 1 << 62], b""), y=FLOATS),
        "[4611686018427387904, 4611686018427387904]",
    ),
    "overflowing size": (request("add", x=("FP32", [1 << 62], b""), y=FLOATS), "0 bytes of raw contents"),
    "huge rank": (request("shapes", "unknown", x=("FP32", [1] * 300, b"\0" * 4)), ""),
    "truncated raw": (
        request("add", x=("FP32", [4], X.tobytes()[:-1]), y=FLOATS),
        "15 bytes of raw contents, not 4 for each of 4 elements",
    ),
    "bool that is none": (request("dtypes", "bool", x=("BOOL", [2], b"\1\2")), "a BOOL is a byte of 0 or 1"),
    "truncated length": (request("strings", "upper", s=("BYTES", [1], b"\5\0\0")), "1 strings, each behind"),
    "truncated string": (
        request("strings", "upper", s=("BYTES", [1], b"\5\0\0\0abcd")),
        "1 strings, each behind",
    ),
    "string of 4 GB": (request("strings", "upper", s=("BYTES", [1], b"\xff" * 4)), "1 strings, each behind"),
    "strings that only a shape claims": (
        request("strings", "upper", s=("BYTES", [1 << 40], b"\0" * 8)),
        "1099511627776 strings, each behind",
    ),
    "left over": (
        request("strings", "upper", s=("BYTES", [0], b"\0" * 4)),
        "0 strings, each behind",
    ),
    "unknown signature": (request("multi", "nope", x=FLOATS), "there is no signature 'nope'"),
    "no default signature": (request("dtypes", x=FLOATS), "which signature?"),
    "many inputs": (request("add", "", **{f"i{i}": FLOATS for i in range(1000)}), "there is no input 'i0'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_requests_are_refused(server: Server, what: str) -> None:
    message, text = WRONG[what]
    assert text in refused(lambda: send(server, message), "INVALID_ARGUMENT")


def test_wrong_contents_are_refused(server: Server) -> None:
    twice = request("add", x=FLOATS)
    twice.inputs.add().CopyFrom(twice.inputs[0])
    twice.raw_input_contents.append(b"")
    assert "given twice" in refused(lambda: send(server, twice), "INVALID_ARGUMENT")

    often = request("add", x=FLOATS, y=FLOATS)
    for _ in range(50_000):  # of which each would have been counted anew
        often.outputs.add(name="z")
    assert "output 'z' is asked for twice" in refused(lambda: send(server, often), "INVALID_ARGUMENT")

    fewer = request("add", x=FLOATS, y=FLOATS)
    del fewer.raw_input_contents[1]
    assert "raw_input_contents of 1 inputs, not 2" in refused(lambda: send(server, fewer), "INVALID_ARGUMENT")

    both = request("add", x=FLOATS, y=FLOATS)
    both.inputs[0].contents.fp32_contents.extend(X)
    assert "contents beside" in refused(lambda: send(server, both), "INVALID_ARGUMENT")

    none = request("dtypes", "int8", x=("INT8", [2], b""))
    del none.raw_input_contents[:]
    assert "0 elements" in refused(lambda: send(server, none), "INVALID_ARGUMENT")
    none.inputs[0].contents.int_contents.extend([1, 300])
    assert "300 does not fit" in refused(lambda: send(server, none), "INVALID_ARGUMENT")
    none.inputs[0].datatype = "FP16"
    assert "only raw_input_contents" in refused(lambda: send(server, none), "INVALID_ARGUMENT")


def test_wrong_names_are_refused(server: Server) -> None:
    client = server.client
    for call in (
        lambda: infer(client, "nope", {}),
        lambda: client.is_model_ready("nope"),
        lambda: client.get_model_metadata("nope"),
        lambda: client.get_model_metadata("add", "2"),
    ):
        refused(call, "NOT_FOUND")
    text = refused(lambda: infer(client, "add", {"x": X, "y": X}, outputs=("w",)), "INVALID_ARGUMENT")
    assert text == "there is no output 'w', but 'z'"
    long = "n" * 100_000
    assert len(refused(lambda: infer(client, long, {}), "NOT_FOUND")) <= 1000


def test_what_would_change_the_answer_is_refused(server: Server) -> None:
    feeds = [given("x", X), given("y", X)]
    call = lambda: server.client.infer("add", feeds, sequence_id=5)  # noqa: E731
    assert "'sequence_id' is not supported" in refused(call, "INVALID_ARGUMENT")
    top = [triton.InferRequestedOutput("z", class_count=2)]
    refused(lambda: server.client.infer("add", feeds, outputs=top), "INVALID_ARGUMENT")
    shared = triton.InferInput("x", [4], "FP32")
    shared.set_shared_memory("region", 16)
    refused(lambda: server.client.infer("add", [shared, feeds[1]]), "INVALID_ARGUMENT")


def test_oversized_messages(server: Server) -> None:
    large = np.zeros(300_000, np.float32)
    refused(lambda: infer(server.client, "add", {"x": large, "y": large}), "RESOURCE_EXHAUSTED")


def test_messages_that_are_none(server: Server) -> None:
    call = server.client._channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    order = random.Random(7)
    sent = request("add", x=FLOATS, y=FLOATS).SerializeToString()
    answered = 0
    for _ in range(200):
        mutated = bytearray(sent)
        for _ in range(order.randint(1, 8)):
            mutated[order.randrange(len(mutated))] = order.randrange(256)
        with contextlib.suppress(grpc.RpcError):
            answered += bool(call(bytes(mutated), timeout=30))
    assert answered  # some are requests all the same


def test_bytes_that_are_no_http2(server: Server) -> None:
    order = random.Random(7)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for start in b"", b"GET / HTTP/1.1\r\n\r\n", preface, preface + b"\0\0\0\4\0\0\0\0\0":
        for size in 0, 9, 100, 100_000:
            with server.socket() as connection:
                try:
                    connection.sendall(start + order.randbytes(size))
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(0.2)
                    connection.recv(1000)
                except OSError:
                    pass  # it may close on us, or say nothing


# ---- time, and clients that go away


def slow(server: Server, steps: int, timeout: float | None = None) -> float:
    inputs = [given("n", np.int32(steps))]
    return float(server.connect().infer("slow", inputs, client_timeout=timeout).as_numpy("mean"))


def test_a_run_ends_when_nobody_waits_for_it(server_program: Path, models: Path, tmp_path: Path) -> None:
    """Late, cancelled, or its client gone: with all threads busy, whoever comes next would wait for hours."""
    folder = layout(tmp_path / "models", models, {"slow/1": "slow"})
    forever = [given("n", np.int32(2**31 - 1))]
    threads = len(os.sched_getaffinity(0))
    with Server(server_program, f"--models={folder}", errors=tmp_path / "stderr") as server:
        ended = threading.Semaphore(0)
        for _ in range(threads):
            server.client.async_infer(
                "slow", forever, callback=lambda result, error: ended.release(), client_timeout=0.5
            )
        for _ in range(threads):
            assert ended.acquire(timeout=30)
        assert np.isfinite(slow(server, 3, timeout=60))
        calls = [
            server.client.async_infer("slow", forever, callback=lambda result, error: None)
            for _ in range(threads)
        ]
        time.sleep(0.5)
        for call in calls:
            call.cancel()
        assert np.isfinite(slow(server, 3, timeout=60))
        clients = [server.connect() for _ in range(threads)]
        for client in clients:
            client.async_infer("slow", forever, callback=lambda result, error: None)
        time.sleep(0.5)
        for client in clients:
            client.close()
        assert np.isfinite(slow(server, 3, timeout=60))


def test_more_requests_than_may_wait(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"slow/1": "slow"})
    arguments = [f"--models={folder}", "--requests=3"]
    with (
        Server(server_program, *arguments, errors=tmp_path / "stderr") as server,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        calls = [pool.submit(slow, server, SLOW // 4) for _ in range(8)]
        errors = [call.exception() for call in calls]
    refusals = [str(error) for error in errors if error is not None]
    assert 1 <= len(refusals) <= 6
    assert set(refusals) == {"[StatusCode.RESOURCE_EXHAUSTED] too many requests are waiting"}


# ---- start and end


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_drains(server_program: Path, models: Path, tmp_path: Path, sent: signal.Signals) -> None:
    folder = layout(tmp_path / "models", models, {"slow/1": "slow", "add/1": "add"})
    arguments = [f"--models={folder}", "--drain_delay=1s"]
    with (
        Server(server_program, *arguments, errors=tmp_path / "stderr") as server,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        wanted = slow(server, 3)
        calls = [pool.submit(slow, server, steps) for steps in (SLOW, SLOW, 2 * SLOW)]
        time.sleep(0.2)
        server.process.send_signal(sent)
        eventually(lambda: not server.client.is_server_ready())  # first not ready,
        assert not server.client.is_model_ready("add")
        assert slow(server, 3) == wanted  # while it still serves
        assert all(np.isfinite(call.result()) for call in calls)  # then what runs is finished
        assert server.process.wait(timeout=60) == 0
        assert server.line() == "drained"
        with pytest.raises(ConnectionRefusedError):
            server.socket()


def test_what_takes_longer_than_the_grace_is_cancelled(
    server_program: Path, models: Path, tmp_path: Path
) -> None:
    folder = layout(tmp_path / "models", models, {"slow/1": "slow"})
    arguments = [f"--models={folder}", "--grace=100ms"]
    with (
        Server(server_program, *arguments, errors=tmp_path / "stderr") as server,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        call = pool.submit(slow, server, 2**31 - 1)
        time.sleep(0.3)
        server.stop()
        refused(call.result, "UNAVAILABLE")  # its connection is closed


def test_command_line(server_program: Path, tmp_path: Path, server: Server) -> None:
    def errors(*arguments: str) -> str:
        done = subprocess.run([server_program, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        return done.stderr

    assert "give either --models or --model_config_file" in errors()
    assert "give either" in errors(f"--models={tmp_path}", "--model_config_file=x")
    for pair in "--tls_cert=x", "--tls_key=x":
        assert "--tls_cert and --tls_key go together" in errors(f"--models={tmp_path}", pair)
    assert "--log is text or json" in errors(f"--models={tmp_path}", "--log=xml")
    assert "cannot listen on 'nowhere'" in errors(
        f"--models={tmp_path}", "--address=127.0.0.1:0", "--http=nowhere"
    )
    assert "--models names no directory" in errors(f"--models={tmp_path / 'nope'}")
    assert "--models names no directory" in errors(f"--models={tmp_path / ('n' * 300)}")
    for poll in "0", "-1s", "inf":
        assert "--poll is above 0, and finite" in errors(f"--models={tmp_path}", f"--poll={poll}")
    for address in "nowhere", f"127.0.0.1:{server.port}":
        refusal = errors(f"--models={tmp_path}", f"--address={address}")
        assert f"cannot listen on {address}" in refusal


def test_models_that_can_not_be_listed(server_program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir(mode=0)
    command = [str(server_program), f"--models={folder}", "--address=127.0.0.1:0"]
    if os.geteuid() == 0:  # who may read anything otherwise
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    folder.chmod(0o700)
    assert done.returncode == 1, done.stderr
    assert "server: " in done.stderr
    assert "Permission denied" in done.stderr


def test_what_is_no_model(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"add/1": "add"})
    (folder / "a file").touch()
    (folder / "loop").symlink_to("loop")
    with Server(server_program, f"--models={folder}", errors=tmp_path / "stderr") as server:
        assert server.client.is_model_ready("add")


def test_oversized_responses(server_program: Path, models: Path, tmp_path: Path) -> None:
    folder = layout(tmp_path / "models", models, {"multi/1": "multi"})
    arguments = [f"--models={folder}", "--max_message=1024"]
    with Server(server_program, *arguments, errors=tmp_path / "stderr") as server:
        feeds = {"a": np.zeros(200, np.float32), "b": np.zeros(1, np.float32)}  # the answer: 2 x 200
        text = refused(lambda: infer(server.client, "multi", feeds, "sum_prod"), "RESOURCE_EXHAUSTED")
    assert text == "the response has more than 1024 bytes"
