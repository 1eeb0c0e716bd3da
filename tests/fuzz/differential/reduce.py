"""A failing recipe made small: whatever can go while it still fails in the same way goes."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

from .recipe import Recipe, pruned
from .supervisor import Supervisor


def _without_steps(recipe: Recipe) -> Iterator[Recipe]:
    for at in reversed(range(len(recipe["steps"]))):
        step = recipe["steps"][at]
        for source in dict.fromkeys(step["inputs"]):
            smaller = copy.deepcopy(recipe)
            smaller["steps"][at] = {"id": step["id"], "op": "same", "inputs": [source], "options": {}}
            yield pruned(smaller)


def _shorter(recipe: Recipe) -> Iterator[Recipe]:
    """Ends earlier: another value in place of all outputs."""
    first = len(recipe["inputs"])
    for at in range(first, first + len(recipe["steps"])):
        if recipe["outputs"] != [at] or recipe["fetches"]:
            yield pruned({**copy.deepcopy(recipe), "outputs": [at], "fetches": []})
    for at in recipe["outputs"]:
        if len(recipe["outputs"]) > 1:
            yield pruned({**copy.deepcopy(recipe), "outputs": [at]})


def _fewer_options(recipe: Recipe) -> Iterator[Recipe]:
    for at, step in enumerate(recipe["steps"]):
        for key in step["options"]:
            smaller = copy.deepcopy(recipe)
            del smaller["steps"][at]["options"][key]
            yield smaller
        for key, value in step["options"].items():
            if isinstance(value, list) and len(value) > 1 and isinstance(value[0], str):
                for i in range(len(value)):
                    smaller = copy.deepcopy(recipe)
                    del smaller["steps"][at]["options"][key][i]
                    yield smaller


def _plainer(recipe: Recipe) -> Iterator[Recipe]:
    count = len(recipe["inputs"][0]["sizes"])
    for call in range(count) if count > 1 else ():
        smaller = copy.deepcopy(recipe)
        for spec in smaller["inputs"]:
            # Two inputs may have one list.
            spec["sizes"] = spec["sizes"][:call] + spec["sizes"][call + 1 :]
        yield smaller
    for at, spec in enumerate(recipe["inputs"]):
        changes: list[dict[str, Any]] = [{"special": []}, {"scale": 1.0}, {"offset": 0.0}]
        for change in changes:
            if spec["dtype"].startswith(("float", "bfloat")) and {**spec, **change} != spec:
                smaller = copy.deepcopy(recipe)
                smaller["inputs"][at].update(change)  # type: ignore[typeddict-item]
                yield smaller
    if recipe["form"] == "v1":
        yield {**copy.deepcopy(recipe), "form": "v2", "fetches": []}


def _smaller_sizes(recipe: Recipe) -> Iterator[Recipe]:
    """Each axis of each input alone, in all calls."""
    for at, spec in enumerate(recipe["inputs"]):
        for axis in range(len(spec["shape"])):
            largest = max(size[axis] for size in spec["sizes"])
            for target in (1, 2, largest // 2, largest - 1):
                if 0 < target < largest:
                    smaller = copy.deepcopy(recipe)
                    inputs = smaller["inputs"] if axis == 0 else [smaller["inputs"][at]]
                    for other in inputs:
                        for size in other["sizes"]:
                            size[axis] = min(size[axis], target)
                        if other["shape"][axis] is not None:
                            other["shape"][axis] = target
                    yield smaller


def reduce(
    recipe: Recipe, kinds: set[str], supervisor: Supervisor, seconds: float = 120.0
) -> tuple[Recipe, dict[str, Any]]:
    """A smaller recipe with a finding of one of these kinds, and what was found in it."""
    end = time.monotonic() + seconds
    found: dict[str, Any] = {}
    smaller = True
    while smaller:
        smaller = False
        for candidates in (_shorter, _without_steps, _plainer, _fewer_options, _smaller_sizes):
            again = True
            while again:
                again = False
                for candidate in candidates(recipe):
                    if time.monotonic() > end:
                        return recipe, found
                    answer = supervisor.judge(candidate)
                    if {f["kind"] for f in answer.get("findings", [])} & kinds:
                        recipe, found = candidate, answer
                        smaller = again = True
                        break
    return recipe, found
