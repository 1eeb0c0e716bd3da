"""`python -m benchmarks.switching`: latency of calls while a watched model changes its version.

Threads call a model through `sm.watch` without pause, while versions are put beside it. A call counts as one
during a switch if it ran between the discovery of a version and the end of its old one's last call.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import savedmodel as sm
from numpy.typing import NDArray
from savedmodel._bench.progress import progress

from . import machine
from .files import RESULTS, write_results
from .models import MODELS, InputFile, choose_models, ensure_model, input_files
from .table import count, markdown

POLL = 0.01  # seconds
REST = 0.5  # seconds between two switches: calls that count as undisturbed


@dataclass
class Row:
    """Calls of one model, in microseconds."""

    model: str
    when: str
    calls: int
    p50_us: float
    p99_us: float
    max_us: float


@dataclass
class Report:
    rows: list[Row]
    switch_ms: list[float]
    """From the discovery of each version to the moment when calls take it."""
    failed_calls: int


class Caller(threading.Thread):
    """Calls until it is told to stop; keeps when each call began and how long it took, in ns."""

    def __init__(self, call: Callable[[], object], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.began, self.took = array("q"), array("q")
        self.failed = 0
        self._call, self._stopping = call, stop

    def run(self) -> None:
        while not self._stopping.is_set():
            began = time.perf_counter_ns()
            try:
                self._call()
            except sm.Error:
                self.failed += 1
            self.took.append(time.perf_counter_ns() - began)
            self.began.append(began)


def add_version(source: Path, directory: Path, version: int) -> None:
    """As a publication ends, without the copy, which would take the disk and a core."""
    stage = directory / f".new-{version}"
    shutil.copytree(source, stage, copy_function=os.link)
    stage.rename(directory / str(version))


def read(one: InputFile) -> NDArray[Any]:
    if one.file.suffix == ".npy":
        return np.asarray(np.load(one.file))
    return np.fromfile(one.file, np.float32).reshape(one.shape)


def row(model: str, when: str, took: NDArray[Any]) -> Row:
    p50, p99, top = np.percentile(took / 1000, (50, 99, 100)) if len(took) else (np.nan,) * 3
    return Row(model, when, len(took), float(p50), float(p99), float(top))


def measure(name: str, directory: Path, threads: int, switches: int, seconds: float) -> Report:
    """Every version has the same files: what differs between the rows is the switching alone."""
    spec = MODELS[name]
    source = spec.saved_model
    inputs = {one.name: read(one) for one in input_files(spec, 1)}
    windows: list[tuple[int, int]] = []
    switch_ms: list[float] = []

    def on_change(change: sm.VersionChange) -> None:
        now = time.perf_counter_ns()
        windows.append((now - int(change.seconds * 1e9), now))
        switch_ms.append(change.seconds * 1000)

    add_version(source, directory, 1)
    with sm.watch(directory, poll=POLL, threads=1, on_change=on_change) as handle:
        signature = handle.signatures["serving_default"]
        with sm.load(source, threads=1) as alone:
            plain = alone.signatures["serving_default"]
            bare = call_for(lambda: plain.run(inputs), threads, seconds)
        watched = call_for(lambda: signature.run(inputs), threads, seconds)
        stop = threading.Event()
        callers = [Caller(lambda: signature.run(inputs), stop) for _ in range(threads)]
        for caller in callers:
            caller.start()
        windows.clear()
        switch_ms.clear()
        for version in range(2, 2 + switches):
            time.sleep(REST)
            add_version(source, directory, version)
            while len(windows) < version - 1 or handle.status.draining:
                time.sleep(POLL)
            windows[-1] = windows[-1][0], time.perf_counter_ns()
        stop.set()
        for caller in callers:
            caller.join()
    began = np.concatenate([np.frombuffer(caller.began, np.int64) for caller in callers])
    took = np.concatenate([np.frombuffer(caller.took, np.int64) for caller in callers])
    during = np.zeros(len(took), bool)
    for first, last in windows:
        during |= (began < last) & (began + took > first)
    rows = [
        row(name, "a plain model", bare),
        row(name, "watched", watched),
        row(name, "between switches", took[~during]),
        row(name, "during a switch", took[during]),
    ]
    return Report(rows, switch_ms, sum(caller.failed for caller in callers))


def call_for(call: Callable[[], object], threads: int, seconds: float) -> NDArray[Any]:
    stop = threading.Event()
    callers = [Caller(call, stop) for _ in range(threads)]
    for caller in callers:
        caller.start()
    time.sleep(seconds)
    stop.set()
    for caller in callers:
        caller.join()
    return np.concatenate([np.frombuffer(caller.took, np.int64) for caller in callers])


def text_of(reports: dict[str, Report], about: dict[str, Any], threads: int, switches: int) -> str:
    rows = [
        [one.model, one.when, f"{one.calls:,}", *(f"{us:.1f}" for us in (one.p50_us, one.p99_us, one.max_us))]
        for report in reports.values()
        for one in report.rows
    ]
    lines = [
        "# Calls while a watched model changes its version\n",
        *machine.lines(about),
        f"- Settings: {count(threads, 'caller')}, {switches} switches, batch 1, one thread a call; CPU only",
        *(
            f"- `{name}`: a switch took {np.median(report.switch_ms):.0f} ms from discovery to use "
            f"(median), {count(report.failed_calls, 'failed call')}"
            for name, report in reports.items()
        ),
        "\nMicroseconds a call.\n",
        markdown(["Model", "When", "Calls", "p50", "p99", "max"], rows, left=2),
    ]
    return "\n".join(lines) + "\n"


def switching(models: tuple[str, ...], threads: int, switches: int, seconds: float, folder: Path) -> int:
    """Measure, print a table, write JSON and Markdown. Returns the exit status."""
    about = machine.describe()
    reports: dict[str, Report] = {}
    with progress(len(models)) as step:
        for name in models:
            step(name)
            if reason := ensure_model(MODELS[name]):
                print(f"Skipped: {name}: {reason}")
                continue
            # Beside the model, so that its files can be linked.
            with tempfile.TemporaryDirectory(dir=MODELS[name].folder) as directory:
                reports[name] = measure(name, Path(directory), threads, switches, seconds)
    text = text_of(reports, about, threads, switches)
    print(text)
    data = {"machine": about, "threads": threads, "models": {k: asdict(v) for k, v in reports.items()}}
    print(f"Written: {write_results(folder / 'switching', text, data)}")
    return 1 if any(report.failed_calls for report in reports.values()) or not reports else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.switching", description=__doc__)
    add = parser.add_argument
    add("--models", default="mlp,mobilenet_v2", metavar="A,B", help="(mlp,mobilenet_v2)")
    add("--threads", type=int, default=4, help="callers (4)")
    add("--switches", type=int, default=50, help="switches of each model (50)")
    add("--seconds", type=float, default=5.0, help="for the rows without switches (5)")
    add("--output", type=Path, default=Path(os.path.relpath(RESULTS)), metavar="DIR")
    options = parser.parse_args()
    models = choose_models(parser, options.models, MODELS)
    return switching(models, options.threads, options.switches, options.seconds, options.output)


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
