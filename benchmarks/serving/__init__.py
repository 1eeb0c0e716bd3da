"""`python -m benchmarks serving`: requests per second of examples/server, and of the same server
without a model."""

from __future__ import annotations

import json
import os
import random
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from savedmodel._bench.plots import BLUE, SKY, save_bars
from savedmodel._bench.progress import progress
from savedmodel._bench.turns import CPU_ONLY
from savedmodel._process import ProcessError, environment

from .. import machine
from ..files import write_results
from ..models import MODELS, SEED, InputFile, ModelSpec, ensure_model, input_files
from ..paths import build_program
from ..table import count, markdown, number
from ..worker import Worker

START_SECONDS = 120
OURS, BATCHED, FLOOR = "savedmodel", "batching", "noop"
DATATYPES = {"float32": "FP32", "float64": "FP64", "int32": "INT32", "int64": "INT64", "object": "BYTES"}
ABOUT = {
    BATCHED: "the same with --batching",
    OURS: "the model; runs of one thread, as many at a time as there are cores",
    FLOOR: "the same server and request, with a model that answers as many zeros: gRPC, protobuf, one call",
}


@dataclass(frozen=True)
class ServingSettings:
    models: tuple[str, ...]
    connections: tuple[int, ...]
    threads: int
    rounds: int
    seconds: float
    stem: Path  # of the files


@dataclass
class Cell:
    """One model, server and number of connections."""

    model: str
    server: str
    connections: int
    rounds: list[dict[str, float]] = field(default_factory=list)

    def of(self, key: str) -> float:
        return median(one[key] for one in self.rounds)

    def as_json(self) -> dict[str, Any]:
        head = {"model": self.model, "server": self.server, "connections": self.connections}
        if not self.rounds:
            return head
        keys = ("requests_per_second", "p50_us", "p99_us", "server_cores", "client_cores")
        return {**head, **{key: self.of(key) for key in keys}, "rounds": self.rounds}


