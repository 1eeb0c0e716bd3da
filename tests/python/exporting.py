"""Conversions in a process of their own, for many tests: importing TensorFlow takes seconds.

`python -m tests.python.exporting DEST GROUP...` runs each `export_cases_<GROUP>`, `done` reads its results.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import savedmodel as sm

ROOT = Path(__file__).resolve().parents[2]
Values = Mapping[str, Any]


@dataclass
class Outcome:
    """What became of a conversion."""

    path: Path
    report: str = ""
    error: str = ""
    """Its type and text."""
    existed: bool = False
    """There was something at its path afterwards."""
    left: list[str] = field(default_factory=list)
    """What else lay beside it."""
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By signature: the source's own answers, or none were recorded."""
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    tensorflow: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The answers of tf.saved_model.load, where asked for."""

    def check(self, signature: str = "serving_default", rtol: float = 1e-5) -> None:
        """Our answers, and TensorFlow's, are the source's."""
        assert self.error == "", self.error
        with sm.load(self.path) as model:
            function = model.signatures[signature]
            given = {
                key: value.astype(spec.dtype) if (spec := function.inputs[key]).dtype == "bfloat16" else value
                for key, value in self.inputs.get(signature, {}).items()
            }
            ours = function.run(given)
        for answers in (ours, self.tensorflow[signature]):
            assert answers.keys() == self.expected[signature].keys()
            for key, value in self.expected[signature].items():
                got = _array(answers[key])
                if got.dtype == object:
                    assert got.tolist() == np.asarray(value).tolist(), key
                else:
                    got, value = got.astype(np.float64), np.asarray(value).astype(np.float64)
                    np.testing.assert_allclose(got, value, rtol, rtol, err_msg=key)


class Work:
    """Where a case puts its files and its results."""

    def __init__(self, dest: Path) -> None:
        self.dest = dest
        self.outcomes: dict[str, Outcome] = {}

    def convert(self, name: str, convert: Callable[..., Any], source: Any, **options: Any) -> None:
        """Run one conversion to DEST/name/model, and note how it ended."""
        path = self.dest / name / "model"
        outcome = self.outcomes.setdefault(name, Outcome(path))
        try:
            outcome.report, outcome.error = repr(convert(source, path, **options)), ""
        except Exception as error:
            outcome.error = f"{type(error).__name__}: {error}"
        outcome.existed = path.exists()
        beside = path.parent.iterdir() if path.parent.exists() else ()
        outcome.left = [each.name for each in beside if each != path]

    def expect(self, name: str, inputs: Values, outputs: Values, signature: str = "serving_default") -> None:
        """Note the source's answers, and those of tf.saved_model.load."""
        import tensorflow as tf

        outcome = self.outcomes[name]
        outcome.inputs[signature] = {key: np.asarray(value) for key, value in inputs.items()}
        outcome.expected[signature] = {key: _array(value) for key, value in outputs.items()}
        if outcome.error:
            return
        function = tf.saved_model.load(str(outcome.path)).signatures[signature]
        names = function.structured_input_signature[1]
        # What TensorFlow's Python takes for no parameter has another name there.
        given = {
            key if key in names else f"arg_{key}".replace(" ", "_"): value for key, value in inputs.items()
        }
        answers = function(**{key: tf.constant(value) for key, value in given.items()})
        outcome.tensorflow[signature] = {key: _array(value.numpy()) for key, value in answers.items()}


def done(dest: Path, *groups: str) -> dict[str, dict[str, Outcome]]:
    """Run groups of cases. By group and name: what each conversion came to."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.python.exporting", str(dest), *groups],
        cwd=ROOT,
        env={
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return {group: _read(dest / group) for group in groups}


def _read(dest: Path) -> dict[str, Outcome]:
    found = {}
    for name, fields in json.loads((dest / "outcomes.json").read_text()).items():
        outcome = found[name] = Outcome(Path(fields.pop("path")), **fields)
        file = dest / f"{name}.npz"
        if file.exists():
            with np.load(file, allow_pickle=True) as arrays:
                for key in arrays.files:
                    kind, signature, value = key.split("|")
                    getattr(outcome, kind).setdefault(signature, {})[value] = arrays[key]
    return found


def main(dest: Path, group: str) -> None:
    dest.mkdir()
    cases = importlib.import_module(f"tests.python.export_cases_{group}")
    work = Work(dest)
    for name, case in vars(cases).items():
        if name.startswith("case_"):
            case(work)
    for name, outcome in work.outcomes.items():
        arrays = {
            f"{kind}|{signature}|{key}": _storable(value)
            for kind in ("inputs", "expected", "tensorflow")
            for signature, values in getattr(outcome, kind).items()
            for key, value in values.items()
        }
        if arrays:
            np.savez(dest / f"{name}.npz", **arrays)
    simple = {
        name: {
            "path": str(o.path),
            "report": o.report,
            "error": o.error,
            "existed": o.existed,
            "left": o.left,
        }
        for name, o in work.outcomes.items()
    }
    (dest / "outcomes.json").write_text(json.dumps(simple))


def _array(value: Any) -> Any:
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


def _storable(value: Any) -> Any:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


if __name__ == "__main__":
    for each in sys.argv[2:]:
        main(Path(sys.argv[1]) / each, each)
