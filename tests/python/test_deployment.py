# SPDX-License-Identifier: Apache-2.0
"""The recipes of docs/deployment.md, run as the page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Array, eventually
from .test_integrations import answers, free_port, needs, post
from .test_package import code_blocks

PAGE = "docs/deployment.md"
ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = "gunicorn.conf.py"  # which gunicorn reads wherever it runs
X = np.full((2, 64), 0.5, np.float32)
MODULES = {"gunicorn": ("fastapi", "gunicorn", "uvicorn_worker"), "uvicorn": ("fastapi", "uvicorn")}


def scripts() -> dict[str, str]:
    """The page's Python, by the file name in the first line."""
    blocks = [block for block in code_blocks(PAGE, "python") if block.startswith("# ")]
    return {re.split("[ :]", block[2:].partition("\n")[0])[0]: block for block in blocks}


def command(program: str) -> tuple[list[str], dict[str, str]]:
    """The page's shell command of a program, for this interpreter; and its environment."""
    lines = [line for block in code_blocks(PAGE, "sh") for line in block.splitlines()]
    (words,) = (words for words in map(shlex.split, lines) if program in words[:4] and "&" not in words)
    at = words.index(program)
    start = [] if program == "python" else ["-m", program]
    settings = dict(word.split("=", 1) for word in words[:at])
    return [sys.executable, *start, *words[at + 1 :]], {**os.environ, **settings}


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """The page's files, but gunicorn's; and the model that its commands name."""
    for name, text in scripts().items():
        if name != CONFIGURATION:
            (tmp_path / name).write_text(text)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mlp").symlink_to(models / "mlp")
    return tmp_path


@pytest.fixture
def probs(models: Path) -> Array:
    with sm.load(models / "mlp", threads=1) as model:
        result: Array = model(X)["probs"]
    return result


