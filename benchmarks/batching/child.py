"""A child process with the callers of one path. Callers are given rows of their own, and call in a loop.

The first line says {"ready": true}; then it is asked for
round, "callers", "seconds" -> {"calls", "seconds", "p50_us", "p99_us"[, "rows_per_run"]}
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import savedmodel as sm
from savedmodel._bench.timing import together
from savedmodel._process import Process, serve

from ..models import MODELS, SEED

CALLERS = 32
Row = dict[str, Any]
Call = Callable[[Row], Any]
Round = dict[str, float]


def make_rows(name: str) -> list[Row]:
    random = np.random.default_rng(SEED)
    rows = []
    for _ in range(CALLERS):
        row = {key: one.values(random, (1, *one.row)) for key, one in MODELS[name].inputs.items()}
        rows.append({k: v.astype(object) if v.dtype.kind == "S" else v for k, v in row.items()})
    return rows


def summary(latencies: list[float], seconds: float) -> Round:
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e6
    return {"calls": len(latencies), "seconds": seconds, "p50_us": float(p50), "p99_us": float(p99)}


def run_threads(call: Call, rows: list[Row], seconds: float) -> Round:
    end = perf_counter() + seconds
    latencies: list[float] = []

    def work(row: Row) -> int:
        own: list[float] = []
        now = perf_counter()
        while now < end:
            begin = now
            call(row)
            now = perf_counter()
            own.append(now - begin)
        latencies.extend(own)
        return len(own)

    _, elapsed = together([partial(work, row) for row in rows], lambda: None)
    return summary(latencies, elapsed)


async def coroutines(call: Callable[[Row], Awaitable[Any]], rows: list[Row], seconds: float) -> Round:
    latencies: list[float] = []

    async def work(row: Row, end: float) -> None:
        now = perf_counter()
        while now < end:
            begin = now
            await call(row)
            now = perf_counter()
            latencies.append(now - begin)

    begin = perf_counter()
    await asyncio.gather(*(work(row, begin + seconds) for row in rows))
    return summary(latencies, perf_counter() - begin)


def run_coroutines(call: Callable[[Row], Awaitable[Any]], rows: list[Row], seconds: float) -> Round:
    return asyncio.run(coroutines(call, rows, seconds))


def open_ray(folder: str, threads: int) -> Callable[[list[Row], float], Round]:
    """A deployment, with its callers inside, which spares them the way to another process."""
    ray: Any = import_module("ray")
    ray_serve: Any = import_module("ray.serve")

    class Deployment:
        def __init__(self) -> None:
            self._function = sm.load(folder, threads=threads).signatures["serving_default"]

        @ray_serve.batch(max_batch_size=CALLERS, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
        async def predict(self, rows: list[Row]) -> list[Row]:
            joined = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
            results = self._function.run(joined)
            return [{key: value[i : i + 1] for key, value in results.items()} for i in range(len(rows))]

        async def round(self, rows: list[Row], seconds: float) -> Round:
            return await coroutines(self.predict, rows, seconds)

    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    deployment: Any = ray_serve.deployment(Deployment)
    handle = ray_serve.run(deployment.bind())
    return lambda rows, seconds: handle.round.remote(rows, seconds).result()


def tensorflow_batches(folder: str) -> Call:
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    function = loaded.signatures["serving_default"]
    names = [name.split(":")[0] for name in function.structured_input_signature[1]]

    @tf.nondifferentiable_batch_function(  # type: ignore[untyped-decorator]
        num_batch_threads=len(os.sched_getaffinity(0)), max_batch_size=CALLERS, batch_timeout_micros=500
    )
    def batched(*values: Any) -> list[Any]:
        return list(function(**dict(zip(names, values, strict=True))).values())

    specs = [function.structured_input_signature[1][name] for name in names]
    traced = tf.function(batched, input_signature=[tf.TensorSpec(s.shape, s.dtype) for s in specs])
    traced.loaded = loaded  # its variables
    return lambda row: [value.numpy() for value in traced(*(tf.constant(row[name]) for name in names))]


class Callers:
    """The callers of one path; `open` makes it ready."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._batcher: sm.Batcher | None = None

    def open(self) -> dict[str, Any]:
        path, model = self._arguments.path, MODELS[self._arguments.model]
        self._rows = make_rows(model.name)
        folder = str(model.saved_model)
        if path.startswith("cpp"):
            self._open_cpp(folder)
            return {"ready": True}
        threads = self._arguments.threads
        if path == "tf_batched":
            self._call: Any = tensorflow_batches(folder)
        elif path == "asyncio_ray":
            self._ray = open_ray(folder, threads)
            return {"ready": True}
        else:
            function = sm.load(folder, threads=threads).signatures["serving_default"]
            if path.endswith("_batched"):
                self._batcher = sm.batch(function, sample=self._rows[0])
            source: Any = self._batcher or function
            self._call = source.run if path.startswith("threads") else source.run_async
        self._turn = run_coroutines if path.startswith("asyncio") else run_threads
        self._turn(self._call, self._rows, 0.1)
        return {"ready": True}

    def _open_cpp(self, folder: str) -> None:
        self._scratch = tempfile.TemporaryDirectory()
        command = [self._arguments.program, self._arguments.path, folder, str(self._arguments.threads)]
        for key in self._rows[0]:
            stacked = np.concatenate([row[key] for row in self._rows])
            file = Path(self._scratch.name) / f"input{len(command)}"
            shape = "x".join(map(str, (1, *stacked.shape[1:])))
            if stacked.dtype == object:
                file.write_bytes(b"\n".join(stacked.ravel()))
            else:
                file.write_bytes(np.ascontiguousarray(stacked).tobytes())
            command += [key, shape, str(file)]
        self._cpp = Process(command, timeout=600)
        self._cpp.receive()

    def round(self, callers: int, seconds: float) -> Round:
        if self._arguments.path.startswith("cpp"):
            return self._cpp.ask("round", callers=callers, seconds=seconds)
        if self._arguments.path == "asyncio_ray":
            return self._ray(self._rows[:callers], seconds)
        before = self._batcher.statistics() if self._batcher else None
        answer = self._turn(self._call, self._rows[:callers], seconds)
        if self._batcher is not None and before is not None:
            after = self._batcher.statistics()
            answer["rows_per_run"] = (after.rows - before.rows) / max(after.batches - before.batches, 1)
        return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--model", choices=list(MODELS), required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--program")
    callers = Callers(parser.parse_args())
    serve({"round": callers.round}, hello=callers.open)
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()  # its processes


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # what a path does when it is torn down is no part of any measurement
