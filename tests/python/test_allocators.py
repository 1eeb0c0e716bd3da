"""Any allocator, preloaded, linked or the service's own; its sanitizers; its gRPC in the same process."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from .helpers import run_python
from .test_package import CONSUMER, ask_package, clean_environment, need, pkg_config, run

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
# libtcmalloc (not the minimal one) brings an unwinder of its own along.
PRELOADED = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libmimalloc.so.2.0"]

USE = """
import threading
import numpy as np
import savedmodel as sm
x = np.ones((1, 64), np.float32)
for level in ("default", "none"):
    model = sm.load({path!r}, optimize=level, threads=2)
    first = model(x)["probs"]
    threads = [threading.Thread(target=lambda: [model(x) for _ in range(10)]) for _ in range(3)]
    [t.start() for t in threads]; [t.join() for t in threads]
    try:
        model(np.ones((2, 3), np.float32))
    except ValueError:
        print("refused")
    sm.inspect({path!r})
    list(model.variables.values())
    model.close()
try:
    sm.load({path!r} + "/nothing")
except sm.NotFoundError:
    print("not found", first.shape)
"""

VARIANTS = {
    "plain": [],
    "replaced operator new": ["-DREPLACE_NEW"],
    "linked jemalloc": ["-Wl,--no-as-needed", "-l:libjemalloc.so.2"],
    "address": ["-fsanitize=address"],
    # protobuf's messages have other members where it knows of ThreadSanitizer; Debian's library does not.
    "thread": ["-fsanitize=thread", "-U__SANITIZE_THREAD__", "-Wno-tsan"],
}
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1",
    # Neither TensorFlow nor Debian's gRPC is instrumented: what they do among themselves is not to be judged.
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1",
}


@pytest.mark.parametrize("name", PRELOADED)
def test_preloaded(models: Path, name: str) -> None:
    library = LIBRARIES / name
    if not library.exists():
        pytest.skip(f"no {name}")
    stdout, stderr = run_python(USE.format(path=str(models / "mlp")), LD_PRELOAD=str(library))
    assert stdout == "refused\nrefused\nnot found (1, 10)\n"
    assert stderr == ""


@pytest.mark.parametrize("variant", VARIANTS)
def test_service_with_grpc(models: Path, tmp_path: Path, variant: str) -> None:
    need("pkg-config", "c++")
    if subprocess.run(["pkg-config", "--exists", "grpc"]).returncode != 0:
        pytest.skip("no gRPC for C++")
    if variant == "linked jemalloc" and not (LIBRARIES / "libjemalloc.so.2").exists():
        pytest.skip("no jemalloc")
    program = tmp_path / "neighbours"
    neighbours = run(["pkg-config", "--cflags", "--libs", "grpc", "protobuf"]).stdout.split()
    ours = pkg_config("--cflags", "--libs")
    command = [os.environ.get("CXX", "c++"), "-std=c++17", "-g1", *VARIANTS[variant]]
    run([*command, CONSUMER / "neighbours.cc", "-o", program, *ours, *neighbours, "-pthread"])
    done = run([program, models / "mlp"], clean_environment(**SANITIZER_OPTIONS))
    assert done.stdout == "NOT_FOUND\nNOT_FOUND\ndone 11 21\n"
    assert done.stderr == ""


def test_tensorflow_elsewhere_is_isolated_as_well(models: Path, tmp_path: Path) -> None:
    """Where TensorFlow is not beside the package, a copy of the scope library names its folder."""
    import importlib.util

    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    assert spec.submodule_search_locations
    link = tmp_path / "somewhere" / "tensorflow"
    link.parent.mkdir()
    link.symlink_to(spec.submodule_search_locations[0])
    body = USE.format(path=str(models / "mlp"))
    body += "print({line.split()[-1] for line in open('/proc/self/maps') if 'tensorflow_cc' in line})"
    stdout, _ = run_python(body, SAVEDMODEL_TENSORFLOW_DIR=str(link))
    assert "libtensorflow_cc.so.2" in stdout


def test_libraries_look_into_no_temporary_folder() -> None:
    """The folder of the TensorFlow that a wheel was built with is deleted; others may fill it then."""
    folder = re.escape(os.fsencode(tempfile.gettempdir()))
    for library in ask_package("--library-dir").glob("*.so*"):
        # What TensorFlow's checks print names its headers.
        paths = re.findall(rb"[^\0]*" + folder + rb"/[^\0]*", library.read_bytes())
        assert [path for path in paths if not path.endswith((b".h", b".inc"))] == [], library
