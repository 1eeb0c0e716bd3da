"""The paths that are compared: what each is, and how its child process is started."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from .convert import ir_file, onnx_file, optimized_folder
from .models import InputFile, ModelSpec

HERE = Path(__file__).resolve().parent
REFERENCE = "savedmodel"


FILES: dict[str, Callable[[ModelSpec], Path]] = {
    "SavedModel": lambda model: model.saved_model,
    "ONNX": onnx_file,
    "IR": ir_file,
    "optimized SavedModel": optimized_folder,
}


@dataclass(frozen=True)
class PathSpec:
    """One way to call a model. `needs` is the Python package that it imports or builds against."""

    name: str
    about: str
    needs: str
    precision: str = "float32"
    opens: str = "SavedModel"  # or a key of FILES: what a converter makes of it


PATHS: dict[str, PathSpec] = {
    spec.name: spec
    for spec in (
        PathSpec("tf2", "tf.saved_model.load, signature call", "tensorflow"),
        PathSpec("session_run", "tf.compat.v1 Session.run", "tensorflow"),
        PathSpec("make_callable", "Session.make_callable", "tensorflow"),
        PathSpec("savedmodel", "savedmodel, f(x=...)", "savedmodel"),
        PathSpec("savedmodel_out", "savedmodel, f.run(..., out=...)", "savedmodel"),
        PathSpec("savedmodel_unaligned", "savedmodel, misaligned input", "savedmodel"),
        PathSpec("cpp_floor", "C++ Session::RunCallable", "tensorflow"),
    )
}

# Those of `python -m benchmarks peers`. NAME_bf16 is NAME where it may compute in bfloat16, NAME_int8 in
# int8.
PEER_PATHS: dict[str, PathSpec] = {
    spec.name: spec
    for spec in (
        PATHS["tf2"],
        PathSpec("savedmodel_none", "savedmodel, optimize='none'", "savedmodel"),
        PATHS["savedmodel"],
        PathSpec("ort", "ONNX Runtime, through tf2onnx", "onnxruntime", opens="ONNX"),
        PathSpec("openvino", "OpenVINO on the SavedModel", "openvino"),
        PathSpec("tf2_bf16", "tf2, auto_mixed_precision_onednn_bfloat16", "tensorflow", "bf16"),
        PathSpec("savedmodel_bf16", "savedmodel, optimize='bf16'", "savedmodel", "bf16"),
        PathSpec("savedmodel_int8", "savedmodel, optimize='int8'", "savedmodel", "int8"),
        PathSpec("ort_bf16", "ONNX Runtime", "onnxruntime", "bf16", "ONNX"),
        PathSpec("openvino_bf16", "OpenVINO, INFERENCE_PRECISION_HINT=bf16", "openvino", "bf16"),
    )
}
# Only started, not timed further: they compute what `savedmodel` and `openvino` do.
START_PATHS = {
    "savedmodel_saved": PathSpec(
        "savedmodel_saved", "savedmodel, after save_optimized", "savedmodel", opens="optimized SavedModel"
    ),
    "openvino_ir": PathSpec("openvino_ir", "OpenVINO on its own IR", "openvino", opens="IR"),
}
# Only in `benchmarks.contention`.
POOL_PATHS = {
    "savedmodel_shared": PathSpec("savedmodel_shared", "savedmodel on TensorFlow's own pool", "savedmodel")
}
ALL_PATHS = {**PATHS, **PEER_PATHS, **START_PATHS, **POOL_PATHS}


@dataclass(frozen=True)
class Case:
    """One model at one batch size."""

    model: ModelSpec
    batch: int

    @property
    def label(self) -> str:
        return f"{self.model.name}, batch {self.batch}"


def tensorflow_dir() -> Path | None:
    """The folder of the tensorflow package, found without importing it."""
    spec = find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


@cache
def cpu_flags() -> frozenset[str]:
    """The instruction sets that Linux lists; none where it does not."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in text.splitlines() if line.startswith("flags")), "").split())


def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def build_program(name: str, *definitions: str) -> tuple[Path | None, str]:
    """Build the C++ program of a folder on demand. Returns it and "", or None and why there is none."""
    folder = tensorflow_dir()
    if folder is None:
        return None, "tensorflow is not installed"
    if shutil.which("cmake") is None:
        return None, "there is no cmake"
    if not os.environ.get("CXX") and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return None, "there is no C++ compiler"
    key = hashlib.sha256(f"{folder} {package_version('tensorflow')}".encode()).hexdigest()[:12]
    build = HERE / ".build" / f"{name}-{key}"
    configure = ["cmake", "-S", str(HERE / name), "-B", str(build)]
    for step in (
        [*configure, f"-DTENSORFLOW_DIR={folder}", "-DCMAKE_BUILD_TYPE=Release", *definitions],
        ["cmake", "--build", str(build)],
    ):
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode != 0:
            log = build.with_suffix(".log")
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(done.stdout + done.stderr)
            return None, f"the build failed, see {os.path.relpath(log)}"
    return build / name, ""


def build_floor() -> tuple[Path | None, str]:
    return build_program("cpp_floor")


def unavailable(name: str) -> str | None:
    """Why a path cannot be tried at all, or None. A child may still fail later, and say why."""
    spec = ALL_PATHS[name]
    if find_spec(spec.needs) is None:
        return f"{spec.needs} is not installed"
    if name == "ort_bf16":
        return "it has no setting that computes a float32 model in bfloat16 on x86"
    if spec.precision == "bf16" and not cpu_flags() & {"avx512_bf16", "amx_bf16", "avx_ne_convert"}:
        return "this CPU has no bfloat16 instructions"
    if name == "cpp_floor":
        program, reason = build_floor()
        return None if program else reason
    return None


def child_command(name: str, model: ModelSpec, threads: int, inputs: Sequence[InputFile]) -> list[str]:
    """The command line of the child process that times one path."""
    if name == "cpp_floor":
        program, reason = build_floor()
        if program is None:
            raise RuntimeError(reason)
        start = [str(program)]
    else:
        start = [sys.executable, "-m", "benchmarks.child", name]
    file = FILES[ALL_PATHS[name].opens](model)
    settings = ["--model", str(file), "--threads", str(threads)]
    return [*start, *settings, *(word for item in inputs for word in item.arguments())]
