"""A graph as plain data, so that it can be printed, cut down and replayed.

Values are numbered: the inputs first, then one a step. What a step's weights are depends on the recipe's seed
and on the step's own `id` alone, so that they stay when other steps go.
"""

from __future__ import annotations

import copy
import zlib
from typing import Any, TypedDict

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Options = dict[str, Any]
Outcome = dict[str, Array] | str
"""What a call gave, or the error."""


class Input(TypedDict):
    shape: list[int | None]
    dtype: str
    scale: float
    offset: float
    special: list[str]  # "nan", "inf", "-inf", "zero", "subnormal", "max": put into some places
    sizes: list[list[int]]  # the shape in each call


class Step(TypedDict):
    id: int
    op: str
    inputs: list[int]
    options: Options


class Recipe(TypedDict):
    generator: str
    seed: int
    form: str  # "v1": a graph with tensors by name; "v2": a tf.function
    dtype: str
    inputs: list[Input]
    steps: list[Step]
    outputs: list[int]
    fetches: list[int]  # fetched by tensor name, "v1" only


SPECIAL = {
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "zero": 0.0,
    "subnormal": 1e-41,
    "max": 3e38,
}


def stream(*key: int | str) -> np.random.Generator:
    """Random numbers that depend on the key alone."""
    return np.random.default_rng([zlib.crc32(k.encode()) if isinstance(k, str) else k for k in key])


def calls(recipe: Recipe) -> int:
    return len(recipe["inputs"][0]["sizes"])


def data(recipe: Recipe, call: int) -> list[Array]:
    """What the inputs are given in one call."""
    result = []
    for i, spec in enumerate(recipe["inputs"]):
        random = stream(recipe["seed"], "input", i, call)
        size = spec["sizes"][call]
        dtype = np.dtype(spec["dtype"])
        values: Array
        if dtype.kind == "b":
            values = random.random(size) < 0.6
        elif dtype.kind in "iu":
            values = np.asarray(random.integers(0, max(1, int(spec["scale"])), size) + int(spec["offset"]))
        else:
            values = np.asarray(random.normal(size=size) * spec["scale"] + spec["offset"])
            for name in spec["special"]:
                places = random.random(size) < 0.02
                if values.size:
                    places.flat[int(random.integers(values.size))] = True
                values = np.where(places, SPECIAL[name], values)
        with np.errstate(over="ignore"):
            result.append(np.array(values.astype(dtype), order="C"))
    return result


def pruned(recipe: Recipe) -> Recipe:
    """Without the steps that nothing needs; "same" steps become what they pass on."""
    result = copy.deepcopy(recipe)
    first = len(result["inputs"])
    stands_for = list(range(first + len(result["steps"])))
    for at, step in enumerate(result["steps"], first):
        step["inputs"] = [stands_for[i] for i in step["inputs"]]
        if step["op"] == "same":
            stands_for[at] = step["inputs"][0]
    for key in ("outputs", "fetches"):
        result[key] = list(dict.fromkeys(stands_for[i] for i in result[key]))
    needed = set(result["outputs"] + result["fetches"])
    for at in reversed(range(first, len(stands_for))):
        if at in needed:
            needed.update(result["steps"][at - first]["inputs"])
    kept = [at for at in range(len(stands_for)) if at < first or at in needed]
    number = {at: i for i, at in enumerate(kept)}
    result["steps"] = [result["steps"][at - first] for at in kept if at >= first]
    for step in result["steps"]:
        step["inputs"] = [number[i] for i in step["inputs"]]
    for key in ("outputs", "fetches"):
        result[key] = [number[i] for i in result[key]]  # type: ignore[literal-required]
    return result


def listing(recipe: Recipe) -> str:
    """A line for each input and step."""
    lines = [
        f"{recipe['generator']} {recipe['seed']}: {recipe['form']}, {recipe['dtype']}, "
        f"outputs {recipe['outputs']}, fetches {recipe['fetches']}"
    ]
    for i, spec in enumerate(recipe["inputs"]):
        lines.append(f"  {i}: input {spec}")
    for at, step in enumerate(recipe["steps"], len(recipe["inputs"])):
        arguments = ", ".join(str(i) for i in step["inputs"])
        options = "".join(f", {k}={v!r}" for k, v in step["options"].items())
        lines.append(f"  {at}: {step['op']}({arguments}{options})  # id {step['id']}")
    return "\n".join(lines)
