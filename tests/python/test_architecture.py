"""Who may include or import whom, how long a file may be, and what the built libraries show."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import savedmodel

ROOT = Path(__file__).resolve().parents[2]
CPP = ROOT / "cpp"
INCLUDE = CPP / "include"
BINDINGS = ROOT / "python" / "bindings"
PACKAGE = ROOT / "python" / "savedmodel"

HEADERS = sorted(INCLUDE.glob("savedmodel/*.h"))
CPP_SUFFIXES = {".h", ".cc", ".cpp"}
HEADER_LINES = 150
PUBLIC_LIBRARY = "libsavedmodel.so." + ".".join(savedmodel.__version__.split(".")[:2])
SOURCE_LINES = 450
STUB_LINES = 500

STANDARD = re.compile(r"<[a-z_0-9]+>")  # <vector>: C++ headers have no suffix
POSIX = re.compile(r"<[a-z_0-9/]+\.h>")  # <dlfcn.h>, <sys/stat.h>
PUBLIC = re.compile(r'["<]savedmodel/[a-z_]+\.h[">]')
TENSORFLOW = re.compile(r'"(tensorflow|absl|google/protobuf|(unsupported/)?Eigen)/.*"')

# What a folder may include beside the C++ standard library.
MAY_INCLUDE = {
    INCLUDE: [PUBLIC],
    CPP / "core": [PUBLIC, re.compile(r'"core/.*"'), POSIX],
    CPP / "isolation": [POSIX],
    CPP / "engine": [
        PUBLIC,
        re.compile(r'"core/engine\.h"'),
        re.compile(r'"engine/.*"'),
        TENSORFLOW,
        POSIX,  # threads/: futex, getrusage, affinity
    ],
    BINDINGS: [
        PUBLIC,
        re.compile(r"<pybind11/.*>"),
        re.compile(r"<(Python|structmember)\.h>"),
        re.compile(r'"[a-z_]+\.h"'),
        POSIX,
    ],
}

ENGINE = CPP / "engine"
# Which folders of the engine each one includes, from the bottom up: only what stands above it in this table.
ENGINE_INCLUDES: dict[str, set[str]] = {
    "base": set(),
    "threads": {"base"},
    "graph": {"base"},
    "kernels": {"threads"},
    "kernels/rnn": {"kernels", "threads"},
    "kernels/simd": {"kernels", "kernels/rnn"},
    "files": {"base", "graph"},
    "objects": {"base", "files", "graph"},
    "executor": {"base", "graph", "threads"},
    "ops": {"base", "graph", "kernels", "kernels/rnn", "threads"},
    "optimize/match": {"graph", "ops"},
    "optimize/passes": {"graph", "ops", "optimize/match"},
    "optimize/recurrent": {"graph", "kernels/rnn", "ops", "optimize/match"},
    "optimize": {
        "base",
        "graph",
        "kernels",
        "ops",
        "optimize/match",
        "optimize/passes",
        "optimize/recurrent",
    },
    "saved": {"base", "files", "graph"},
    "inspect": {"files", "graph", "objects"},
    "edit": {"base", "files", "graph", "objects"},
    "warmup": {"base"},
    "model": {
        "base",
        "executor",
        "files",
        "graph",
        "inspect",
        "objects",
        "ops",
        "optimize",
        "saved",
        "threads",
    },
    ".": {"base", "edit", "graph", "inspect", "model", "warmup"},
}
KNOWS_NO_TENSORFLOW = re.compile(
    r"kernels/.*|threads/(cpus|fork_join|fork_join_worker|governor|region|run_recorder|stop|wait)\..*"
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def sources(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes)


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+(["<][^">]+[">])', path.read_text(), re.MULTILINE)


def imports(path: Path, package: str = "savedmodel") -> Iterator[str]:
    """The full names of the modules that a file imports, wherever in it, by name or as a string."""
    yield from imports_of(ast.parse(path.read_text()), package)


def imports_of(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module or ""]).strip(".")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


def modules() -> list[tuple[str, Path]]:
    """The package's modules: dotted name of the package that each is in, and the file."""
    return [
        (".".join(path.parent.relative_to(PACKAGE.parent).parts), path)
        for path in sources(PACKAGE, {".py", ".pyi"})
    ]


