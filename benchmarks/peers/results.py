"""The results file: runs on their machines, and records that a later run replaces one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from ..models import MODELS, ROOT
from ..paths import ALL_PATHS, PEER_PATHS

Record = dict[str, Any]
# Rounding to bfloat16 or int8 grows to tenths in a deep network with random weights: this finds garbage only.
GARBAGE = 0.5
PEERS = ("ort", "openvino")


def engine(path: str) -> str:
    return path.removesuffix("_bf16").removesuffix("_int8")


def setup(run: Record) -> tuple[Any, ...]:
    """What has to be equal for two runs to be comparable."""
    return run["cpu"], run["cores"], run["python"], tuple(sorted(run["versions"].items(), key=str))


def limit(record: Record) -> float:
    """An answer further than this from TensorFlow's, over its scale, is another one."""
    plain = ALL_PATHS[record["path"]].precision == "float32"
    return MODELS[record["model"]].tolerance if plain else GARBAGE


def wrong(record: Record) -> bool:
    difference = record.get("relative_difference")
    return difference is not None and not difference <= limit(record)


@dataclass(frozen=True)
class Row:
    """All paths of one precision on one case; by engine: tf2, savedmodel, ort, ..."""

    model: str
    batch: int
    threads: int
    precision: str
    records: dict[str, Record]

    def value(self, name: str, key: str = "p50_us") -> float | None:
        """None where it was not measured, or the answer was wrong."""
        record = self.records.get(name, {})
        return None if wrong(record) else record.get(key)

    def best_peer(self, key: str = "p50_us") -> str | None:
        known = [name for name in PEERS if self.value(name, key) is not None]
        return min(known, key=lambda name: self.value(name, key) or 0.0, default=None)

    def gain(self, name: str | None, key: str = "p50_us") -> float | None:
        """Time of `name` over that of savedmodel: above 1, savedmodel is faster."""
        ours, theirs = self.value("savedmodel", key), self.value(name or "", key)
        return theirs / ours if ours and theirs else None

    def interleaved(self, name: str | None) -> bool:
        """Whether it was timed in the same rounds as savedmodel."""
        run = [self.records.get(each, {}).get("run") for each in (name or "", "savedmodel")]
        return run[0] == run[1]


@dataclass
class Results:
    runs: dict[str, Record] = field(default_factory=dict)
    latency: list[Record] = field(default_factory=list)
    cold: list[Record] = field(default_factory=list)

    @staticmethod
    def read(file: Path) -> Results:
        if not file.is_file():
            return Results()
        data = json.loads(file.read_text(encoding="utf-8"))
        return Results(data["runs"], data["latency"], data["cold_start"])

    def write(self, file: Path) -> None:
        """Complete or not at all. Runs that no record comes from any more are forgotten."""
        used = {record["run"] for record in (*self.latency, *self.cold)}
        data = {
            "runs": {name: run for name, run in self.runs.items() if name in used},
            "latency": self.latency,
            "cold_start": self.cold,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        # One line a record: a text that people can read and git can compare.
        text = ",\n".join(
            f'"{key}": '
            + (
                "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}"
                if isinstance(value, dict)
                else "[\n" + ",\n".join(json.dumps(one) for one in value) + "\n]"
            )
            for key, value in data.items()
        )
        unfinished.write_text("{\n" + text + "\n}\n", encoding="utf-8")
        unfinished.replace(file)

    def used_runs(self) -> list[Record]:
        used = {record["run"] for record in (*self.latency, *self.cold)}
        return [run for name, run in self.runs.items() if name in used]

    def add_run(self, about: Record) -> str:
        name = about["date"]
        self.runs[name] = about
        return str(name)

    def _merge(
        self, old: list[Record], new: Sequence[Record], run: str, key: Callable[[Record], Any]
    ) -> None:
        for record in new:
            if "skipped" in record:  # where this checkout lies is nobody's business
                record["skipped"] = record["skipped"].replace(f"{ROOT}/", "")
        replaced = {key(record) for record in new}
        kept = [record for record in old if key(record) not in replaced]
        models, paths = list(MODELS), list(ALL_PATHS)
        order = [*PEER_PATHS, *(name for name in paths if name not in PEER_PATHS)]
        old[:] = sorted(
            [*kept, *({**record, "run": run} for record in new)],
            key=lambda one: (
                models.index(one["model"]),
                one.get("batch", 0),
                one.get("threads", 0),
                order.index(one["path"]),
            ),
        )

    def merge_latency(self, new: Sequence[Record], run: str) -> None:
        self._merge(self.latency, new, run, lambda r: (r["model"], r["batch"], r["threads"], r["path"]))

    def merge_cold(self, new: Sequence[Record], run: str) -> None:
        for record in new:
            if "seconds" in record:
                record["median_seconds"] = median(record["seconds"])
                record["median_mb"] = median(record["peak_rss_mb"])
                for kind in ("rss_mb", "private_mb"):
                    if record.get(kind):
                        record[f"median_{kind}"] = median(record[kind])
        self._merge(self.cold, new, run, lambda r: (r["model"], r["path"]))

    def has_latency(self, model: str, batch: int, threads: int, paths: Sequence[str], about: Record) -> bool:
        found = {
            one["path"]
            for one in self.latency
            if (one["model"], one["batch"], one["threads"]) == (model, batch, threads)
            and setup(self.runs[one["run"]]) == setup(about)
        }
        return found >= set(paths)

    def has_cold(self, model: str, paths: Sequence[str], about: Record) -> bool:
        found = {
            one["path"]
            for one in self.cold
            if one["model"] == model and setup(self.runs[one["run"]]) == setup(about)
        }
        return found >= set(paths)

    def rows(self) -> list[Row]:
        """In the order of the models, batches, threads and precisions."""
        table: dict[tuple[str, int, int, str], dict[str, Record]] = {}
        for one in self.latency:
            precision = ALL_PATHS[one["path"]].precision
            key = (one["model"], one["batch"], one["threads"], precision)
            table.setdefault(key, {})[engine(one["path"])] = one
        return [Row(*key, records) for key, records in table.items()]