@contextmanager
def running(folder: Path, words: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that SIGTERM ends, with its children."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env=env, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def served(folder: Path, program: str, words: list[str], env: dict[str, str]) -> Iterator[int]:
    """The port of a server that is ready."""
    port = free_port()
    at = [f"--bind=127.0.0.1:{port}"] if program == "gunicorn" else [f"--port={port}"]
    with running(folder, [*words, *at], env) as process:
        eventually(lambda: process.poll() is not None or answers(port, "/ready"), seconds=60)
        assert process.poll() is None, (folder / "log").read_text()
        yield port


def test_the_page_s_python_has_the_style_of_the_sources(folder: Path) -> None:
    pytest.importorskip("ruff", reason="no ruff")
    (folder / CONFIGURATION).write_text(scripts()[CONFIGURATION])
    names = [folder / name for name in scripts() if name != "watched.py"]  # a part of a module
    ruff = [sys.executable, "-m", "ruff"]
    for check in ["check"], ["format", "--diff"]:
        done = subprocess.run(
            [*ruff, *check, "--no-cache", f"--config={ROOT / 'pyproject.toml'}", *names],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_process_pool(folder: Path) -> None:
    words, env = command("python")
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "(8, 10)\n" * 10), done.stderr


def test_processes_forked_after_a_load_fail_as_the_page_says(folder: Path) -> None:
    program = scripts()["pool.py"].replace('"spawn"', '"fork"')
    load = '    sm.load("models/mlp").close()\n    context ='
    (folder / "pool.py").write_text(program.replace("    context =", load))
    words, env = command("python")
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    (expected,) = re.findall(
        r"^```\n(savedmodel\..*?)\n```", (ROOT / PAGE).read_text(), re.DOTALL | re.MULTILINE
    )
    assert expected.replace("\n", " ") in done.stderr


@pytest.mark.parametrize(
    "program", [pytest.param(name, marks=needs(*modules)) for name, modules in MODULES.items()]
)
def test_fastapi(folder: Path, program: str, probs: Array) -> None:
    with served(folder, program, *command(program)) as port:
        status, answer = post(port, "/predict", {"x": X.tolist()})
    assert status == 200
    np.testing.assert_allclose(answer["probs"], probs, rtol=1e-5)


@needs(*MODULES["gunicorn"])
def test_a_model_loaded_before_gunicorn_forks_serves_no_request(folder: Path) -> None:
    text = scripts()["service.py"].replace("app = FastAPI(lifespan=lifespan)", "app = FastAPI()")
    load = 'app.state.f = sm.load(os.environ["MODEL"]).signatures["serving_default"]\n'
    (folder / "service.py").write_text(text + load)
    words, env = command("gunicorn")
    assert "--preload" in words
    refused = pytest.raises(json.JSONDecodeError)  # of "Internal Server Error"
    with served(folder, "gunicorn", words, env) as port, refused:
        post(port, "/predict", {"x": X.tolist()})
    assert "FailedPreconditionError: this process was forked after" in (folder / "log").read_text()


@needs("fastapi", "uvicorn")
def test_fastapi_with_versions(folder: Path, models: Path, probs: Array) -> None:
    service, watched = scripts()["service.py"], scripts()["watched.py"]
    (text, replaced) = re.subn(r"^@asynccontextmanager\n.*?yield\n", watched, service, flags=re.DOTALL | re.M)
    assert replaced == 1
    (folder / "service.py").write_text(text)
    (folder / "versions").mkdir()
    (folder / "versions" / "1").symlink_to(models / "mlp")
    words, env = command("uvicorn")
    with served(folder, "uvicorn", words, {**env, "MODEL": "versions"}) as port:
        status, answer = post(port, "/predict", {"x": X.tolist()})
    assert status == 200
    np.testing.assert_allclose(answer["probs"], probs, rtol=1e-5)


@needs("gunicorn")
@pytest.mark.parametrize("preload", [[], ["--preload"]])
def test_wsgi(folder: Path, probs: Array, preload: list[str]) -> None:
    application = """
        import json

        import numpy as np
        import savedmodel as sm

        model = None

        def load():
            global model
            model = sm.load("models/mlp", threads=1, warmup=True)

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "application/json")])
            if environ["PATH_INFO"] == "/ready":
                return []
            x = np.asarray(json.load(environ["wsgi.input"]), np.float32)
            return [json.dumps(model(x)["probs"].tolist()).encode()]
    """
    (folder / "wsgi.py").write_text(textwrap.dedent(application))
    (folder / CONFIGURATION).write_text(scripts()[CONFIGURATION])
    words = [sys.executable, "-m", "gunicorn", "wsgi:app", "--workers=2", *preload]
    with served(folder, "gunicorn", words, {**os.environ}) as port:
        status, answer = post(port, "/predict", X.tolist())
    assert status == 200
    np.testing.assert_allclose(answer, probs, rtol=1e-5)


@needs("celery")
def test_celery(folder: Path, probs: Array) -> None:
    """With a broker of files in place of the page's."""
    for name in "queue", "control", "results":
        (folder / name).mkdir()
    files = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    settings = f"from tasks import app, predict\napp.conf.broker_transport_options = {files}\n"
    (folder / "files.py").write_text(settings)
    words, env = command("celery")
    env |= {"BROKER": "filesystem://", "RESULTS": f"file://{folder / 'results'}"}
    send = f"from files import predict; print(predict.delay({X.tolist()}).get(timeout=60))"
    with running(folder, [word.replace("tasks", "files") for word in words], env):
        done = subprocess.run(
            [sys.executable, "-c", send], cwd=folder, env=env, capture_output=True, text=True, timeout=90
        )
    assert done.returncode == 0, done.stderr + (folder / "log").read_text()
    np.testing.assert_allclose(np.array(json.loads(done.stdout)), probs, rtol=1e-5)


def test_memory(folder: Path) -> None:
    script = scripts()["memory.py"].replace("time.sleep(3)", "time.sleep(0)")
    done = subprocess.run(
        [sys.executable, "-c", script, "models/mlp", "cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    names = [line.partition(":")[0] for line in done.stdout.splitlines() if line]
    assert names[:4] == ["VmHWM", "Rss", "Private_Clean", "Private_Dirty"]
    assert any((folder / "cache").iterdir())
