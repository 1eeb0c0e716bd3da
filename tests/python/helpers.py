"""What several test files need that is no fixture: `from .helpers import run_python`."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import savedmodel as sm

Array = np.ndarray[Any, np.dtype[Any]]
Load = Callable[..., sm.Model]
"""The fixture `load`: `load(name, **options)`."""

ALIGNMENT = 64
# Options of TensorFlow's, whatever they say, need a session: the graph as loaded, and its variables.
IN_A_SESSION = sm.RunOptions(proto=b"\x18\x00")
HAS_BFLOAT16 = "avx512_bf16" in Path("/proc/cpuinfo").read_text()


def run_python(code: str, **env: str) -> tuple[str, str]:
    """Run a snippet in a fresh interpreter, which must exit with 0; return its stdout and stderr.

    `env` is added to the environment. A process that hangs fails after two minutes.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=120,
    )
    assert done.returncode == 0, (
        f"exit code {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
    )
    return done.stdout, done.stderr


def eventually(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def aligned(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Array:
    """A C-contiguous copy that a call borrows."""
    source = np.asarray(values, dtype)
    copy = sm.empty(source.shape, source.dtype)
    copy[...] = source
    return copy


def misaligned(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None, offset: int = 1) -> Array:
    """A C-contiguous copy that starts `offset` bytes after a multiple of 64."""
    source = np.asarray(values, dtype)
    block = sm.empty(source.nbytes + offset, np.uint8)
    copy = block[offset:].view(source.dtype).reshape(source.shape)
    copy[...] = source
    return copy


def address(array: Array) -> int:
    """Where the array's first element is."""
    pointer: int = array.__array_interface__["data"][0]
    return pointer
