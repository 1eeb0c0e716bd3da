"""`python -m benchmarks.exactness`: how far each path is from the same network in float64.

Two float32 answers that differ by more than expected may both be as good as float32 allows: rounding errors
grow with depth. The float64 answer, from the same weights, tells whose are larger.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from savedmodel._bench.progress import progress
from savedmodel._process import ProcessError

from . import machine
from .files import RESULTS, write_results
from .models import MODELS, ModelSpec, input_files, run_module
from .paths import PEER_PATHS, child_command
from .peers.measure import missing_paths
from .table import markdown
from .worker import Worker

NETWORKS = ("mobilenet_v2", "resnet50", "efficientnet_b0")  # that Keras builds in float64 as well
PATHS = tuple(name for name, path in PEER_PATHS.items() if path.precision == "float32")
Answer = Mapping[str, NDArray[Any]]


def exact_answer(model: ModelSpec) -> Answer | str:
    """In float64, for the benchmark's own input; or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.npz"
        reason = run_module("benchmarks.zoo.exact", model.name, str(file))
        if reason is not None:
            return reason
        with np.load(file) as stored:
            return dict(stored)


def answer_of(path: str, model: ModelSpec) -> Answer:
    with Worker(child_command(path, model, 1, input_files(model, 1))) as worker:
        worker.receive()
        return worker.outputs()


def difference(answer: Answer, reference: Answer) -> tuple[float, float]:
    """The largest one, and the root of the mean square, both over the largest value of `reference`."""
    (of,), (to,) = answer.values(), reference.values()
    off = np.asarray(of, np.float64) - to
    scale = float(np.abs(to).max())
    return float(np.abs(off).max()) / scale, float(np.sqrt(np.mean(off**2))) / scale


def measure(name: str, skipped: dict[str, str]) -> list[dict[str, Any]]:
    model = MODELS[name]
    skipped.update({f"{path} ({name})": reason for path, reason in missing_paths(model, PATHS).items()})
    exact = exact_answer(model) if f"tf2 ({name})" not in skipped else skipped[f"tf2 ({name})"]
    if isinstance(exact, str):
        skipped[name] = exact
        return []
    answers = {}
    for path in PATHS:
        if f"{path} ({name})" in skipped:
            continue
        try:
            answers[path] = answer_of(path, model)
        except ProcessError as error:
            skipped[f"{path} ({name})"] = str(error)
    records = []
    for path, answer in answers.items():
        most, mean = difference(answer, exact)
        record = {"model": name, "path": path, "largest": most, "root_mean_square": mean}
        if "tf2" in answers:
            record["from_tf2"] = difference(answer, answers["tf2"])[0]
        records.append(record)
    return records


def report(records: list[dict[str, Any]], about: dict[str, Any], skipped: dict[str, str]) -> str:
    keys = ("largest", "root_mean_square", "from_tf2")
    rows = [
        [one["model"], one["path"], *(f"{one[key]:.1e}" if key in one else "-" for key in keys)]
        for one in records
    ]
    lines = [
        "# Distance from the answer in float64\n",
        *machine.lines(about),
        *(f"- Skipped: {name}: {reason}" for name, reason in skipped.items()),
        "\nBatch 1; differences over the answer's largest value. `from tf2`: the largest one from the answer",
        "of TensorFlow's Python, which is rounded as well.\n",
        markdown(["Model", "Path", "largest", "root mean square", "from tf2"], rows, left=2),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exactness", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--output", type=Path, default=Path(os.path.relpath(RESULTS)), metavar="DIR")
    options = parser.parse_args()
    about = machine.describe((*machine.PACKAGES, "onnxruntime", "openvino"))
    skipped: dict[str, str] = {}
    records = []
    with progress(len(options.models)) as step:
        for name in options.models:
            step(name)
            records += measure(name, skipped)
    text = report(records, about, skipped)
    print(text)
    data = {"machine": about, "skipped": skipped, "exactness": records}
    print(f"Written: {write_results(options.output / 'exactness', text, data)}")
    return 0 if records else 1


if __name__ == "__main__":
    raise SystemExit(main())
