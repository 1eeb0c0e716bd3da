"""`sm.bundle`: a folder that needs nothing that is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .commands import error, output
from .test_package import CONSUMER, clean_environment, cmake_build, need, run

PROGRAM = """
import sys
import numpy as np
import savedmodel as sm
with sm.load(sys.argv[1]) as model:
    np.save(sys.argv[2], model(np.ones((3, 64), np.float32))["probs"])
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"savedmodel", "numpy", "tensorflow"}))
print(sm.__file__)
"""


@pytest.fixture(scope="module")
def bundled(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was moved. Links, because the libraries are over a gigabyte."""
    folder = tmp_path_factory.mktemp("bundle")
    done = sm.bundle(models / "mlp", folder / "new" / "first", link=True)
    assert done.path == str(folder / "new" / "first")
    assert list(done.parts) == ["model", "savedmodel", "tensorflow", "numpy", "ml_dtypes"]
    assert done.size_bytes == sum(done.parts.values()) > done.parts["tensorflow"] > 5e8
    Path(done.path).rename(folder / "moved")
    assert [path.name for path in (folder / "new").iterdir()] == []
    return folder / "moved"


def test_python_runs_it_with_nothing_else(bundled: Path, models: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.npy"
    # -S: without site-packages.
    command: list[str | Path] = [sys.executable, "-S", "-c", PROGRAM, bundled / "model", result]
    done = subprocess.run(command, env={"PYTHONPATH": str(bundled / "site")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules, origin = done.stdout.splitlines()
    assert modules == "numpy savedmodel"
    assert Path(origin).is_relative_to(bundled)
    with sm.load(models / "mlp") as model:
        expected = model(np.ones((3, 64), np.float32))["probs"]
    np.testing.assert_array_equal(np.load(result), expected)


def test_a_program_runs_with_its_libraries(bundled: Path, models: Path, tmp_path: Path) -> None:
    need("cmake", "c++")
    directory = run([sys.executable, "-m", "savedmodel", "--cmake-dir"]).stdout.strip()
    cmake_build(CONSUMER, tmp_path, savedmodel_DIR=directory)
    env = clean_environment(LD_LIBRARY_PATH=str(bundled / "site" / "savedmodel" / "lib"), LD_DEBUG="files")
    done = run([tmp_path / "consumer", models / "add"], env)
    assert done.stdout == "z = 2 2 2\n"
    opened = [line for line in done.stderr.splitlines() if "libtensorflow_cc.so.2" in line]
    assert any(str(bundled) in line for line in opened)


def test_libraries_alone(models: Path, tmp_path: Path) -> None:
    text = output("bundle", models / "add", tmp_path / "b", "--cpp", "--link")
    assert text.startswith(f"<Bundle '{tmp_path / 'b'}'")
    site = tmp_path / "b" / "site"
    found = {path.relative_to(site).parts[0] for path in site.rglob("*.so*")}
    assert found == {"savedmodel", "tensorflow"}
    assert list((tmp_path / "b").rglob("*.py")) == []


def test_what_can_not_be_bundled(models: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(sm.AlreadyExistsError):
        sm.bundle(models / "add", tmp_path / "there")
    model = shutil.copytree(models / "add", tmp_path / "model")
    with pytest.raises(ValueError, match="lies inside its source"):
        sm.bundle(model, model / "bundle")
    with pytest.raises(sm.NotFoundError, match="no such directory"):
        sm.bundle(models / "none", tmp_path / "b")
    with pytest.raises(sm.NotFoundError, match="the package 'no_such_package' is not installed"):
        sm.bundle(models / "add", tmp_path / "b", packages=["no_such_package"], link=True)
    assert "leave out --cpp" in error("bundle", models / "add", tmp_path / "b", "--cpp", "--package", "click")
    assert {path.name for path in tmp_path.iterdir()} == {"there", "model"}
    assert not (model / "bundle").exists()