@contextmanager
def serve(program: Path, *arguments: str) -> Iterator[tuple[int, str]]:
    """A server that is ready: its process id and its address."""
    process = subprocess.Popen(
        [program, "--address=127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE,
        env=environment(**CPU_ONLY),
        text=True,
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while not lines or lines[-1] != "ready":
            if not select.select([process.stdout], [], [], START_SECONDS)[0]:
                raise ProcessError("the server did not start")
            lines.append(process.stdout.readline().strip())
            if not lines[-1]:
                raise ProcessError("the server ended")
        yield process.pid, lines[0].rpartition(" ")[2]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def cpu_seconds(process: int) -> float:
    """Of all threads of a process, so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def raw_input(item: InputFile, folder: Path) -> list[str]:
    """The driver's arguments for an input: a file with the protocol's raw contents."""
    if item.file.suffix == ".bin":
        return ["--input", item.name, "FP32", "x".join(map(str, item.shape)), str(item.file)]
    array = np.load(item.file, allow_pickle=True)
    words = (
        [str(one).encode() if isinstance(one, str) else bytes(one) for one in array.ravel()]
        if (array.dtype.kind in "OSU")
        else []
    )
    raw = b"".join(struct.pack("<I", len(word)) + word for word in words) if words else array.tobytes()
    file = folder / f"{item.name}.raw"
    file.write_bytes(raw)
    datatype = DATATYPES["object" if words else array.dtype.name]
    return ["--input", item.name, datatype, "x".join(map(str, item.shape)), str(file)]


def check_answer(driver: Worker, model: ModelSpec) -> int:
    """Compares the server's answer with a run in Python. Returns how many numbers it has."""
    script = (
        "import sys, json, numpy as np, savedmodel as sm\n"
        "model, *inputs = sys.argv[1:]\n"
        "def read(f, s):\n"
        "    if f.endswith('.bin'): return np.fromfile(f, '<f4').reshape([int(d) for d in s.split('x')])\n"
        "    array = np.load(f, allow_pickle=True)\n"
        "    return array.astype(object) if array.dtype.kind in 'SU' else array\n"
        "feeds = {n: read(f, s)\n"
        "         for _, n, s, f in zip(*[iter(inputs)] * 4)}\n"
        "f = sm.load(model).signatures['serving_default']\n"
        "print(json.dumps({k: v.ravel().tolist() for k, v in f.run(feeds).items()}))\n"
    )
    arguments = [word for item in input_files(model, 1) for word in item.arguments()]
    command = [sys.executable, "-c", script, str(model.saved_model), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**CPU_ONLY))
    if done.returncode != 0:
        raise ProcessError(f"no answer to compare with: {done.stderr.strip().splitlines()[-1:]}")
    wanted = {name: np.array(values) for name, values in json.loads(done.stdout).items()}
    found = driver.outputs()
    if found.keys() != wanted.keys():
        raise ProcessError(f"the server answers {sorted(found)}, not {sorted(wanted)}")
    for name, values in wanted.items():
        if found[name].shape != values.shape or not np.allclose(found[name], values, rtol=1e-4, atol=1e-5):
            raise ProcessError(f"the server's {name} is not the model's")
    return sum(values.size for values in wanted.values())


def make_noop(path: Path, inputs: Mapping[str, str], results: int) -> None:
    """A SavedModel that takes these inputs, by datatype, and answers zeros."""
    script = (
        "import sys, tensorflow as tf\n"
        "path, results, *inputs = sys.argv[1:]\n"
        "model = tf.Module()\n"
        "model.f = tf.function(lambda **inputs: {'output': tf.zeros(int(results))})\n"
        "kinds = {'FP32': tf.float32, 'FP64': tf.float64, 'INT32': tf.int32, 'INT64': tf.int64}\n"
        "pairs = [pair.split('=') for pair in inputs]\n"
        "specs = {name: tf.TensorSpec(None, kinds.get(kind, tf.string), name) for name, kind in pairs}\n"
        "tf.saved_model.save(model, path, model.f.get_concrete_function(**specs))\n"
    )
    given = [f"{name}={datatype}" for name, datatype in inputs.items()]
    command = [sys.executable, "-c", script, str(path), str(results), *given]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**CPU_ONLY))
    if done.returncode != 0:
        raise ProcessError(f"no model for the floor: {done.stderr.strip().splitlines()[-1:]}")


def measure(
    name: str,
    program: Path,
    running: dict[str, tuple[int, str]],
    settings: ServingSettings,
    step: Callable[[str], None],
) -> list[Cell]:
    """Rounds of the servers with each number of connections, in a random order each time."""
    order = random.Random(SEED)
    model = MODELS[name]
    cells = [Cell(name, which, amount) for amount in settings.connections for which in (OURS, BATCHED, FLOOR)]
    files = input_files(model, 1)
    with ExitStack() as stack:
        raw = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inputs = [word for item in files for word in raw_input(item, raw)]
        servers = dict(running)
        drivers: dict[str, Worker] = {}

        def connect(which: str) -> None:
            command = [str(program), "--target", servers[which][1], "--model", name, *inputs]
            drivers[which] = stack.enter_context(Worker(command))
            drivers[which].receive()
            drivers[which].ask("round", connections=1, seconds=settings.seconds / 4)  # uncounted

        for which in running:
            connect(which)
        results = check_answer(drivers[OURS], model)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        dtypes = {item.name: raw_input(item, raw)[2] for item in files}
        make_noop(Path(folder) / name / "1", dtypes, results)
        servers[FLOOR] = stack.enter_context(
            serve(server_of(program), f"--models={folder}", f"--threads={settings.threads}")
        )
        connect(FLOOR)
        for _ in range(settings.rounds):
            step(name)
            for cell in order.sample(cells, len(cells)):
                process = servers[cell.server][0]
                used, start = cpu_seconds(process), time.perf_counter()
                answer = drivers[cell.server].ask(
                    "round", connections=cell.connections, seconds=settings.seconds
                )
                elapsed = time.perf_counter() - start
                answer["server_cores"] = (cpu_seconds(process) - used) / elapsed
                answer["requests_per_second"] = answer["requests"] / answer["seconds"]
                cell.rounds.append(answer)
    return cells


