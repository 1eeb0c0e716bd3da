"""A child process that times one Python path. `cpp_floor/main.cc` speaks the same protocol.

The command line says what to open. The first result is told as {"ready": true, "peak_rss_mb"}; then the child
answers the questions of `savedmodel._process`, and sleeps in between:

  outputs, "file"              -> {} and an .npz; or {"outputs": {name: [numbers]}}
  round, "seconds"             -> {"p50_us", "min_us", "calls", "seconds"}
  threads, "threads", "seconds" -> {"calls", "seconds"}
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np
from savedmodel._process import serve

from . import peer_runners, runners
from .runners import Call, Opened, Request

OPENERS: dict[str, Callable[[Request], Opened]] = {
    "tf2": runners.open_tf2,
    "tf2_bf16": partial(runners.open_tf2, bf16=True),
    "session_run": runners.open_session_run,
    "make_callable": runners.open_make_callable,
    "savedmodel": partial(runners.open_savedmodel, kind="aligned"),
    "savedmodel_none": partial(runners.open_savedmodel, kind="aligned", optimize="none"),
    "savedmodel_bf16": partial(runners.open_savedmodel, kind="aligned", optimize="bf16"),
    "savedmodel_shared": partial(runners.open_savedmodel, kind="shared"),
    "savedmodel_out": partial(runners.open_savedmodel, kind="out"),
    "savedmodel_unaligned": partial(runners.open_savedmodel, kind="unaligned"),
    "ort": peer_runners.open_ort,
    "openvino": partial(peer_runners.open_openvino, precision="f32"),
    "openvino_bf16": partial(peer_runners.open_openvino, precision="bf16"),
    "savedmodel_saved": partial(runners.open_savedmodel, kind="aligned"),
    "openvino_ir": partial(peer_runners.open_openvino, precision="f32"),
}

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
    barrier = threading.Barrier(len(calls) + 1)
    stop = threading.Event()

    def work(index: int) -> int:
        call, done, count = calls[index], stop.is_set, 0
        barrier.wait()
        while not done():
            call()
            count += 1
        return count

    with ThreadPoolExecutor(len(calls)) as pool:
        workers = [pool.submit(work, index) for index in range(len(calls))]
        barrier.wait()
        begin = perf_counter()
        stop.wait(seconds)
        stop.set()
        counts = [worker.result() for worker in workers]
    return {"calls": sum(counts), "seconds": perf_counter() - begin}


class Server:
    """The answers of one path, once `open` found its arguments right."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._group = 0

    def open(self) -> dict[str, Any]:
        self._opened = OPENERS[self._arguments.path](read_request(self._arguments))
        self._calls = [self._opened.make_call()]
        self._calls[0]()
        return {"ready": True, "peak_rss_mb": peak_mb()}

    def round(self, seconds: float) -> dict[str, float]:
        self._group = self._group or group_size(self._calls[0])
        return measure_round(self._calls[0], self._group, seconds)

    def outputs(self, file: str) -> dict[str, Any]:
        np.savez(file, **self._opened.answer())  # type: ignore[arg-type]
        return {}

    def threads(self, threads: int, seconds: float) -> dict[str, float]:
        while len(self._calls) < threads:
            self._calls.append(self._opened.make_call())
        return measure_threads(self._calls[:threads], seconds)


def peak_mb() -> float:
    """Peak resident memory. Not `ru_maxrss`, which Linux starts at that of the parent."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def read_request(arguments: argparse.Namespace) -> Request:
    inputs = {}
    for name, shape, file in arguments.input:
        array = np.load(file) if file.endswith(".npy") else np.fromfile(file, np.float32)
        inputs[name] = array.reshape([int(size) for size in shape.split("x")])
    inter_op = arguments.threads if arguments.inter_op is None else arguments.inter_op
    return Request(arguments.model, inputs, arguments.threads, inter_op)


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
