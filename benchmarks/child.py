"""A child process that times one Python path. `cpp_floor/main.cc` speaks the same protocol.

The command line says what to open. The first result is told as {"ready": true, "peak_rss_mb",
"rss_mb", "private_mb"}; then the child answers the questions of `savedmodel._process`, and sleeps in between:

  outputs, "file"              -> {} and an .npz; or {"outputs": {name: [numbers]}}
  round, "seconds"             -> {"p50_us", "min_us", "calls", "seconds"}
  threads, "threads", "seconds" -> {"calls", "seconds"}
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np
from savedmodel._bench.runtime import Call, Request
from savedmodel._bench.timing import peak_bytes, resident_bytes, together
from savedmodel._process import serve

from .runners import OPENERS

# A call shorter than this is timed in groups, so that the clock costs under half a percent.
SAMPLE_NS = 20_000
LEAST_CALLS = 3


def group_size(call: Call) -> int:
    """Calls per sample: one, or as many as fill SAMPLE_NS."""
    times: list[int] = []
    while len(times) < 15:
        start = perf_counter_ns()
        call()
        times.append(perf_counter_ns() - start)
        if len(times) >= LEAST_CALLS and min(times) > SAMPLE_NS:
            return 1
    return max(1, -(-SAMPLE_NS // max(1, sorted(times)[7])))


def measure_round(call: Call, group: int, seconds: float) -> dict[str, float]:
    """Time samples for `seconds`, after a tenth of that uncounted to warm the caches again."""
    deadline = perf_counter() + seconds / 10
    call()
    while perf_counter() < deadline:
        call()
    samples: list[int] = []
    begin = now = perf_counter_ns()
    end = begin + int(seconds * 1e9)
    while now < end or len(samples) < LEAST_CALLS:
        start = perf_counter_ns()
        for _ in repeat(None, group):
            call()
        now = perf_counter_ns()
        samples.append(now - start)
    ordered = np.sort(np.array(samples, np.float64)) / group / 1000
    return {
        "p50_us": float(np.median(ordered)),
        "min_us": float(ordered[0]),
        "calls": len(samples) * group,
        "seconds": (now - begin) / 1e9,
    }


def measure_threads(calls: list[Call], seconds: float) -> dict[str, float]:
    """Calls of several Python threads together, each on buffers of its own."""
    stop = threading.Event()

    def work(call: Call) -> int:
        done, count = stop.is_set, 0
        while not done():
            call()
            count += 1
        return count

    def end() -> None:
        stop.wait(seconds)
        stop.set()

    counts, elapsed = together([partial(work, call) for call in calls], end)
    return {"calls": sum(counts), "seconds": elapsed}


class Server:
    """The answers of one path, once `open` found its arguments right."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._group = 0

    def open(self) -> dict[str, Any]:
        opener, settings = OPENERS[self._arguments.path]
        request = read_request(self._arguments, settings)
        self._runtime, self._inputs = opener(request), request.first
        self._calls = [self._runtime.call(self._inputs)]
        self._calls[0]()
        resident, private = resident_bytes()
        told = {"peak_rss_mb": peak_bytes(), "rss_mb": resident, "private_mb": private}
        return {"ready": True, **{name: size / 1024**2 for name, size in told.items()}}

    def round(self, seconds: float) -> dict[str, float]:
        self._group = self._group or group_size(self._calls[0])
        return measure_round(self._calls[0], self._group, seconds)

    def outputs(self, file: str) -> dict[str, Any]:
        np.savez(file, **self._runtime.outputs(self._inputs))  # type: ignore[arg-type]
        return {}

    def threads(self, threads: int, seconds: float) -> dict[str, float]:
        while len(self._calls) < threads:
            self._calls.append(self._runtime.call(self._inputs))
        return measure_threads(self._calls[:threads], seconds)


def read_request(arguments: argparse.Namespace, settings: dict[str, str]) -> Request:
    inputs = {}
    for name, shape, file in arguments.input:
        array = np.load(file) if file.endswith(".npy") else np.fromfile(file, np.float32)
        inputs[name] = array.reshape([int(size) for size in shape.split("x")])
    model, threads, inter_op = str(arguments.model), arguments.threads, arguments.inter_op
    request = Request(model, threads=threads, inter_op=inter_op, first=inputs)
    return replace(request, **settings)  # type: ignore[arg-type] # those of Request


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", choices=list(OPENERS))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--inter-op", type=int)
    parser.add_argument("--input", nargs=3, action="append", default=[])
    server = Server(parser.parse_args())
    commands = ("round", "outputs", "threads")
    serve({name: getattr(server, name) for name in commands}, hello=server.open)


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # what a path does when it is torn down is no part of any measurement
