"""A child process that times one Python path. `cpp_floor/main.cc` speaks the same protocol.

The command line says what to open. After the first result the child writes {"ready": true, ...};
then it answers each JSON line on stdin with one on stdout, and sleeps in between:

  {"command": "outputs", "file": f}                 -> {} and an .npz; or {"outputs": {name: [numbers]}}
  {"command": "round", "seconds": s}                -> {"p50_us", "min_us", "calls", "seconds"}
  {"command": "threads", "threads": n, "seconds": s} -> {"calls", "seconds"}

{"error": "..."} takes the place of any answer. The end of stdin ends the process.
"""

from __future__ import annotations

import argparse
import json
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


def answer(message: dict[str, Any], opened: Opened, calls: list[Call], group: int) -> dict[str, Any]:
    if message["command"] == "round":
        return measure_round(calls[0], group, message["seconds"])
    if message["command"] == "outputs":
        outputs = opened.answer()
        np.savez(message["file"], **outputs)  # type: ignore[arg-type]
        return {}
    if message["command"] == "threads":
        while len(calls) < message["threads"]:
            calls.append(opened.make_call())
        return measure_threads(calls[: message["threads"]], message["seconds"])
    raise ValueError(f"unknown command {message['command']!r}")


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


def main() -> int:
    # Results go to a private copy of stdout: TensorFlow may write to file descriptor 1.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as results:
        os.dup2(2, 1)

        def send(message: dict[str, Any]) -> None:
            results.write(json.dumps(message) + "\n")
            results.flush()

        parser = argparse.ArgumentParser()
        parser.add_argument("path", choices=list(OPENERS))
        parser.add_argument("--model", type=Path, required=True)
        parser.add_argument("--threads", type=int, default=1)
        parser.add_argument("--inter-op", type=int)
        parser.add_argument("--input", nargs=3, action="append", default=[])
        arguments = parser.parse_args()
        try:
            opened = OPENERS[arguments.path](read_request(arguments))
            calls = [opened.make_call()]
            calls[0]()
            send({"ready": True, "peak_rss_mb": peak_mb()})
            group = 0
            for line in sys.stdin:
                group = group or group_size(calls[0])
                send(answer(json.loads(line), opened, calls, group))
        except Exception as error:
            send({"error": f"{type(error).__name__}: {error}"})
            return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # what a path does when it is torn down is no part of any measurement
