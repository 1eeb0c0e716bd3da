"""The C++ package that is installed with the Python one, used as a C++ service would use it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

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


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None and not (tool == "c++" and "CXX" in os.environ):
            pytest.skip(f"no {tool}")


def cmake_build(source: Path, build: Path, **definitions: str) -> None:
    configure: list[str | Path] = ["cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release"]
    if shutil.which("ninja") is not None:
        configure += ["-G", "Ninja"]
    run(configure + [f"-D{name}={value}" for name, value in definitions.items()], clean_environment())
    run(["cmake", "--build", build], clean_environment())


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in tests/package, built against the installed package."""
    need("cmake", "c++")
    build = tmp_path_factory.mktemp("consumer")
    directory = str(ask_package("--cmake-dir"))
    cmake_build(CONSUMER, build, savedmodel_DIR=directory, CMAKE_EXPORT_COMPILE_COMMANDS="ON")
    return build / "consumer"


def code_blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def pkg_config(*arguments: str) -> list[str]:
    env = clean_environment(PKG_CONFIG_PATH=str(ask_package("--pkg-config-dir")))
    return run(["pkg-config", *arguments, "savedmodel"], env).stdout.split()


def compile_with_pkg_config(source: Path, target: Path, *arguments: str, extra: Sequence[str] = ()) -> None:
    need("pkg-config", "c++")
    compiler = os.environ.get("CXX", "c++")
    flags = pkg_config("--cflags", "--libs", *arguments)
    run([compiler, "-std=c++17", *extra, source, "-o", target, *flags], clean_environment())


def test_the_folders_that_the_package_names_are_there() -> None:
    assert (ask_package("--cmake-dir") / "savedmodelConfig.cmake").is_file()
    assert (ask_package("--include-dir") / "savedmodel" / "model.h").is_file()
    assert (ask_package("--library-dir") / "libsavedmodel.so").is_file()
    assert (ask_package("--pkg-config-dir") / "savedmodel.pc").is_file()


def test_installed_headers_are_those_of_the_sources() -> None:
    installed = ask_package("--include-dir") / "savedmodel"
    sources = ROOT / "cpp" / "include" / "savedmodel"
    assert {p.name for p in installed.iterdir()} == {p.name for p in sources.iterdir()}


def test_package_names_no_path_of_the_machine_that_built_it() -> None:
    configs = [*ask_package("--cmake-dir").glob("*.cmake"), ask_package("--pkg-config-dir") / "savedmodel.pc"]
    for path in configs:
        text = path.read_text()
        assert str(ROOT) not in text, path.name
        assert sys.prefix not in text, path.name


