"""Fixtures: the generated models, the third-party ones, and loading them."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.metadata
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import savedmodel as sm

from .editing import Check, X, check_signature
from .helpers import Array, Load
from .tensorflow_child import TensorFlow

if TYPE_CHECKING:
    from .exporting import Outcome
    from .serving import Server

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "tests" / "models"
GENERATED = GENERATOR / "_generated"
STAMP = GENERATED / ".stamp"


def _generator_hash() -> str:
    """Changes when the generated models could: with the generator and with TensorFlow."""
    digest = hashlib.sha256()
    for name in "tensorflow", "tensorflow-cpu", "keras":
        try:
            digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
        except importlib.metadata.PackageNotFoundError:
            continue
    for path in sorted(GENERATOR.glob("**/*.py")):
        if GENERATED not in path.parents:
            digest.update(str(path.relative_to(GENERATOR)).encode() + path.read_bytes())
    return digest.hexdigest()


def _generate(stamp: str) -> None:
    for path in GENERATED.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()
    done = subprocess.run(
        [sys.executable, str(GENERATOR / "generate.py"), str(GENERATED)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 0:
        raise RuntimeError(f"tests/models/generate.py failed:\n{done.stdout}\n{done.stderr}")
    STAMP.write_text(stamp)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """In the background of a shell Ctrl-C is ignored, and every child would ignore it, too."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def models() -> Iterator[Path]:
    """The folder of generated models; they are made anew when the generator has changed."""
    GENERATED.mkdir(exist_ok=True)
    stamp = _generator_hash()
    # Test processes share the lock while they run; one alone, and nobody else, may write.
    with open(GENERATED / ".lock", "w") as lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if STAMP.exists() and STAMP.read_text() == stamp:
                break
            fcntl.flock(lock, fcntl.LOCK_UN)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.2)
                continue
            if not (STAMP.exists() and STAMP.read_text() == stamp):
                _generate(stamp)
        yield GENERATED


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Third-party models, which a checkout may have beside it."""
    path = ROOT.parent / "shared" / "models"
    if not path.is_dir():
        pytest.skip("no folder of third-party models beside the checkout")
    return path


@pytest.fixture
def load(models: Path) -> Iterator[Load]:
    """Load a generated model by name, as `sm.load` does; it is closed after the test."""
    loaded: list[sm.Model] = []

    def load_by_name(name: str, **options: Any) -> sm.Model:
        model = sm.load(models / name, **options)
        loaded.append(model)
        return model

    yield load_by_name
    for model in loaded:
        model.close()


@pytest.fixture(scope="session")
def tensorflow() -> Iterator[TensorFlow]:
    """TensorFlow's Python, in a process of its own."""
    child = TensorFlow()
    yield child
    child.close()


@pytest.fixture
def check(tensorflow: TensorFlow) -> Check:
    """Whether a signature of an edited model gives the expected results, whoever loads it."""
    return functools.partial(check_signature, tensorflow)


@pytest.fixture
def dst(tmp_path: Path) -> Path:
    """Where an edited model is written."""
    return tmp_path / "edited"


@pytest.fixture(scope="session")
def mlp(models: Path) -> dict[str, Array]:
    """What the layers of `mlp` compute of `editing.X`."""
    with sm.load(models / "mlp", optimize="none") as model:
        w, b = ([model.variables[f"{kind}{i}"] for i in range(3)] for kind in "wb")
        probs = model(X)["probs"]
    first = np.maximum(X @ w[0] + b[0], 0)
    return {"first": first, "second": np.maximum(first @ w[1] + b[1], 0), "probs": probs}


@pytest.fixture(scope="session")
def server_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/server, built."""
    pytest.importorskip("tritonclient.grpc", reason="no tritonclient")
    from . import serving

    reason = serving.missing()
    if reason is not None:
        pytest.skip(reason)
    return serving.build(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def running_server(
    server_program: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    from .serving import MODELS, Server, layout

    folder = tmp_path_factory.mktemp("served")
    arguments = ["--max_message=1000000", "--versions=0", f"--models={layout(folder, models, MODELS)}"]
    with Server(server_program, *arguments, errors=folder / "stderr") as server:
        yield server


@pytest.fixture
def server(running_server: Server) -> Iterator[Server]:
    """One server for all, which must answer after whatever a test has done to it."""
    from .serving import infer

    yield running_server
    assert running_server.process.poll() is None, running_server.errors.read_text()
    client = running_server.connect()
    assert infer(client, "add", {"x": [1.0], "y": [2.0]})["z"].tolist() == [3.0]
    client.close()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Outcome]]:
    """Conversions by group and name, made in one process."""
    from . import exporting

    return exporting.done(tmp_path_factory.mktemp("exported"), "functions", "graphs", "builder")