def server_of(program: Path) -> Path:
    return program.parent / "server" / "server"


def table(cells: Sequence[Cell]) -> str:
    rows = [
        [
            *(cell.model, str(cell.connections), cell.server),
            *(number(cell.of(key)) for key in ("requests_per_second", "p50_us", "p99_us")),
            *(f"{cell.of(key):.2f}" for key in ("server_cores", "client_cores")),
        ]
        for cell in cells
        if cell.rounds
    ]
    headers = ["Model", "Connections", "Server", "requests/s", "p50 us", "p99 us", "server", "client"]
    return markdown(headers, rows, left=3)


def report(
    cells: Sequence[Cell], settings: ServingSettings, about: dict[str, Any], skipped: dict[str, str]
) -> str:
    length = f"{count(settings.rounds, 'round')} of {settings.seconds * 1000:.0f} ms"
    lines = [
        "# The server under load\n",
        *machine.lines(about),
        f"- Settings: batch 1, {count(settings.threads, 'thread')} a run, {length} per cell, interleaved; "
        "CPU only; client and server on this machine",
        *(f"- `{name}`: {text}" for name, text in ABOUT.items()),
        "- Each connection has one request under way. server, client: the cores that each kept busy",
        *(f"- Skipped: {name}: {reason}" for name, reason in skipped.items()),
        "\nMedians over the rounds.\n",
        table(cells),
    ]
    return "\n".join(lines) + "\n"


def plot(cells: Sequence[Cell], file: Path) -> None:
    """Requests a second at the most connections, over those of the no-op model."""
    most = max(cell.connections for cell in cells)
    of_most = [cell for cell in cells if cell.connections == most]
    rates = {(cell.model, cell.server): cell.of("requests_per_second") for cell in of_most}
    models = list(dict.fromkeys(cell.model for cell in of_most))
    series = {
        server: [rates[name, server] / rates[name, FLOOR] for name in models] for server in (OURS, BATCHED)
    }
    label = f"requests/s of {most} connections, of no-op"
    save_bars(models, series, {OURS: BLUE, BATCHED: SKY}, label, file)


def serving(settings: ServingSettings) -> int:
    """Measure, print a table, write it, a plot and JSON. Returns the exit status."""
    about = machine.describe()
    where = [sys.executable, "-m", "savedmodel", "--cmake-dir"]
    package = subprocess.run(where, capture_output=True, text=True).stdout.strip()
    program, reason = build_program("serving", f"-Dsavedmodel_DIR={package}")
    if program is None:
        print(f"The server cannot be built: {reason}. examples/server/README.md says what it needs.")
        return 1
    skipped: dict[str, str] = {}
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory() as folder, progress(len(settings.models) * settings.rounds) as step:
        for name in settings.models:
            missing = ensure_model(MODELS[name])
            if missing is not None:
                skipped[name] = missing
                continue
            version = Path(folder) / name / "1"
            version.parent.mkdir()
            version.symlink_to(MODELS[name].saved_model)
        arguments = [f"--models={folder}", f"--threads={settings.threads}"]
        with (
            serve(server_of(program), *arguments) as plain,
            serve(server_of(program), *arguments, "--batching") as batching,
        ):
            running = {OURS: plain, BATCHED: batching}
            for name in settings.models:
                try:
                    if name not in skipped:
                        cells += measure(name, program, running, settings, step)
                except ProcessError as error:
                    skipped[name] = str(error)
    text = report(cells, settings, about, skipped)
    print(text)
    data = {
        "machine": about,
        "threads": settings.threads,
        "round_seconds": settings.seconds,
        "skipped": skipped,
        "serving": [cell.as_json() for cell in cells],
    }
    written = write_results(settings.stem, text, data)
    picture = settings.stem.with_suffix(".png")
    if cells:
        plot(cells, picture)
    print(f"Written: {written}, {picture}")
    return 0 if cells else 1
