"""The wheel, as a release has it: manylinux, and of use where there is no compiler."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import sysconfig
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from .test_package import CONSUMER, clean_environment, cmake_build, need, run

PROGRAM = """
import sys
import numpy as np
import savedmodel as sm
print(sm.__file__)
with sm.load(sys.argv[1]) as model:
    print(model(np.zeros((2, 64), np.float32))["probs"].shape)
"""


@pytest.fixture(scope="module")
def built() -> Path:
    """The wheel from which the package under test was installed."""
    origin = importlib.metadata.distribution("savedmodel").read_text("direct_url.json")
    path = Path(unquote(urlparse(json.loads(origin or '{"url": ""}')["url"]).path))
    if path.suffix != ".whl" or not path.exists():
        pytest.skip("the package was not installed from a wheel, as tests/run.sh does")
    return path


@pytest.fixture(scope="module")
def wheel(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as `cibuildwheel` leaves it: see pyproject.toml."""
    folder = tmp_path_factory.mktemp("wheel")
    auditwheel = Path(sys.executable).with_name("auditwheel")
    env = clean_environment(PATH=f"{auditwheel.parent}:/usr/bin:/bin")  # it needs patchelf
    run([auditwheel, "repair", "--exclude", "libtensorflow_*.so*", "-w", folder, built], env)
    (repaired,) = folder.iterdir()
    return repaired


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel. NumPy, TensorFlow and the command line's packages are ours."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", folder])
    python = folder / "bin" / "python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel])
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    ours = Path(sysconfig.get_path("purelib"))
    (site / "ours.pth").write_text(f"{ours}\n")
    (site / "tensorflow").symlink_to(ours / "tensorflow")  # beside the package, where pip puts it
    return python


def test_it_is_manylinux(wheel: Path) -> None:
    assert re.search(r"-manylinux_2_\d+_x86_64\.whl$", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not any("tensorflow_cc" in name or "tensorflow_framework" in name for name in names)
    assert not any(name.partition("/")[0].endswith(".libs") for name in names)


def test_it_runs_without_a_compiler(python: Path, models: Path, tmp_path: Path) -> None:
    bare = {"PATH": str(python.parent), "HOME": str(tmp_path)}
    origin, shape = run([python, "-c", PROGRAM, models / "mlp"], bare).stdout.splitlines()
    assert Path(origin).is_relative_to(python.parents[1])
    assert shape == "(2, 10)"
    shown = run([python.with_name("savedmodel"), "show", models / "mlp"], bare).stdout
    assert "serving_default" in shown


def test_a_program_is_built_against_it(python: Path, models: Path, tmp_path: Path) -> None:
    need("cmake", "c++")
    directory = run([python, "-m", "savedmodel", "--cmake-dir"], clean_environment()).stdout.strip()
    assert Path(directory).is_relative_to(python.parents[1])
    cmake_build(CONSUMER, tmp_path, savedmodel_DIR=directory)
    assert run([tmp_path / "consumer", models / "add"], clean_environment()).stdout == "z = 2 2 2\n"
