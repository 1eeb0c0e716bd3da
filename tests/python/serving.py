"""Builds examples/server as someone who copied it out would, and runs it on a folder of models."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.grpc._utils import get_error_grpc
from tritonclient.utils import np_to_triton_dtype

from .helpers import Array

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "server"
START_SECONDS = 120.0  # a busy machine, and TensorFlow
MODELS = {
    **{
        f"{name}/1": name for name in ("add", "mlp", "multi", "dtypes", "strings", "scalar", "shapes", "slow")
    },
    **{f"{name}/1": name for name in ("keras_conv", "defaults", "stateful", "while_loop")},
    # Numbers, not text: 10 is above 9. What is no number is no version.
    "versions/9": "add",
    "versions/10": "multi",
    "versions/latest": "mlp",
    "broken/1": "bad_garbage_pb",
    "half/1": "add",
    "half/2": "bad_truncated_pb",
    "examples/1": "examples",
}


def missing() -> str | None:
    """What a build would need and this machine lacks."""
    for tool in "cmake", "c++", "protoc", "grpc_cpp_plugin", "pkg-config":
        if shutil.which(tool) is None:
            return f"no {tool}"
    packages = ["grpc++", "protobuf", "absl_flags_parse", "cpp-httplib", "nlohmann_json", "openssl"]
    if subprocess.run(["pkg-config", "--exists", *packages]).returncode != 0:
        return f"pkg-config does not know all of {', '.join(packages)}"
    return None


def build(folder: Path) -> Path:
    """The program, built against the installed package."""
    where = [sys.executable, "-m", "savedmodel", "--cmake-dir"]
    package = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    configure = ["cmake", "-S", str(EXAMPLE), "-B", str(folder), f"-Dsavedmodel_DIR={package}"]
    if shutil.which("ninja") is not None:
        configure += ["-G", "Ninja"]
    for command in configure, ["cmake", "--build", str(folder)]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "warning" not in done.stdout + done.stderr, done.stdout + done.stderr
    return folder / "server"


class Server:
    """A running server; as a context, one that is ready, and has drained and exited with 0 at the end."""

    def __init__(self, program: Path, *arguments: str, errors: Path, cwd: Path | None = None) -> None:
        self.errors = errors
        # SAVEDMODEL_SERVER_PREFIX: valgrind, say.
        command = [
            *os.environ.get("SAVEDMODEL_SERVER_PREFIX", "").split(),
            str(program),
            "--address=127.0.0.1:0",
        ]
        with errors.open("w") as stderr:
            # Unbuffered: select() does not see what a buffer has read ahead.
            self.process = subprocess.Popen(
                [*command, *arguments], stdout=subprocess.PIPE, stderr=stderr, bufsize=0, cwd=cwd
            )
        listening = self.line()
        assert listening.startswith("listening on "), listening + errors.read_text()
        self.port = int(listening.rpartition(":")[2])
        self.http = ""
        if any(argument.startswith("--http=") for argument in arguments):
            listening = self.line()
            assert listening.startswith("HTTP on "), listening + errors.read_text()
            self.http = listening.removeprefix("HTTP on ")
        self.client = self.connect()

    def line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], START_SECONDS)[0], "the server says nothing"
        return self.process.stdout.readline().decode().strip()

    def connect(self) -> triton.InferenceServerClient:
        return triton.InferenceServerClient(f"127.0.0.1:{self.port}")

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(sent)
        assert self.process.wait(timeout=60) == 0, self.errors.read_text()
        assert self.line() == "drained"

    def __enter__(self) -> Server:
        assert self.line() == "ready", self.errors.read_text()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None and self.process.poll() is None:
                self.stop()
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.client.close()


def layout(folder: Path, models: Path, versions: Mapping[str, str]) -> Path:
    """TensorFlow Serving's layout, as links: {"name/1": a generated model}."""
    for place, model in versions.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(models / model)
    return folder


def given(name: str, values: object, datatype: str | None = None) -> triton.InferInput:
    """An input in raw_input_contents."""
    array = np.asarray(values, None if hasattr(values, "dtype") else np.float32)
    result = triton.InferInput(name, array.shape, datatype or np_to_triton_dtype(array.dtype))
    result.set_data_from_numpy(array)
    return result


def infer(
    client: triton.InferenceServerClient,
    model: str,
    inputs: Mapping[str, object],
    signature: str = "",
    outputs: tuple[str, ...] = (),
    version: str = "",
) -> dict[str, Array]:
    """All outputs of a run, or those wanted, by name."""
    result = client.infer(
        model,
        [given(name, values) for name, values in inputs.items()],
        model_version=version,
        outputs=[triton.InferRequestedOutput(name) for name in outputs] or None,
        parameters={"signature_name": signature} if signature else None,
    )
    return {one.name: result.as_numpy(one.name) for one in result.get_response().outputs}


def send(
    server: Server, message: service_pb2.ModelInferRequest, timeout: float = 60.0
) -> service_pb2.ModelInferResponse:
    """What Triton's client would not write itself; errors are of its type."""
    try:
        return server.client._client_stub.ModelInfer(message, timeout=timeout)
    except grpc.RpcError as error:
        raise get_error_grpc(error) from None


def refused(call: object, code: str) -> str:
    """The text of the error with which `call` must be refused."""
    assert callable(call)
    with pytest.raises(triton.InferenceServerException) as caught:
        call()
    assert caught.value.status() == f"StatusCode.{code}", caught.value
    return str(caught.value.message())
