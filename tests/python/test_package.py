"""The CMake package that is installed with the Python one, used as a C++ service would use it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSUMER = ROOT / "tests" / "package"


def run(
    command: list[str | Path], env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    if check:
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def ask_package(option: str) -> Path:
    return Path(run([sys.executable, "-m", "savedmodel", option]).stdout.strip())


def clean_environment(**changes: str) -> dict[str, str]:
    """Ours, less what could help a program to find headers or libraries, or change what it logs."""
    hidden = {"LD_LIBRARY_PATH", "LD_PRELOAD", "SAVEDMODEL_TENSORFLOW_DIR", "PYTHONPATH"}
    hidden |= {"TF_CPP_MIN_LOG_LEVEL", "CPATH", "CPLUS_INCLUDE_PATH", "CXXFLAGS"}
    return {k: v for k, v in os.environ.items() if k not in hidden} | changes


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in tests/package, built against the installed package."""
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    if shutil.which("c++") is None and "CXX" not in os.environ:
        pytest.skip("no C++ compiler")
    build = tmp_path_factory.mktemp("consumer")
    configure: list[str | Path] = ["cmake", "-S", CONSUMER, "-B", build]
    if shutil.which("ninja") is not None:
        configure += ["-G", "Ninja"]
    configure += [f"-Dsavedmodel_DIR={ask_package('--cmake-dir')}", "-DCMAKE_BUILD_TYPE=Release"]
    configure += ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    run(configure, clean_environment())
    run(["cmake", "--build", build], clean_environment())
    return build / "consumer"


def test_the_folders_that_the_package_names_are_there() -> None:
    assert (ask_package("--cmake-dir") / "savedmodelConfig.cmake").is_file()
    assert (ask_package("--include-dir") / "savedmodel" / "model.h").is_file()
    assert (ask_package("--library-dir") / "libsavedmodel.so").is_file()


def test_installed_headers_are_those_of_the_sources() -> None:
    installed = ask_package("--include-dir") / "savedmodel"
    sources = ROOT / "cpp" / "include" / "savedmodel"
    assert {p.name for p in installed.iterdir()} == {p.name for p in sources.iterdir()}


def test_package_names_no_path_of_the_machine_that_built_it() -> None:
    for path in ask_package("--cmake-dir").glob("*.cmake"):
        text = path.read_text()
        assert str(ROOT) not in text, path.name
        assert sys.prefix not in text, path.name


def test_build_sees_no_tensorflow(consumer: Path) -> None:
    commands = (consumer.parent / "compile_commands.json").read_text()
    assert "savedmodel/include" in commands
    assert "tensorflow" not in commands


def test_program_runs_a_model(consumer: Path, models: Path) -> None:
    done = run([consumer, models / "add"], clean_environment())
    assert done.stdout == "z = 2 2 2\n"
    assert done.stderr == ""


def test_program_runs_from_another_folder(consumer: Path, models: Path, tmp_path: Path) -> None:
    copy = tmp_path / "program"
    shutil.copy(consumer, copy)
    done = subprocess.run(
        [copy, models / "add"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "z = 2 2 2\n"


def test_program_uses_the_tensorflow_that_the_environment_names(
    consumer: Path, models: Path, tmp_path: Path
) -> None:
    wrong = clean_environment(SAVEDMODEL_TENSORFLOW_DIR=str(tmp_path))
    done = run([consumer, models / "add"], wrong, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("FAILED_PRECONDITION: SAVEDMODEL_TENSORFLOW_DIR is ")
    assert str(tmp_path) in done.stdout


def test_tensorflow_is_found_beside_a_moved_package(consumer: Path, models: Path, tmp_path: Path) -> None:
    """site-packages elsewhere: `savedmodel` and `tensorflow` side by side are enough."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        pytest.skip("no tensorflow in this environment")
    library = ask_package("--library-dir")
    moved = tmp_path / "site" / "savedmodel" / "lib"
    shutil.copytree(library, moved)
    beside = tmp_path / "site" / "tensorflow"
    beside.symlink_to(Path(spec.origin).parent)
    env = clean_environment(LD_LIBRARY_PATH=str(moved), LD_DEBUG="files")
    done = run([consumer, models / "add"], env)
    assert done.stdout == "z = 2 2 2\n"
    opened = [line for line in done.stderr.splitlines() if "libtensorflow_cc.so.2" in line]
    assert any(str(tmp_path / "site") in line for line in opened)


def test_errors_come_as_codes(consumer: Path, tmp_path: Path) -> None:
    done = run([consumer, tmp_path / "no_such_model"], clean_environment(), check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("NOT_FOUND: no such directory")
