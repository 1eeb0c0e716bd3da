"""`python -m benchmarks.ray_data`: batch inference in a Ray Data pipeline, by savedmodel and by TensorFlow.

Both paths run the same pipeline (blocks of rows in memory, `map_batches` in one actor of one CPU, a sink), in
turn, with one thread a model. Rows a second are counted from the second batch to the last, so that neither
the start of the actor nor the load of the model count; the whole time is shown as well.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from savedmodel._bench.plots import BLUE, SKY, save_bars
from savedmodel._bench.progress import progress
from savedmodel.integrations.ray_data import SavedModelPredictor

from . import machine
from .files import RESULTS, write_results
from .models import MODELS, SEED, ModelSpec, choose_models, ensure_model
from .table import markdown, ratio

ROWS = {"mlp": 200_000, "wide_deep": 50_000, "mobilenet_v2": 1_000, "resnet50": 400}
BATCH = 64
BLOCKS = 8
TIMES = ("began", "ended")


class TensorFlowPredictor:
    """What one writes with TensorFlow: its signature, with the actor's threads."""

    def __init__(self, path: str) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._constant = tf.constant
        self._model = tf.saved_model.load(path)
        self._signature = self._model.signatures["serving_default"]
        self._names = list(self._signature.structured_input_signature[1])

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        # Strings are arrays of Python's str in Ray's batches, which it takes.
        results = self._signature(**{name: self._constant(batch[name]) for name in self._names})
        return {name: value.numpy() for name, value in results.items()}


def timed(predictor: Callable[[], Callable[[Any], dict[str, Any]]]) -> type:
    """An actor's class whose batches carry when they were computed."""

    class Timed:
        def __init__(self) -> None:
            self._call = predictor()

        def __call__(self, batch: Any) -> dict[str, Any]:
            began = time.time()
            results = self._call(batch)
            rows = len(next(iter(results.values())))
            return {**results, "began": np.full(rows, began), "ended": np.full(rows, time.time())}

    return Timed


def paths_of(spec: ModelSpec) -> dict[str, type]:
    path = str(spec.saved_model)
    return {
        "savedmodel": timed(lambda: SavedModelPredictor(path, keep=False)),
        "tensorflow": timed(lambda: TensorFlowPredictor(path)),
    }


@dataclass
class Run:
    """One run of the pipeline."""

    rows_a_second: float
    alone: float
    """Rows a second while the predictor computed: what Ray takes is left out."""
    whole_seconds: float


def run(dataset: Any, actor: type, batch: int) -> Run:
    import ray

    began = time.time()
    done = dataset.map_batches(
        actor,
        batch_size=batch,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=1,
    ).select_columns(list(TIMES))
    table = list(done.iter_batches(batch_size=None, batch_format="numpy"))
    whole = time.time() - began
    times = np.concatenate([np.stack([one[key] for key in TIMES], 1) for one in table])
    spans: np.ndarray[Any, np.dtype[np.float64]] = np.unique(times, axis=0)
    rows = sum(len(one["began"]) for one in table)
    seconds = float(spans[-1, 1] - spans[0, 1])
    busy = float((spans[1:, 1] - spans[1:, 0]).sum())
    return Run((rows - batch) / seconds, (rows - batch) / busy, whole)


def rows_of(spec: ModelSpec, rows: int) -> dict[str, Any]:
    random = np.random.default_rng(SEED)
    return {name: np.asarray(one.values(random, (rows, *one.row))) for name, one in spec.inputs.items()}


