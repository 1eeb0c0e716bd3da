# SPDX-License-Identifier: Apache-2.0
"""A runtime in a process of its own: the child's end.

It answers each JSON line on stdin with one on stdout, and sleeps in between. The first says what to open:

  {"runtime", "started", "path", "tags", "signature", "threads", "batches": {"1": "inputs.npz"}, ...}
      -> {"load_seconds", "cold_start_seconds", "version"}; cold start is from the process' start to the
         first result. Without "batches" nothing is called
  {"measure": batch, "concurrency": n, "seconds": s} -> {"latencies": base64 of float32 seconds, "seconds"}
  {"outputs": batch, "file": f}                      -> {} and an .npz
  {"select": signature, "batches": {...}}            -> {}; the one that is called from then on
  {"memory": true}                                   -> {"peak_bytes"}

{"error": "..."} takes the place of any answer. The end of stdin ends the process.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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


def _open(request: dict[str, Any]) -> tuple[_runtimes.Runtime, dict[str, Any]]:
    _runtimes.import_packages(request["runtime"])
    begin = time.perf_counter()
    runtime = _runtimes.open_runtime(request)
    loaded = time.perf_counter()
    if "batches" in request:
        runtime.outputs(next(iter(request["batches"])))
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    return runtime, {
        "load_seconds": loaded - begin,
        "cold_start_seconds": now - request["started"],
        "version": runtime.version,
    }


def _answer(runtime: _runtimes.Runtime, question: dict[str, Any]) -> dict[str, Any]:
    if "measure" in question:
        batch = str(question["measure"])
        return _measure(runtime, batch, question["concurrency"], question["seconds"])
    if "select" in question:
        _runtimes.select(runtime, question["select"], question["batches"])
        return {}
    if "outputs" in question:
        _runtimes.write(Path(question["file"]), runtime.outputs(str(question["outputs"])))
        return {}
    return {"peak_bytes": _peak_bytes()}


def main() -> int:
    """Serve the parent until it closes stdin."""
    # Answers go to a private copy of stdout: a runtime may write to file descriptor 1.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        runtime: _runtimes.Runtime | None = None
        for line in sys.stdin:
            try:
                question = json.loads(line)
                if runtime is None:
                    runtime, answer = _open(question)
                else:
                    answer = _answer(runtime, question)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # how a runtime is torn down is no part of any measurement
