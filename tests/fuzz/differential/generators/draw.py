"""What generators share: choices, inputs, and a recipe that grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from ..recipe import Input, Options, Recipe, stream

T = TypeVar("T")


def words(text: str) -> list[str]:
    return text.split()


class Draw:
    def __init__(self, generator: str, seed: int) -> None:
        self.random = stream(generator, seed)
        self.recipe: Recipe = {
            "generator": generator,
            "seed": seed,
            "form": "v1" if self.chance(0.5) else "v2",
            "dtype": "float32",
            "inputs": [],
            "steps": [],
            "outputs": [],
            "fetches": [],
        }

    def chance(self, p: float) -> bool:
        return bool(self.random.random() < p)

    def of(self, choices: Sequence[T]) -> T:
        return choices[int(self.random.integers(len(choices)))]

    def between(self, low: int, high: int) -> int:
        """Both included."""
        return int(self.random.integers(low, high + 1))

    def options(self, **choices: Any) -> Options:
        """Lists are drawn from; what is drawn as "-" is left at the step's default."""
        drawn = {key: self.of(value) if isinstance(value, list) else value for key, value in choices.items()}
        return {key: value for key, value in drawn.items() if not (isinstance(value, str) and value == "-")}

    def extremes(self) -> dict[str, Any]:
        """Mostly common numbers; now and then huge ones, tiny ones, and none."""
        scale, offset, special = 1.0, 0.0, list[str]()
        if self.chance(0.15):
            scale = self.of([1e-30, 1e-8, 1e-3, 30.0, 1e4, 1e8])
        if self.chance(0.1):
            offset = self.of([-1.0, 3.0, 100.0, -1000.0]) * scale
        if self.chance(0.12):
            special = [self.of(["nan", "inf", "-inf", "zero", "subnormal", "max"])]
        return {"scale": scale, "offset": offset, "special": special}

    def input(
        self, shape: Sequence[int | None], sizes: list[list[int]], dtype: str = "float32", **numbers: Any
    ) -> int:
        spec: Input = {
            "shape": list(shape),
            "dtype": dtype,
            "scale": numbers.get("scale", 1.0),
            "offset": numbers.get("offset", 0.0),
            "special": numbers.get("special", []),
            "sizes": sizes,
        }
        self.recipe["inputs"].append(spec)
        return len(self.recipe["inputs"]) - 1

    def step(self, op: str, *inputs: int, **options: Any) -> int:
        number = len(self.recipe["steps"])
        if "frozen" not in options and self.chance(0.3):
            options["frozen"] = True
        self.recipe["steps"].append({"id": number, "op": op, "inputs": list(inputs), "options": options})
        return len(self.recipe["inputs"]) + number

    def done(self, *outputs: int) -> Recipe:
        """With some of what is between fetched as well."""
        first = len(self.recipe["inputs"])
        count = first + len(self.recipe["steps"])
        seen = list(outputs)
        if self.chance(0.3):
            seen.append(self.between(first, count - 1))
        self.recipe["outputs"] = list(dict.fromkeys(seen))
        if self.recipe["form"] == "v1" and self.chance(0.4):
            self.recipe["fetches"] = [self.between(first, count - 1)]
        return self.recipe