def test_the_version_stands_in_one_place() -> None:
    header = (ROOT / "cpp" / "include" / "savedmodel" / "version.h").read_text()
    numbers = re.findall(r"^#define SAVEDMODEL_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.MULTILINE)
    assert ".".join(numbers) == sm.__version__ == importlib.metadata.version("savedmodel")
    for name in ("pyproject.toml", "CMakeLists.txt"):
        assert sm.__version__ not in (ROOT / name).read_text(), name


def test_stub_says_what_the_extension_has() -> None:
    pytest.importorskip("mypy")
    run([sys.executable, "-m", "mypy.stubtest", "savedmodel._core"])


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


def test_readme_example_builds_and_runs(models: Path, tmp_path: Path) -> None:
    """Its program and its five lines of CMake, in a fresh folder, give Python's result."""
    need("cmake", "c++")
    (program,) = (block for block in code_blocks("README.md", "cpp") if "int main" in block)
    (cmake,) = code_blocks("README.md", "cmake")
    assert len(cmake.strip().splitlines()) == 5
    (tmp_path / "main.cc").write_text(program)
    (tmp_path / "CMakeLists.txt").write_text(cmake)
    (tmp_path / "models").symlink_to(models)
    cmake_build(tmp_path, tmp_path / "build", savedmodel_DIR=str(ask_package("--cmake-dir")))
    done = subprocess.run(
        [tmp_path / "build" / "my_service"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    with sm.load(models / "mlp") as model:
        (expected,) = model(np.full((1, 64), 0.5, np.float32)).values()
    assert float(done.stdout) == pytest.approx(expected.ravel()[0], rel=1e-4)
    assert done.stderr == ""


def test_readme_and_guide_show_the_same_package() -> None:
    assert code_blocks("docs/cpp.md", "cmake")[0] == code_blocks("README.md", "cmake")[0]


@pytest.mark.parametrize("sanitizer", ["", "address"])
def test_every_example_of_the_guide_runs(models: Path, tmp_path: Path, sanitizer: str) -> None:
    """Each as the body of a function that is given a model of its own, its function and an input."""
    blocks = code_blocks("docs/cpp.md", "cpp")
    assert len(blocks) > 5
    headers = ("chrono", "deque", "iostream", "savedmodel/savedmodel.h", "thread")
    includes = {f"#include <{header}>" for header in headers}
    text = ""
    for i, block in enumerate(blocks):
        lines = block.splitlines()
        includes.update(line for line in lines if line.startswith("#include"))
        body = "\n".join("" if line.startswith("#include") else line for line in lines)
        parameters = "[[maybe_unused]] savedmodel::Model model, [[maybe_unused]] savedmodel::Function f, "
        parameters += "[[maybe_unused]] savedmodel::Tensor x"
        text += f"void Example{i}({parameters}) {{ {{\n{body}\n}} }}\n"
    main = 'auto model = savedmodel::Model::Load("models/mlp");\n'
    main += "auto x = savedmodel::Tensor::Empty(savedmodel::DType::kFloat32, {1, 64});\n"
    main += "for (float& value : x.mutable_values<float>()) value = 0.5F;\n"
    for i in range(len(blocks)):
        main += f'std::cout << "example {i}" << std::endl;\n'
        main += 'model = savedmodel::Model::Load("models/mlp");\n'
        main += f'Example{i}(model, model.function("serving_default"), x);\n'
    source = tmp_path / "guide.cc"
    source.write_text("\n".join(sorted(includes)) + f"\n{text}int main() {{\n{main}}}\n")
    flags = [f"-fsanitize={sanitizer}", "-g"] if sanitizer else []
    compile_with_pkg_config(source, tmp_path / "guide", extra=flags)
    for name in "mlp", "strings":
        shutil.copytree(models / name, tmp_path / "models" / name)
    shutil.copytree(models / "mlp", tmp_path / "models" / "resnet" / "1")
    done = subprocess.run(
        [tmp_path / "guide"],
        cwd=tmp_path,
        env=clean_environment(ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=1"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ONE\nTWO\n" in done.stdout  # strings
    assert "1: in use" in done.stderr  # a version
    assert (tmp_path / "models" / "mlp_2" / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    "line",
    [
        "for (float v : f.Run({x})[0].values<float>()) (void)v;",
        "for (float v : f.Run({x}).at(0).values<float>()) (void)v;",
        'for (auto v : f.Run({{"x", x}}).at("y").strings()) (void)v;',
        'for (auto v : model.ReadVariable("v").strings()) (void)v;',
    ],
)
def test_a_view_of_a_temporary_does_not_compile(line: str, tmp_path: Path) -> None:
    need("pkg-config", "c++")
    compiler = os.environ.get("CXX", "c++")
    parameters = "savedmodel::Model model, savedmodel::Function f, savedmodel::Tensor x"
    source = tmp_path / "temporary.cc"
    source.write_text(f"#include <savedmodel/savedmodel.h>\nvoid F({parameters}) {{ {line} }}\n")
    command: list[str | Path] = [compiler, "-std=c++17", "-fsyntax-only", source, *pkg_config("--cflags")]
    done = run(command, clean_environment(), check=False)
    assert done.returncode != 0
    assert "deleted" in done.stderr


def test_pkg_config_builds_a_program(models: Path, tmp_path: Path) -> None:
    compile_with_pkg_config(CONSUMER / "main.cc", tmp_path / "program")
    done = run([tmp_path / "program", models / "add"], clean_environment())
    assert done.stdout == "z = 2 2 2\n"
    assert done.stderr == ""


def test_pkg_config_names_the_version() -> None:
    need("pkg-config")
    assert pkg_config("--modversion") == [sm.__version__]


def test_pkg_config_can_leave_out_the_run_path(models: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    compile_with_pkg_config(CONSUMER / "main.cc", program, "--define-variable=rpath=")
    assert run([program, models / "add"], clean_environment(), check=False).returncode != 0
    found = clean_environment(LD_LIBRARY_PATH=str(ask_package("--library-dir")))
    assert run([program, models / "add"], found).stdout == "z = 2 2 2\n"


@pytest.mark.parametrize(
    ("wanted", "accepted"),
    [("0.1", True), ("0.1.0", True), ("0.2", False), ("0.0", False), ("1.0", False), ("0.1.99", False)],
)
def test_find_package_checks_the_version(wanted: str, accepted: bool, tmp_path: Path) -> None:
    need("cmake", "c++")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\n"
        "project(version LANGUAGES CXX)\n"
        f"find_package(savedmodel {wanted} CONFIG QUIET)\n"
        'message(STATUS "found: ${savedmodel_FOUND}")\n'
    )
    directory = f"-Dsavedmodel_DIR={ask_package('--cmake-dir')}"
    done = run(["cmake", "-S", tmp_path, "-B", tmp_path / "build", directory], clean_environment())
    assert f"found: {int(accepted)}" in done.stdout