def measure(spec: ModelSpec, rows: int, batch: int, rounds: int) -> dict[str, list[Run]]:
    import ray

    columns = rows_of(spec, rows)
    size = -(-rows // BLOCKS)
    blocks = [
        {name: values[at : at + size] for name, values in columns.items()} for at in range(0, rows, size)
    ]
    dataset = ray.data.from_blocks([_block(one) for one in blocks]).materialize()
    found: dict[str, list[Run]] = {name: [] for name in paths_of(spec)}
    for _ in range(rounds):
        for name, actor in paths_of(spec).items():
            found[name].append(run(dataset, actor, batch))
    return found


def _block(columns: dict[str, Any]) -> Any:
    from ray.data.block import BlockAccessor

    decoded = {
        name: values.astype("U") if values.dtype.kind in "SO" else values for name, values in columns.items()
    }
    return BlockAccessor.batch_to_block(decoded)


def text_of(
    found: dict[str, dict[str, list[Run]]], about: dict[str, Any], options: argparse.Namespace
) -> str:
    def median(runs: list[Run], key: str) -> float:
        return float(statistics.median(getattr(one, key) for one in runs))

    rows = []
    for model, paths in found.items():
        for path, runs in paths.items():
            speed, alone = median(runs, "rows_a_second"), median(runs, "alone")
            rows.append(
                [
                    model,
                    path,
                    f"{speed:,.0f}",
                    f"{max(one.rows_a_second for one in runs):,.0f}",
                    ratio(speed, median(paths["tensorflow"], "rows_a_second")),
                    f"{alone:,.0f}",
                    ratio(alone, median(paths["tensorflow"], "alone")),
                    f"{median(runs, 'whole_seconds'):.1f}",
                ]
            )
    header = ["Model", "Path", "rows/s", "best", "x", "rows/s in the predictor", "x", "whole, s"]
    lines = [
        "# Batch inference with Ray Data\n",
        *machine.lines(about),
        f"- Settings: batches of {options.batch}, one actor of one CPU; medians of {options.rounds} rounds",
        "- x: of TensorFlow's; whole: with the start of the actor and of the model\n",
        markdown(header, rows, left=2),
    ]
    return "\n".join(lines) + "\n"


def plot(found: dict[str, dict[str, list[Run]]], file: Path) -> None:
    """Rows a second, over TensorFlow's."""

    def gain(paths: dict[str, list[Run]], key: str) -> float:
        ours, theirs = (
            statistics.median(getattr(one, key) for one in paths[name])
            for name in ("savedmodel", "tensorflow")
        )
        return float(ours / theirs)

    series = {
        "the pipeline": [gain(paths, "rows_a_second") for paths in found.values()],
        "the predictor alone": [gain(paths, "alone") for paths in found.values()],
    }
    colours = dict(zip(series, (BLUE, SKY), strict=True))
    save_bars(list(found), series, colours, "rows/s, of TensorFlow's", file)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_data", description=__doc__)
    add = parser.add_argument
    add("--models", default=",".join(ROWS), metavar="A,B", help=f"of {', '.join(ROWS)} (all)")
    add("--rounds", type=int, default=5, help="runs of each path (5)")
    add("--batch", type=int, default=BATCH, help=f"rows ({BATCH})")
    add("--scale", type=float, default=1.0, help="of the number of rows (1)")
    add("--output", type=Path, default=Path(os.path.relpath(RESULTS)), metavar="DIR")
    options = parser.parse_args()
    models = choose_models(parser, options.models, ROWS)
    import ray

    about = machine.describe((*machine.PACKAGES, "ray"))
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    found = {}
    with progress(len(models)) as step:
        for name in models:
            step(name)
            if reason := ensure_model(MODELS[name]):
                print(f"Skipped: {name}: {reason}")
                continue
            rows = max(4 * options.batch, int(ROWS[name] * options.scale))
            found[name] = measure(MODELS[name], rows, options.batch, options.rounds)
    text = text_of(found, about, options)
    print(text)
    data = {
        name: {path: [asdict(one) for one in runs] for path, runs in paths.items()}
        for name, paths in found.items()
    }
    stem = options.output / "ray_data"
    written = write_results(stem, text, {"machine": about, "models": data})
    plot(found, stem.with_suffix(".png"))
    print(f"Written: {written}, {stem.with_suffix('.png')}")
    return 0 if found else 1


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
