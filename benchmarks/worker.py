"""The parent's end of a child process: one JSON line out, one JSON line back."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .models import ROOT

# All paths run on the CPU: a GPU that only some of them found would make nonsense of the table.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONUNBUFFERED": "1"}

LOG_RECORD = re.compile(r"[IWE]\d{4} |WARNING: All log messages")  # TensorFlow's: never why a process ended


class WorkerError(Exception):
    """The child died, reported an error or did not answer in time. The text says why."""


class Worker:
    """A child process that works only between a request and its answer."""

    def __init__(self, command: Sequence[str], timeout: float = 600.0) -> None:
        self.timeout = timeout
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._unread = b""
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **QUIET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def receive(self) -> dict[str, Any]:
        """The next line of the child, as a dict."""
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        deadline = time.perf_counter() + self.timeout
        while b"\n" not in self._unread:
            left = deadline - time.perf_counter()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                raise WorkerError(f"no answer within {self.timeout:.0f} s")
            chunk = os.read(source, 1 << 20)
            if not chunk:
                raise WorkerError(self._last_words())
            self._unread += chunk
        line, self._unread = self._unread.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise WorkerError(" ".join(str(message["error"]).split()))
        return message

    def ask(self, command: str, **values: float | str) -> dict[str, Any]:
        assert self._process.stdin is not None
        message = json.dumps({"command": command, **values}).encode() + b"\n"
        try:
            self._process.stdin.write(message)
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        return self.receive()

    def outputs(self) -> dict[str, NDArray[Any]]:
        """What it computed, flat. Python children leave it in a file, as it can be megabytes."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "outputs.npz"
            numbers = self.ask("outputs", file=str(file)).get("outputs")
            if numbers is not None:
                return {name: np.array(values, np.float64) for name, values in numbers.items()}
            with np.load(file) as stored:
                return {name: stored[name].ravel() for name in stored.files}

    def close(self) -> None:
        """Ends the child: politely, then by force."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._stderr.close()

    def _last_words(self) -> str:
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace")
        lines = [line for line in text.strip().splitlines() if not LOG_RECORD.match(line)]
        end = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"{end}: {lines[-1].strip()}" if lines else end
