# SPDX-License-Identifier: Apache-2.0
"""A runtime in a process of its own: the child's end.

It answers the questions of `_process`, and sleeps in between. The first says what to open:

  open, "started", "request": {"runtime", "path", "tags", "signature", "threads", "batches": {"1": file}, ...}
      -> {"load_seconds", "cold_start_seconds", "version"}; cold start is from the process' start to the
         first result. Without "batches" nothing is called
  measure, "batch", "concurrency", "seconds" -> {"latencies": base64 of float32 seconds, "seconds"}
  outputs, "batch", "file"                   -> {} and an .npz
  select, "signature", "batches"             -> {}; the one that is called from then on
  memory                                     -> {"peak_bytes"}
"""

from __future__ import annotations

import base64
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel._bench.runtime import Call, Inputs, Request, Runtime, import_packages, open_runtime
from savedmodel._bench.timing import peak_bytes, together
from savedmodel._process import serve
from savedmodel.cli import _array_files

# A million samples are enough for calls shorter than a microsecond.
MAX_SAMPLES = 1_000_000


def _latencies(call: Call, seconds: float) -> list[float]:
    """Call for this many seconds; each latency is the time between two readings of the clock."""
    samples: list[float] = []
    clock = time.perf_counter
    before = clock()
    deadline = before + seconds
    while before < deadline and len(samples) < MAX_SAMPLES:
        call()
        after = clock()
        samples.append(after - before)
        before = after
    return samples


def _measure(calls: list[Call], seconds: float) -> dict[str, Any]:
    for call in calls:
        call()  # warms the caches after other processes' rounds
    if len(calls) == 1:
        begin = time.perf_counter()
        samples = [_latencies(calls[0], seconds)]
        elapsed = time.perf_counter() - begin
    else:
        samples, elapsed = together([partial(_latencies, call, seconds) for call in calls])
    merged = np.concatenate([np.array(one, np.float32) for one in samples])
    return {"latencies": base64.b64encode(merged.tobytes()).decode(), "seconds": elapsed}


def _open(request: dict[str, Any], first: Inputs) -> Runtime:
    model = Request(
        path=request["path"],
        tags=request["tags"],
        signature=request.get("signature", "serving_default"),
        threads=request.get("threads"),
        optimize=request.get("optimize", "default"),
        first=first,
    )
    if request.get("session"):
        from savedmodel._bench.runtime_tensorflow import Session

        return Session(model)
    return open_runtime(request["runtime"], model)


class _Server:
    """The handlers of requests; `open` comes first."""

    _runtime: Runtime
    _files: dict[str, str]

    def _inputs(self, batch: int | str) -> Inputs:
        return _array_files.read(Path(self._files[str(batch)]))

    def open(self, request: dict[str, Any], started: float) -> dict[str, Any]:
        self._files = request.get("batches", {})
        import_packages(request["runtime"])
        first = self._inputs(next(iter(self._files))) if self._files else {}
        begin = time.perf_counter()
        self._runtime = _open(request, first)
        loaded = time.perf_counter()
        if self._files:
            self._runtime.outputs(first)
        now = time.clock_gettime(time.CLOCK_MONOTONIC)
        return {
            "load_seconds": loaded - begin,
            "cold_start_seconds": now - started,
            "version": self._runtime.version,
        }

    def measure(self, batch: int, concurrency: int, seconds: float) -> dict[str, Any]:
        calls = [self._runtime.call(self._inputs(batch)) for _ in range(concurrency)]
        return _measure(calls, seconds)

    def select(self, signature: str, batches: dict[str, str]) -> dict[str, Any]:
        self._runtime.select(signature)  # type: ignore[attr-defined] # a session
        self._files = batches
        return {}

    def outputs(self, batch: str, file: str) -> dict[str, Any]:
        _array_files.write(Path(file), self._runtime.outputs(self._inputs(batch)))
        return {}

    def memory(self) -> dict[str, Any]:
        return {"peak_bytes": peak_bytes()}


def main() -> None:
    """Serve the parent until it closes stdin."""
    server = _Server()
    commands = ("open", "measure", "select", "outputs", "memory")
    serve({name: getattr(server, name) for name in commands})


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # skips the runtime's teardown, which is not measured
