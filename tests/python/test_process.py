"""What a process as a whole must survive: forks, exits, other libraries, a clean stderr."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from .helpers import run_python

MLP = """
import numpy as np
def ours():
    import savedmodel as sm
    return sm.load({path!r})(np.ones((1, 64), np.float32))["probs"]
"""


def snippet(models: Path, body: str) -> str:
    return MLP.format(path=str(models / "mlp")) + body


def test_nothing_is_written_to_stderr(models: Path) -> None:
    inspect = f"import savedmodel as sm; sm.inspect({str(models / 'mlp')!r})"
    code = snippet(models, f"print(ours().shape)\n{inspect}")
    assert run_python(code) == ("(1, 10)\n", "")


def test_nothing_is_added_to_stderr_where_tensorflow_was_first(models: Path) -> None:
    def said(code: str) -> set[str]:
        return {line.split("] ", 1)[-1] for line in run_python(code)[1].splitlines() if line.strip()}

    alone, ours = "import tensorflow\n", snippet(models, "import tensorflow\nours()")
    assert said(ours) <= said(alone)


def test_log_messages_reach_python_logging(models: Path) -> None:
    code = """
        import logging
        logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    """
    _, stderr = run_python(
        "import textwrap\n"
        + "\n".join(line.strip() for line in code.splitlines())
        + snippet(models, "ours()")
    )
    assert "savedmodel.tensorflow" in stderr
    assert "Restoring SavedModel bundle" in stderr


def test_log_level_of_the_user_is_respected(models: Path) -> None:
    _, stderr = run_python(snippet(models, "ours()"), TF_CPP_MIN_LOG_LEVEL="0")
    assert "Restoring SavedModel bundle" in stderr
    for level in "1", "2", "3":
        _, stderr = run_python(snippet(models, "ours()"), TF_CPP_MIN_LOG_LEVEL=level)
        assert not any(line.startswith("I0") for line in stderr.splitlines()), stderr
    assert stderr == ""


def test_tensorflow_is_never_imported(models: Path) -> None:
    code = snippet(models, "ours()\nimport sys; print('tensorflow' in sys.modules)")
    assert run_python(code)[0] == "False\n"


@pytest.mark.parametrize("first", ["", "import savedmodel\n"])
def test_a_sub_interpreter_is_told(first: str) -> None:
    code = """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        code = "try:\\n import savedmodel\\nexcept ImportError as e: print(e, flush=True)"
        interpreters.run_string(interpreters.create(), code)
    """
    stdout, _ = run_python(first + textwrap.dedent(code))
    assert "savedmodel can't be imported in a sub-interpreter" in stdout


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_tensorflow_in_the_same_process(models: Path, first: str) -> None:
    calls = ["ours()", "theirs()"] if first == "ours" else ["theirs()", "ours()"]
    body = f"""
import os
def theirs():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    f = tf.saved_model.load({str(models / "mlp")!r}).signatures["serving_default"]
    return f(x=tf.ones((1, 64)))["probs"].numpy()
a, b = {calls[0]}, {calls[1]}
c, d = {calls[0]}, {calls[1]}
assert np.array_equal(a, c) and np.array_equal(b, d) and np.allclose(a, b, rtol=1e-5, atol=0)
"""
    run_python(snippet(models, body))


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("module", ["torch", "onnxruntime", "pyarrow", "grpc"])
def test_other_native_libraries(models: Path, module: str, order: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    use = {
        "torch": "import torch; assert float((torch.ones(8, 8) @ torch.ones(8, 8))[0, 0]) == 8",
        "onnxruntime": "import onnxruntime; assert onnxruntime.get_available_providers()",
        "pyarrow": "import pyarrow as pa; assert pa.array([1, 2, 3]).to_numpy().sum() == 6",
        "grpc": "import grpc; grpc.insecure_channel('localhost:1').close()",
    }[module]
    lines = [use, "assert ours().shape == (1, 10)"]
    if order == "after":
        lines.reverse()
    run_python(snippet(models, "\n".join([*lines, *lines])))


FORK = """
import os, sys
import savedmodel as sm
{parent}
pid = os.fork()
if pid == 0:
    {child}
    sys.exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert status == 7, status
assert ours().shape == (1, 10)
"""


def test_a_forked_child_is_told(models: Path) -> None:
    child = """
    for call in (lambda: model(np.ones((1, 64), np.float32)), ours, lambda: model.variables["w0"]):
        try:
            call()
        except sm.FailedPreconditionError as error:
            assert "fork" in str(error) and "spawn" in str(error)
        else:
            os._exit(1)
    model.close()
    """
    path = str(models / "mlp")
    run_python(snippet(models, FORK.format(parent=f"model = sm.load({path!r})", child=child)))


def test_a_child_forked_before_the_load_works(models: Path) -> None:
    run_python(snippet(models, FORK.format(parent="", child="assert ours().shape == (1, 10)")))


def test_a_child_forked_after_an_inspection_works(models: Path) -> None:
    inspect = f"sm.inspect({str(models / 'mlp')!r})"
    run_python(snippet(models, FORK.format(parent=inspect, child="assert ours().shape == (1, 10)")))


def test_multiprocessing_spawn(models: Path, tmp_path: Path) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(
        f"""
