"""From a recipe to TensorFlow: as a graph to save, or op by op."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .recipe import Array, Options, Recipe, Step, stream

v1 = tf.compat.v1
Op = Callable[..., Any]
OPS: dict[str, Op] = {}


def op(function: Op) -> Op:
    """Enters a step's function, which is given a `Node` and the step's inputs."""
    OPS[function.__name__] = function
    return function


class Builder:
    """Runs the steps of a recipe, and owns their variables.

    `eager` is op by op, `exact` in float64 as well; `shaken`, if not 0, is a seed by which each weight
    moves by about one rounding.
    """

    def __init__(self, recipe: Recipe, exact: bool = False, shaken: int = 0, eager: bool = False) -> None:
        self.recipe = recipe
        self.exact = exact
        self.eager = exact or eager
        self.shaken = shaken
        self.own = np.dtype(getattr(tf, recipe["dtype"]).as_numpy_dtype)
        self.dtype = tf.float64 if exact else getattr(tf, recipe["dtype"])
        self.kept: dict[tuple[int, str], Any] = {}
        self.values: list[Any] = []

    def rounded(self, values: Array) -> Array:
        """As the recipe's dtype holds them, in the dtype that is computed in."""
        result = np.asarray(values).astype(self.own)
        if not self.exact:
            return result
        wide: Array = result.astype(np.float64)
        if self.shaken:
            wide = wide * (
                1 + 2.0**-24 * np.sign(stream(len(self.kept), f"shake {self.shaken}").normal(size=wide.shape))
            )
        return wide

    def keep(self, key: tuple[int, str], make: Callable[[], Any]) -> Any:
        """What `make` makes outside of any function, once."""
        if key not in self.kept:
            if self.recipe["form"] == "v2" or self.eager:
                with tf.init_scope():
                    self.kept[key] = make()
            else:
                self.kept[key] = make()
        return self.kept[key]

    def __call__(self, *inputs: Any) -> list[Any]:
        values = list(inputs)
        for step in self.recipe["steps"]:
            node = Node(self, step)
            values.append(OPS[step["op"]](node, *(values[i] for i in step["inputs"])))
        self.values = values
        return values


class Node:
    """What a step's function knows of its step."""

    def __init__(self, builder: Builder, step: Step) -> None:
        self.builder = builder
        self.step = step
        self.options: Options = step["options"]
        self.dtype = builder.dtype
        self.exact = builder.exact

    def get(self, key: str, default: Any = None) -> Any:
        return self.options.get(key, default)

    def random(self, key: str) -> np.random.Generator:
        return stream(self.builder.recipe["seed"], self.step["id"], key)

    def values(self, key: str, shape: list[int], scale: float | None = None, mean: float = 0.0) -> Array:
        if scale is None:
            scale = 1.0 / np.sqrt(max(1, int(np.prod(shape[:-1]))))
        return self.builder.rounded(self.random(key).normal(size=shape) * scale + mean)

    def tensor(self, key: str, values: Array, frozen: bool = False) -> Any:
        """The weights as a variable or, if the step or the caller says so, as a constant."""
        if frozen or self.get("frozen", False):
            return tf.constant(values)
        if self.builder.recipe["form"] == "v2" or self.builder.eager:
            make = lambda: tf.Variable(values, trainable=False)  # noqa: E731
        else:
            make = lambda: v1.Variable(values, use_resource=True, trainable=False)  # noqa: E731
        return tf.convert_to_tensor(self.builder.keep((self.step["id"], key), make))

    def weight(self, key: str, shape: list[int], scale: float | None = None, mean: float = 0.0) -> Any:
        return self.tensor(key, self.values(key, shape, scale, mean))

    def variable(self, key: str, values: Array) -> Any:
        """The variable itself, to be written."""
        if self.builder.recipe["form"] == "v2" or self.builder.eager:
            return self.builder.keep((self.step["id"], key), lambda: tf.Variable(values, trainable=False))
        return self.builder.keep(
            (self.step["id"], key), lambda: v1.Variable(values, use_resource=True, trainable=False)
        )

    def constant(self, value: Any) -> Any:
        return tf.constant(self.builder.rounded(np.asarray(value)))


@op
def same(node: Node, x: Any) -> Any:
    """In the place of a step that was cut away."""
    return x


def _names(recipe: Recipe) -> tuple[list[str], list[str]]:
    return [f"x{i}" for i in range(len(recipe["inputs"]))], [f"y{i}" for i in recipe["outputs"]]


def save(recipe: Recipe, folder: Path) -> list[str]:
    """Writes the SavedModel; returns the names of the tensors in `fetches`."""
    return (_save_v1 if recipe["form"] == "v1" else _save_v2)(recipe, folder)


def _save_v1(recipe: Recipe, folder: Path) -> list[str]:
    keys, results = _names(recipe)
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = [
            v1.placeholder(i["dtype"], i["shape"], k) for k, i in zip(keys, recipe["inputs"], strict=True)
        ]
        builder = Builder(recipe)
        values = builder(*inputs)
        outputs = {k: tf.identity(values[i]) for k, i in zip(results, recipe["outputs"], strict=True)}
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), dict(zip(keys, inputs, strict=True)), outputs)
        return [values[i].name for i in recipe["fetches"]]


def _save_v2(recipe: Recipe, folder: Path) -> list[str]:
    keys, results = _names(recipe)
    builder = Builder(recipe)
    module = tf.Module()

    def call(*inputs: Any) -> dict[str, Any]:
        values = builder(*inputs)
        return {k: tf.identity(values[i]) for k, i in zip(results, recipe["outputs"], strict=True)}

    specs = [tf.TensorSpec(i["shape"], i["dtype"], k) for k, i in zip(keys, recipe["inputs"], strict=True)]
    signature = tf.function(call, input_signature=specs, autograph=False).get_concrete_function()
    module.kept = [list(getattr(k, "tracked", [k])) for k in builder.kept.values()]
    tf.saved_model.save(module, str(folder), signatures=signature)
    return []