def is_within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_public_header_compiles_alone(header: Path, tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = tmp_path / "alone.cc"
    source.write_text(f'#include "savedmodel/{header.name}"\n' * 2)
    command = [compiler, "-fsyntax-only", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    done = subprocess.run(
        [*command, "-I", str(INCLUDE), str(source)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", MAY_INCLUDE, ids=relative)
def test_include_rules(folder: Path) -> None:
    files = sources(folder, CPP_SUFFIXES)
    assert files
    wrong = [
        f"{relative(path)}: {name}"
        for path in files
        for name in includes(path)
        if not STANDARD.fullmatch(name)
        and not any(allowed.fullmatch(name) for allowed in MAY_INCLUDE[folder])
    ]
    assert wrong == []


def test_engine_folders_include_what_is_below_them() -> None:
    found: dict[str, set[str]] = {}
    for path in sources(ENGINE, CPP_SUFFIXES | {".inc"}):
        folder = str(path.parent.relative_to(ENGINE))
        names = [name.strip('"') for name in includes(path) if name.startswith('"engine/')]
        others = {str(Path(name).relative_to("engine").parent) for name in names}
        found.setdefault(folder, set()).update(others - {folder})
    assert found == ENGINE_INCLUDES
    below: set[str] = set()
    for folder, included in ENGINE_INCLUDES.items():
        assert included <= below, folder
        below.add(folder)


def test_kernels_know_no_tensorflow() -> None:
    wrong = [
        f"{relative(path)}: {name}"
        for path in sources(ENGINE, CPP_SUFFIXES | {".inc"})
        if KNOWS_NO_TENSORFLOW.fullmatch(str(path.relative_to(ENGINE)))
        for name in includes(path)
        if TENSORFLOW.fullmatch(name)
    ]
    assert wrong == []


def test_cpp_tests_mirror_the_sources() -> None:
    """tests/cpp/FOLDER/test_NAME.cc tests FOLDER/NAME, and test_NAME_TOPIC.cc a topic of it."""
    wrong = []
    for path in (ROOT / "tests" / "cpp").rglob("test_*.cc"):
        folder = path.parent.relative_to(ROOT / "tests" / "cpp")
        places = [CPP / folder] + [INCLUDE / "savedmodel"] * (str(folder) == "include")
        words = path.stem.removeprefix("test_").split("_")
        names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
        if not any((p / f"{name}{end}").is_file() for p in places for name in names for end in (".h", ".cc")):
            wrong.append(relative(path))
    assert wrong == []


DOCS = [*sorted({*ROOT.glob("*.md")} - {ROOT / "CHANGELOG.md"}), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", DOCS, ids=relative)
def test_docs_name_what_exists(page: Path) -> None:
    """Links lead to files and headings, and sources that are named are there."""
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
            assert heading in anchors, link
    kept = [CPP, ROOT / "python", ROOT / "tests", ROOT / "examples"]
    files = [str(path) for top in kept for path in top.rglob("*.*")]
    named = re.findall(r"`((?:[\w]+/)*[a-z_0-9]+\.(?:cc|cpp|h))`", text)
    assert [name for name in named if not any(path.endswith("/" + name) for path in files)] == []
    programs = re.findall(r"\b(?:tests|examples|benchmarks|cmake)/[\w/]+\.(?:py|sh)\b", text)
    assert [name for name in programs if not (ROOT / name).exists()] == []


def test_simd_sees_no_inline_functions() -> None:
    """Those compiled for one instruction set could become everybody's: the linker keeps one copy."""
    folder = CPP / "engine" / "kernels" / "simd"
    # Intrinsics are always inlined: no copy of one is left.
    shared = re.compile(r'"engine/kernels/simd/[a-z_]+\.inc"|<cstdint>|<immintrin\.h>')
    names = [
        "attention_kernels.h",
        "gemm_strip.h",
        "image_kernels.h",
        "isa_kernels.h",
        "rnn/routines.h",
        "vector_kernels.h",
        "winograd_kernels.h",
    ]
    tables = {f'"engine/kernels/{name}"' for name in names}
    for path in sources(folder, CPP_SUFFIXES | {".inc"}):
        rest = [name for name in includes(path) if not shared.fullmatch(name)]
        assert set(rest) <= tables, relative(path)
    for table in tables:
        path = CPP / table.strip('"')
        assert set(includes(path)) <= {"<cstdint>"}, relative(path)
        assert not re.search(r"^\s*(inline|template)\b", path.read_text(), re.MULTILINE), relative(path)


def test_every_native_folder_has_its_rule() -> None:
    files = [path for top in (CPP, ROOT / "python") for path in sources(top, CPP_SUFFIXES)]
    strays = [relative(p) for p in files if not any(folder in p.parents for folder in MAY_INCLUDE)]
    assert strays == []


def test_umbrella_header_includes_every_public_header() -> None:
    included = includes(INCLUDE / "savedmodel" / "savedmodel.h")
    expected = {f'"savedmodel/{path.name}"' for path in HEADERS}
    assert expected - set(included) - {'"savedmodel/export.h"'} == {'"savedmodel/savedmodel.h"'}


def test_only_numpy_files_include_pybind11_numpy() -> None:
    users = {p.name for p in sources(BINDINGS, CPP_SUFFIXES) if "<pybind11/numpy.h>" in includes(p)}
    assert users <= {"numpy.h", "numpy.cpp", "out.cpp"}


def test_only_tensor_and_status_files_convert() -> None:
    """One place each for what crosses the boundary: tensors, and errors."""
    engine = {p.name: p.read_text() for p in sources(CPP / "engine", CPP_SUFFIXES)}
    assert {n for n, text in engine.items() if "Tensor::Result(" in text} == {"tensors.cc"}
    bindings = {p.name: p.read_text() for p in sources(BINDINGS, CPP_SUFFIXES)}
    translators = {n for n, text in bindings.items() if "register_exception_translator" in text}
    assert translators == {"errors.cpp"}


def test_python_folders_have_no_circle() -> None:
    """Imports at the top of modules count; `savedmodel` itself imports its folders on first use."""
    folders = {package for package, _ in modules()}
    below: dict[str, set[str]] = {folder: set() for folder in folders}
    for package, path in modules():
        top = ast.parse(path.read_text())
        top.body = [node for node in top.body if isinstance(node, ast.Import | ast.ImportFrom)]
        for name in imports_of(top, package):
            parts = name.split(".")
            found = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
            known = [folder for folder in found if folder in folders]
            if known and known[-1] != package:
                below[package].add(known[-1])
    while below:
        free = {folder for folder, others in below.items() if not others & below.keys()}
        assert free, f"a circle among {sorted(below)}"
        below = {folder: others for folder, others in below.items() if folder not in free}


def test_nothing_imports_tensorflow() -> None:
    """But what makes SavedModels, and what measurements compare with, in a process of its own."""
    wrong = [
        f"{relative(path)}: {name}"
        for package, path in modules()
        if path != PACKAGE / "_bench" / "runtime_tensorflow.py"
        and not is_within(package, "savedmodel.export")
        for name in imports(path, package)
        if is_within(name, "tensorflow", "keras", "tf_keras")
    ]
    assert wrong == []


def test_nothing_imports_export_before_it_is_asked_for() -> None:
    """The attribute `sm.export` imports it, and it imports TensorFlow when a function of it is called."""
    wrong = [
        f"{relative(path)}: {name}"
        for package, path in modules()
        if not is_within(package, "savedmodel.export")
        for name in imports(path, package)
        if is_within(name, "savedmodel.export") and path != PACKAGE / "__init__.py"
    ]
    assert wrong == []
    heavy = [
        f"{relative(path)}: {name}"
        for path in sources(PACKAGE / "export", {".py"})
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if is_within(name, "tensorflow", "keras", "tf_keras", "h5py", "google")
    ]
    assert heavy == []


def test_nothing_imports_the_cli() -> None:
    wrong = [
        f"{relative(path)}: {name}"
        for package, path in modules()
        if not (path.stem == "__main__" or is_within(package, "savedmodel.cli"))
        for name in imports(path, package)
        if is_within(name, "savedmodel.cli")
    ]
    assert wrong == []


# Modules below the package, which know files and processes only.
BELOW = ("savedmodel._process", "savedmodel._rename")
# Clients of the public API, and what they use of the package's own beside it.
CLIENTS = {
    "savedmodel.cli": ("savedmodel._bench", "savedmodel._callees", "savedmodel._process"),
    "savedmodel.export": ("savedmodel._staging",),
    "savedmodel._bench": ("savedmodel._bench", "savedmodel._process"),
}


@pytest.mark.parametrize("module", BELOW)
def test_what_is_below_the_package_imports_nothing_of_it(module: str) -> None:
    path = PACKAGE / f"{module.rpartition('.')[2]}.py"
    assert not any(is_within(name, "savedmodel") for name in imports(path))


def is_client(package: str, path: Path) -> bool:
    """A module whose name, or folder, has no underscore, and `_bench`: as any program is."""
    if is_within(package, "savedmodel._bench"):
        return True
    return not package.startswith("savedmodel._") and (package != "savedmodel" or path.stem[0] != "_")


def test_cli_and_integrations_use_the_public_api() -> None:
    wrong = [
        f"{relative(path)}: {name}"
        for package, path in modules()
        if is_client(package, path)
        for name in imports(path, package)
        if name.startswith("savedmodel._") and not name.startswith("savedmodel.__")
        if not any(is_within(package, client) and is_within(name, *own) for client, own in CLIENTS.items())
    ]
    assert wrong == []


def test_the_package_needs_no_benchmarks() -> None:
    users = {
        package
        for package, path in modules()
        if any(is_within(name, "savedmodel._bench") for name in imports(path, package))
    }
    assert users == {"savedmodel._bench", "savedmodel.cli"}


def test_child_processes_are_started_in_one_place() -> None:
    """Those that are asked and answer; `runtime_onnx` runs a command of tf2onnx, and waits for its end."""
    users = {relative(path) for package, path in modules() if "subprocess" in imports(path, package)}
    names = ["_process.py", "_bench/runtime_onnx.py"]
    assert users == {relative(PACKAGE / name) for name in names}


def test_importing_the_package_opens_no_tensorflow() -> None:
    code = """
        import sys, savedmodel
        assert not {"tensorflow", "keras", "savedmodel.export"} & set(sys.modules)
        assert "keras" in savedmodel.export.__all__
        assert not {"tensorflow", "keras", "h5py", "google.protobuf"} & set(sys.modules)
        assert "libtensorflow" not in open("/proc/self/maps").read()
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_public_headers_are_short() -> None:
    long = {relative(path): lines(path) for path in HEADERS if lines(path) >= HEADER_LINES}
    assert long == {}


def test_sources_are_short() -> None:
    files = [*sources(CPP, CPP_SUFFIXES), *sources(ROOT / "python", CPP_SUFFIXES | {".py"})]
    long = {relative(path): lines(path) for path in files if lines(path) > SOURCE_LINES}
    # A stub can't be split.
    stubs = {relative(path): lines(path) for path in sources(ROOT / "python", {".pyi"})}
    assert {path: count for path, count in stubs.items() if count > STUB_LINES} | long == {}


def test_module_file_is_a_list_of_calls() -> None:
    text = (BINDINGS / "module.cpp").read_text()
    assert text.count("\n") < 50
    assert "py::class_" not in text
    assert ".def(" not in text


def installed_library(name: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "savedmodel", "--library-dir"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    path = Path(done.stdout.strip()) / name
    assert path.is_file()
    return path


def output_of(tool: str, *arguments: str) -> str:
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool}")
    done = subprocess.run(
        [tool, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.stdout


def dynamic(library: Path, tag: str) -> list[str]:
    return re.findall(rf"\({tag}\).*\[(.*)\]", output_of("readelf", "-dW", str(library)))


def exports(library: Path) -> list[str]:
    table = output_of("nm", "-DC", "--defined-only", str(library))
    return re.findall(r"^[0-9a-f]+ \w (.*)$", table, re.MULTILINE)


def test_public_library_does_not_link_tensorflow() -> None:
    needed = dynamic(installed_library(PUBLIC_LIBRARY), "NEEDED")
    assert [name for name in needed if "tensorflow" in name] == []


def test_public_library_exports_its_own_symbols_only() -> None:
    """The weak ones, too: templates of the standard library would be taken from here, or from elsewhere."""
    symbols = exports(installed_library(PUBLIC_LIBRARY))
    assert any(name.startswith("savedmodel::Model::Load(") for name in symbols)
    assert "typeinfo for savedmodel::Error" in symbols
    ours = re.compile(r"((typeinfo|typeinfo name|vtable) for )?savedmodel::(?!internal::)")
    assert [name for name in symbols if not ours.match(name)] == []


def test_public_library_names_its_version() -> None:
    (name,) = dynamic(installed_library(PUBLIC_LIBRARY), "SONAME")
    assert name == PUBLIC_LIBRARY
    assert PUBLIC_LIBRARY in dynamic(installed_library("libsavedmodel_tensorflow.so"), "NEEDED")


def test_engine_links_the_kernels() -> None:
    """Nothing refers to them, so a linker that drops what is not needed would."""
    needed = dynamic(installed_library("libsavedmodel_tensorflow.so"), "NEEDED")
    assert "libtensorflow_cc.so.2" in needed
    assert "libtensorflow_framework.so.2" in needed


def test_engine_exports_its_door_only() -> None:
    symbols = exports(installed_library("libsavedmodel_tensorflow.so"))
    assert symbols == ["savedmodel_open_engine"]


@pytest.mark.parametrize("name", [PUBLIC_LIBRARY, "libsavedmodel_tensorflow.so"])
def test_run_paths_are_relative(name: str) -> None:
    library = installed_library(name)
    paths = dynamic(library, "RUNPATH") + dynamic(library, "RPATH")
    assert paths
    assert [p for path in paths for p in path.split(":") if not p.startswith("$ORIGIN")] == []


def test_extension_finds_the_library_by_a_relative_path() -> None:
    (extension,) = installed_library(PUBLIC_LIBRARY).parents[1].glob("_core*.so")
    assert PUBLIC_LIBRARY in dynamic(extension, "NEEDED")
    paths = ":".join(dynamic(extension, "RUNPATH") + dynamic(extension, "RPATH")).split(":")
    assert paths == [p for p in paths if p.startswith("$ORIGIN")]
    assert [name for name in dynamic(extension, "NEEDED") if "tensorflow" in name] == []