import multiprocessing, pickle
import numpy as np
import savedmodel as sm

def work(model):
    return model(np.ones((1, 64), np.float32))["probs"]

if __name__ == "__main__":
    model = sm.load({str(models / "mlp")!r}, threads=1)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(work, [model, model])
    assert all(np.array_equal(work(model), result) for result in results)
"""
    )
    run_python(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")


EXIT = """
import threading, time, sys, os
import numpy as np, savedmodel as sm
model = sm.load({path!r})
started = threading.Event()
def work():
    started.set()
    while True:
        model(np.int32({steps}))
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads: thread.start()
started.wait()
time.sleep(0.2)
{end}
"""


@pytest.mark.parametrize("steps", [10, 2_000_000_000])
@pytest.mark.parametrize("end", ["", "sys.exit(0)"])
def test_exit_with_runs_in_flight(models: Path, steps: int, end: str) -> None:
    code = EXIT.format(path=str(models / "slow"), steps=steps, end=end)
    assert run_python(code) == ("", "")


def test_exit_with_models_loaded(models: Path) -> None:
    code = f"""
import savedmodel as sm
models = [sm.load({str(models / "mlp")!r}) for _ in range(3)]
closed = sm.load({str(models / "add")!r}); closed.close()
f = models[0].signatures["serving_default"]
v = models[0].variables["w0"]
"""
    assert run_python(code) == ("", "")


def test_import_alone_opens_nothing() -> None:
    code = """
        import savedmodel as sm
        maps = open("/proc/self/maps").read()
        assert "libtensorflow" not in maps
        assert sm._core.tensorflow_version() == ""
    """
    run_python(code)


def test_missing_tensorflow_is_one_clear_error(tmp_path: Path, models: Path) -> None:
    path = str(models / "mlp")
    code = f"""
import savedmodel as sm
for call in sm.load, sm.inspect:
    try:
        call({path!r})
    except sm.FailedPreconditionError as error:
        print(error)
"""
    stdout, _ = run_python(code, SAVEDMODEL_TENSORFLOW_DIR=str(tmp_path))
    assert stdout.count(str(tmp_path)) == 2


def test_wrong_tensorflow_names_both_versions(tmp_path: Path, models: Path) -> None:
    """A stand-in for another version: two libraries that open and answer TF_Version()."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "fake.c"
    source.write_text('const char* TF_Version(void) { return "2.19.1"; }\n')
    for name in "libtensorflow_framework.so.2", "libtensorflow_cc.so.2":
        command = [
            compiler,
            "-shared",
            "-fPIC",
            f"-Wl,-soname,fake-{name}",
            "-o",
            str(tmp_path / name),
            str(source),
        ]
        subprocess.run(command, check=True)
    path = str(models / "mlp")
    code = f"""
import savedmodel as sm
try:
    sm.load({path!r})
except sm.FailedPreconditionError as error:
    print(error)
"""
    stdout, _ = run_python(code, SAVEDMODEL_TENSORFLOW_DIR=str(tmp_path))
    assert "2.21" in stdout
    assert "2.19.1" in stdout
    assert "pip install 'tensorflow==2.21.*'" in stdout


PAGES = """
import numpy as np
import savedmodel as sm

def resident():
    total, ours = 0, False
    for line in open("/proc/self/smaps"):
        if "-" in line.split()[0]:
            ours = "libtensorflow" in line and "w" not in line.split()[1]
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total

model = sm.load({path!r})
x = np.ones((1, 64), np.float32)
first = model(x)["probs"].copy()
print(resident())
print(np.array_equal(first, model(x)["probs"]), sm.load({path!r})(x)["probs"].shape)
"""


def test_pages_of_tensorflow_that_no_call_needs_are_dropped(models: Path) -> None:
    code = PAGES.format(path=str(models / "mlp"))
    dropped, says = run_python(code)[0].splitlines()
    kept, also = run_python(code, SAVEDMODEL_KEEP_PAGES="1")[0].splitlines()
    assert says == also == "True (1, 10)"
    assert int(dropped) < int(kept) / 2


def test_no_gpu_is_no_error(models: Path) -> None:
    """TensorFlow's wheel looks for one at the first load."""
    code = f"""
        import logging, sys
        import savedmodel as sm
        logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(levelname)s %(message)s")
        sm.load({str(models / "add")!r}).close()
    """
    assert run_python(code, CUDA_VISIBLE_DEVICES="-1") == ("", "")
