"""A child process that LoadGen drives: one path, one model, every scenario on request.

The first line says {"single", "offline"}, about how many samples a second it does. Then it is asked for
run, "scenario", "rate", "seconds", "latency_ms" -> {"valid", "reasons", "p90_ms", "p99_ms", "rate"}.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import mlperf_loadgen as loadgen
import numpy as np
from savedmodel._bench.runtime import Array, Call, Request, Runtime
from savedmodel._bench.runtime_savedmodel import SavedModel
from savedmodel._process import serve

from ..models import MODELS, SEED, ModelSpec
from ..paths import ALL_PATHS, FILES
from ..runners import OPENERS

SAMPLES = 64
SIZES = (1, 2, 4, 8)
SCENARIOS = {
    "single stream": loadgen.TestScenario.SingleStream,
    "offline": loadgen.TestScenario.Offline,
    "server": loadgen.TestScenario.Server,
}
# Fewer queries than these say too little of the tail for LoadGen's early stopping.
MIN_QUERIES = {"single stream": 64, "offline": 1, "server": 700}
SUMMARY = {
    "p90_ms": r"^90(?:\.00|th) percentile latency \(ns\)\s*:\s*(\d+)",
    "p99_ms": r"^99\.00 percentile latency \(ns\)\s*:\s*(\d+)",
    "rate": r"^(?:Samples per second|Completed samples per second\s*)\s*:\s*([\d.]+)",
}


def call_seconds(call: Callable[[], None]) -> float:
    """The median of some calls."""
    times: list[float] = []
    while len(times) < 5 or (sum(times) < 0.3 and len(times) < 1000):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


class Batch:
    """A call of one size with its own buffers."""

    def __init__(self, call: Call, buffers: dict[str, Array]) -> None:
        self._call, self._buffers = call, buffers

    def run(self, data: dict[str, Array], samples: Sequence[Any]) -> None:
        for name, buffer in self._buffers.items():
            for row, sample in enumerate(samples):
                buffer[row] = data[name][sample.index]
        self._call()


def open_batches(path: str, spec: ModelSpec, threads: int, data: dict[str, Array]) -> dict[int, Batch]:
    opener, settings = OPENERS[path]
    runtime: Runtime | None = None
    batches = {}
    for size in SIZES:
        rows = {
            name: np.ascontiguousarray(np.resize(array, (size, *array.shape[1:])))
            for name, array in data.items()
        }
        request = Request(str(FILES[ALL_PATHS[path].opens](spec)), threads=threads, first=rows)
        if runtime is None or path.startswith("ort"):  # which is told its batch size beforehand
            runtime = opener(replace(request, **settings))  # type: ignore[arg-type] # those of Request
        if isinstance(runtime, SavedModel):
            rows = runtime.buffers(rows)
            batches[size] = Batch(partial(runtime.function.run, rows), rows)
        else:
            batches[size] = Batch(runtime.call(rows), rows)
        batches[size].run(data, [])
    return batches


class System:
    """Runs what LoadGen issues, in the order in which it comes, as many samples at once as wait."""

    def __init__(self, batches: dict[int, Batch], data: dict[str, Array]) -> None:
        self._batches, self._data = batches, data
        self._waiting: queue.Queue[Any] = queue.Queue()
        self._inline = False
        threading.Thread(target=self._work, daemon=True).start()

    def issue(self, samples: Sequence[Any]) -> None:
        if self._inline:
            return self._answer(list(samples))
        for sample in samples:
            self._waiting.put(sample)
        return None

    def prepare(self, scenario: str) -> None:
        self._inline = scenario == "single stream"

    def _answer(self, samples: list[Any]) -> None:
        self._batches[len(samples)].run(self._data, samples)
        # What was computed is not sent: the queries are synthetic.
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(one.id, 0, 0) for one in samples])

    def _work(self) -> None:
        while True:
            samples = [self._waiting.get()]
            size = max(n for n in self._batches if n <= self._waiting.qsize() + 1)
            while len(samples) < size:
                samples.append(self._waiting.get())
            self._answer(samples)


class Server:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    def open(self) -> dict[str, Any]:
        spec = MODELS[self._arguments.model]
        random = np.random.default_rng(SEED)
        data = {name: one.values(random, (SAMPLES, *one.row)) for name, one in spec.inputs.items()}
        batches = open_batches(self._arguments.path, spec, self._arguments.threads, data)
        self._system = System(batches, data)
        rates = {size: size / call_seconds(partial(batch.run, data, [])) for size, batch in batches.items()}
        return {"single": rates[1], "offline": max(rates.values())}

    def run(self, scenario: str, rate: float, seconds: float, latency_ms: float) -> dict[str, Any]:
        settings = loadgen.TestSettings()
        settings.scenario = SCENARIOS[scenario]
        settings.mode = loadgen.TestMode.PerformanceOnly
        settings.min_duration_ms = int(seconds * 1000)
        settings.min_query_count = MIN_QUERIES[scenario]
        settings.single_stream_expected_latency_ns = int(1e9 / rate)
        settings.offline_expected_qps = settings.server_target_qps = rate
        settings.server_target_latency_ns = int(latency_ms * 1e6)
        self._system.prepare(scenario)
        nothing: Callable[[Any], None] = lambda samples: None  # noqa: E731 - the samples are always in memory
        system = loadgen.ConstructSUT(self._system.issue, lambda: None)
        library = loadgen.ConstructQSL(SAMPLES, SAMPLES, nothing, nothing)
        with tempfile.TemporaryDirectory() as folder:
            logs = loadgen.LogSettings()
            logs.log_output.outdir = folder
            loadgen.StartTestWithLogSettings(system, library, settings, logs, "")
            text = (Path(folder) / "mlperf_log_summary.txt").read_text()
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
        return read_summary(text)


def read_summary(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {"valid": "Result is : VALID" in text}
    found["reasons"] = re.findall(r"^ \* (.+)", text, re.MULTILINE)
    for name, pattern in SUMMARY.items():
        match = re.search(pattern, text, re.MULTILINE)
        scale = 1e-6 if name.endswith("_ms") else 1
        found[name] = float(match[1]) * scale if match else None
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", choices=list(OPENERS))
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=1)
    server = Server(parser.parse_args())
    serve({"run": server.run}, hello=server.open)


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # LoadGen's threads and the system's never end
