"""The ways a recipe is run: TensorFlow's Python, op by op, and savedmodel with each setting."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import savedmodel as sm
import tensorflow as tf

from . import ops  # noqa: F401  (enters the steps)
from .build import Builder, v1
from .recipe import Array, Outcome, Recipe, data

OURS = [("none", 1), ("default", 1), ("none", 2), ("default", 2)]
WRITES = {"written", "counter", "written_weights", "conditional_write"}
HUGE = 1e12
ERRORS = (sm.Error, ValueError, TypeError, KeyError, RuntimeError)


def keeps_state(recipe: Recipe) -> bool:
    return any(s["op"] in WRITES or s["options"].get("stateful") for s in recipe["steps"])


def order(recipe: Recipe) -> list[int]:
    """The calls in the order in which they are made; without state, the first comes again."""
    count = len(recipe["inputs"][0]["sizes"])
    return [*range(count)] if keeps_state(recipe) else [*range(count), 0]


def _nudge(values: Array, seed: int) -> Array:
    """Each number as it is or moved by one unit in the last place."""
    if values.dtype.kind != "f":
        return values
    away = np.random.default_rng(seed).choice([-np.inf, np.nan, np.inf], size=values.shape)
    moved = np.nextafter(values, away.astype(values.dtype))
    return np.where(np.isnan(away) | ~np.isfinite(moved), values, moved)


def _calls(
    recipe: Recipe, run: Callable[[dict[str, Array]], dict[str, Array]], nudged: int = 0
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for call in order(recipe):
        feeds = {
            f"x{i}": _nudge(values, nudged) if nudged else values
            for i, values in enumerate(data(recipe, call))
        }
        try:
            outcomes.append({key: np.array(value) for key, value in run(feeds).items()})
        except (*ERRORS, tf.errors.OpError) as error:
            outcomes.append(f"{type(error).__name__}: {error}"[:500])
    return outcomes


def tensorflow(recipe: Recipe, folder: Path, names: list[str]) -> list[Outcome]:
    if recipe["form"] == "v2":
        signature = tf.saved_model.load(str(folder)).signatures["serving_default"]

        def call(feeds: dict[str, Array]) -> dict[str, Array]:
            results = signature(**{key: tf.constant(value) for key, value in feeds.items()})
            return {key: value.numpy() for key, value in results.items()}

        return _calls(recipe, call)
    return _in_session(recipe, folder, names, v1.ConfigProto())


def unoptimized(recipe: Recipe, folder: Path, names: list[str]) -> list[Outcome]:
    """In TensorFlow's session, without its graph optimizer."""
    config = v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return _in_session(recipe, folder, names, config)


def _in_session(recipe: Recipe, folder: Path, names: list[str], config: Any) -> list[Outcome]:
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        graph = v1.saved_model.load(session, ["serve"], str(folder))
        fetches = {key: info.name for key, info in graph.signature_def["serving_default"].outputs.items()}

        def run(feeds: dict[str, Array]) -> dict[str, Array]:
            named = {f"{key}:0": value for key, value in feeds.items()}
            results: dict[str, Array] = session.run(fetches, named)
            for name in names:
                results[name] = session.run(name, named)
            return results

        return _calls(recipe, run)


def savedmodel(recipe: Recipe, folder: Path, names: list[str], optimize: Any, threads: int) -> list[Outcome]:
    try:
        model = sm.load(folder, optimize=optimize, threads=threads)
    except ERRORS as error:
        return [f"load: {type(error).__name__}: {error}"[:500]] * len(order(recipe))
    with model:

        def run(feeds: dict[str, Array]) -> dict[str, Array]:
            results = dict(model.signatures["serving_default"].run(feeds))
            for name in names:
                named = {f"{key}:0": value for key, value in feeds.items()}
                results[name] = model.run([name], named)[0]
            return results

        return _calls(recipe, run)


class OpByOp:
    """`exact`: in float64; `shaken`, if not 0: with weights and inputs moved by about a rounding, by seed."""

    def __init__(self, recipe: Recipe, exact: bool, shaken: int = 0) -> None:
        self.recipe = recipe
        self.builder = Builder(recipe, exact=exact, shaken=shaken, eager=True)

    def _wide(self, values: Array) -> Any:
        # ml_dtypes' bfloat16 is of kind "V" to numpy.
        if values.dtype.kind not in "fV" or not self.builder.exact:
            return tf.constant(values)
        wide = values.astype(np.float64)
        if self.builder.shaken:
            wide = wide * (
                1 + 2.0**-24 * np.sign(np.random.default_rng(self.builder.shaken).normal(size=wide.shape))
            )
        return tf.constant(wide)

    def run(self, feeds: dict[str, Array], names: list[str]) -> dict[str, Array]:
        values = self.builder(*(self._wide(value) for value in feeds.values()))
        results = {f"y{i}": values[i].numpy() for i in self.recipe["outputs"]}
        for name, i in zip(names, self.recipe["fetches"], strict=True):
            results[name] = values[i].numpy()
        return results


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def exact(recipe: Recipe, names: list[str], shaken: int = 0) -> list[Outcome]:
    run = OpByOp(recipe, True, shaken)
    return _calls(recipe, lambda feeds: run.run(feeds, names))


def nudged(recipe: Recipe, names: list[str], seed: int) -> tuple[list[Outcome], list[Outcome]]:
    """Op by op, as TensorFlow has it and in float64, for the inputs next to the recipe's own."""
    own, wide = OpByOp(recipe, False), OpByOp(recipe, True)
    return (
        _calls(recipe, lambda feeds: own.run(feeds, names), seed),
        _calls(recipe, lambda feeds: wide.run(feeds, names), seed),
    )


def cancels(recipe: Recipe, names: list[str]) -> list[bool]:
    """Of each call, whether a step's values are so large that sums of others vanish beside them."""
    run = OpByOp(recipe, True)

    def largest(feeds: dict[str, Array]) -> dict[str, Array]:
        run.run(feeds, names)
        values = [np.abs(v.numpy()) for v in run.builder.values if v.dtype.is_floating]
        return {"huge": np.array(any((v[np.isfinite(v)] > HUGE).any() for v in values))}

    return [isinstance(found, dict) and bool(found["huge"]) for found in _calls(recipe, largest)]


def op_by_op(recipe: Recipe, names: list[str]) -> list[Outcome]:
    run = OpByOp(recipe, False)
    return _calls(recipe, lambda feeds: run.run(feeds, names))
