"""Random graphs, run by TensorFlow, in float64, and by us; and that the fuzzer sees what is wrong."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from differential.compare import compare
from differential.generators import GENERATORS
from differential.recipe import Outcome, Recipe, data, pruned
from differential.reduce import reduce
from differential.supervisor import Supervisor

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"
RECIPE: Recipe = {
    "generator": "arithmetic",
    "seed": 0,
    "form": "v1",
    "dtype": "float32",
    "inputs": [
        {
            "shape": [None, 4],
            "dtype": "float32",
            "scale": 1.0,
            "offset": 0.0,
            "special": [],
            "sizes": [[3, 4], [5, 4]],
        }
    ],
    "steps": [
        {"id": 0, "op": "unary", "inputs": [0], "options": {"kind": "tanh"}},
        {"id": 1, "op": "chain", "inputs": [1], "options": {"chain": ["add channel", "mul channel"]}},
        {"id": 2, "op": "unary", "inputs": [2], "options": {"kind": "abs"}},
    ],
    "outputs": [3],
    "fetches": [1],
}


SEEDS = {
    "images": (0, 16),
    "rows": (0, 16),
    "narrow": (0, 8),
    "state": (0, 12),
    "arithmetic": (0, 10),
    "recurrent": (0, 6),
}
"""Of each generator the first ones; a recurrent graph takes as long as five others."""


def test_graphs_by_seed() -> None:
    """TensorFlow, float64 and ours agree."""
    seeds = [f"{name}={begin}:{end}" for name, (begin, end) in SEEDS.items()]
    done = subprocess.run(
        [sys.executable, "-m", "differential", *seeds],
        cwd=FUZZ,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    for name in GENERATORS:
        begin, end = SEEDS[name]
        assert f"{name}: {end - begin} seeds" in done.stdout
    assert "died" not in done.stdout
    assert "no graph" not in done.stdout


@pytest.mark.parametrize("generator", sorted(GENERATORS))
def test_a_seed_is_one_recipe(generator: str) -> None:
    first, again, other = (GENERATORS[generator](seed) for seed in (5, 5, 6))
    assert first == again != other
    assert all(np.array_equal(a, b) for a, b in zip(data(first, 0), data(again, 0), strict=True))


def outcome(change: float = 0.0, at: float = 1.0) -> list[Outcome]:
    values = np.array([1.0, -2.0, at], np.float32)
    values[0] += np.float32(change)
    return [{"y": values}]


EXACT: list[Outcome] = [{"y": np.array([1.0, -2.0, 1.0])}]
WRONG: dict[str, tuple[list[Outcome], list[Outcome]]] = {
    "values": (outcome(1e-4), outcome()),
    "places": (outcome(at=np.nan), outcome()),
    "shape": ([{"y": np.zeros((1, 3), np.float32)}], outcome()),
    "dtype": ([{"y": np.array([1.0, -2.0, 1.0])}], outcome()),
    "outputs": ([{}], outcome()),
    "refused": (["UnimplementedError: no"], outcome()),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_differs_is_found(kind: str) -> None:
    ours, theirs = WRONG[kind]
    assert [f["kind"] for f in compare("default/1", ours, theirs, EXACT, [EXACT], RECIPE)] == [kind]


def test_an_answer_to_what_is_refused_is_found() -> None:
    refused: list[Outcome] = ["InvalidArgumentError: no"]
    assert [f["kind"] for f in compare("none/1", outcome(), refused, refused, [], RECIPE)] == ["answered"]
    assert not compare("none/1", refused, refused, refused, [], RECIPE)


def test_an_error_as_large_as_tensorflows_is_none() -> None:
    assert not compare("default/1", outcome(1e-4), outcome(8e-5), EXACT, [EXACT], RECIPE)
    assert not compare("default/1", outcome(2e-7), outcome(), EXACT, [EXACT], RECIPE)


def test_an_output_that_tensorflow_has_right_by_chance_is_measured_next_to_it() -> None:
    def found(nudged: float) -> int:
        near = [(outcome(nudged), EXACT)]
        return len(compare("default/1", outcome(1e-4), outcome(), EXACT, [EXACT], RECIPE, outcome(), near))

    assert found(1e-5) == 1
    assert found(6e-5) == 0


def test_a_loop_that_blows_up_roundings_may_differ_by_more() -> None:
    def found(error: float, moved: float) -> int:
        shaken: list[Outcome] = [{"y": np.array([1.0 + moved, -2.0, 1.0])}]
        return len(compare("default/1", outcome(error), outcome(), EXACT, [shaken], RECIPE))

    assert found(3e-3, 1e-3) == 0
    assert found(1e-2, 1e-3) == 1
    assert found(3e-4, 1e-4) == 1


def test_steps_that_nothing_needs_are_pruned() -> None:
    recipe = copy.deepcopy(RECIPE)
    recipe["steps"][1] = {"id": 1, "op": "same", "inputs": [1], "options": {}}
    recipe["fetches"] = []
    smaller = pruned(recipe)
    assert [step["id"] for step in smaller["steps"]] == [0, 2]
    assert smaller["steps"][1]["inputs"] == [1]
    assert smaller["outputs"] == [2]


class Fails(Supervisor):
    """As if every chain with a product failed."""

    def judge(self, recipe: Recipe, skip: list[str] | None = None) -> dict[str, Any]:
        wrong = any("mul channel" in step["options"].get("chain", []) for step in recipe["steps"])
        return {"findings": [{"kind": "values"}] if wrong else []}


def test_a_failure_is_cut_down() -> None:
    smaller, found = reduce(RECIPE, {"values"}, Fails())
    assert [(step["op"], step["options"]) for step in smaller["steps"]] == [
        ("chain", {"chain": ["mul channel"]})
    ]
    assert smaller["fetches"] == []
    assert max(max(smaller["inputs"][0]["sizes"])) == 1
    assert found["findings"]
