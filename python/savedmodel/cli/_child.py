# SPDX-License-Identifier: Apache-2.0
"""A runtime in a process of its own: the parent's end. `_child_main` tells what is said."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import savedmodel as sm

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # A GPU that only some of the runtimes find would make nonsense of a comparison.
    "CUDA_VISIBLE_DEVICES": "-1",
    "PYTHONWARNINGS": "ignore",
    # Modules are not looked for in the working directory, which -m would add.
    "PYTHONSAFEPATH": "1",
}


class ChildError(sm.Error):
    """The process reported an error, or died. The text says why."""


class Child:
    """A process that works only between a question and its answer. Close it, or use it in `with`."""

    def __init__(self, runtime: str, request: Mapping[str, Any]) -> None:
        self.runtime = runtime
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        started = time.clock_gettime(time.CLOCK_MONOTONIC)  # the same clock in every process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "savedmodel.cli._child_main"],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        try:
            self.about = self.ask(runtime=runtime, started=started, **request)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Ask, and wait for the answer. Raises ChildError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildError(f"{self.runtime}: {self._last_words()}") from None
        line = self._process.stdout.readline()
        if not line:
            raise ChildError(f"{self.runtime}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildError(f"{self.runtime}: {' '.join(str(answer['error']).split())}")
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _last_words(self) -> str:
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "its process answers no more"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        end = f"its process ended with signal {-status}" if status < 0 else f"exit status {status}"
        return f"{end}: {lines[-1].strip()}" if lines else end
