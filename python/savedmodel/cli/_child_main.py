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
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel._process import serve
from savedmodel.cli import _runtimes

# A million samples of calls shorter than a microsecond are enough.
MAX_SAMPLES = 1_000_000


def _latencies(call: Callable[[], object], deadline: float, samples: list[float]) -> None:
    """Calls until the deadline; each takes from one reading of the clock to the next."""
    clock = time.perf_counter
    before = clock()
    while before < deadline and len(samples) < MAX_SAMPLES:
        call()
        after = clock()
        samples.append(after - before)
        before = after


def _measure(runtime: _runtimes.Runtime, batch: str, concurrency: int, seconds: float) -> dict[str, Any]:
    calls = [runtime.call(batch, number) for number in range(concurrency)]
    for call in calls:
        call()  # warms the caches that other processes have taken
    samples: list[list[float]] = [[] for _ in calls]
    begin = time.perf_counter()
    if concurrency == 1:
        _latencies(calls[0], begin + seconds, samples[0])
    else:
        barrier = threading.Barrier(concurrency + 1)

        def work(number: int) -> None:
            barrier.wait()
            _latencies(calls[number], begin + seconds, samples[number])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(concurrency)]
        for thread in threads:
            thread.start()
        begin = time.perf_counter()
        barrier.wait()
        for thread in threads:
            thread.join()
    elapsed = time.perf_counter() - begin
    merged = np.concatenate([np.array(one, np.float32) for one in samples])
    return {"latencies": base64.b64encode(merged.tobytes()).decode(), "seconds": elapsed}


def _peak_bytes() -> int:
    """Not getrusage's ru_maxrss, which begins with the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _open(request: dict[str, Any], started: float) -> tuple[_runtimes.Runtime, dict[str, Any]]:
    _runtimes.import_packages(request["runtime"])
    begin = time.perf_counter()
    runtime = _runtimes.open_runtime(request)
    loaded = time.perf_counter()
    if "batches" in request:
        runtime.outputs(next(iter(request["batches"])))
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    return runtime, {
        "load_seconds": loaded - begin,
        "cold_start_seconds": now - started,
        "version": runtime.version,
    }


class _Server:
    """The answers; `open` comes first."""

    _runtime: _runtimes.Runtime

    def open(self, request: dict[str, Any], started: float) -> dict[str, Any]:
        self._runtime, about = _open(request, started)
        return about

    def measure(self, batch: int, concurrency: int, seconds: float) -> dict[str, Any]:
        return _measure(self._runtime, str(batch), concurrency, seconds)

    def select(self, signature: str, batches: dict[str, str]) -> dict[str, Any]:
        _runtimes.select(self._runtime, signature, batches)
        return {}

    def outputs(self, batch: str, file: str) -> dict[str, Any]:
        _runtimes.write(Path(file), self._runtime.outputs(str(batch)))
        return {}

    def memory(self) -> dict[str, Any]:
        return {"peak_bytes": _peak_bytes()}


def main() -> None:
    """Serve the parent until it closes stdin."""
    server = _Server()
    commands = ("open", "measure", "select", "outputs", "memory")
    serve({name: getattr(server, name) for name in commands})


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # how a runtime is torn down is no part of any measurement
