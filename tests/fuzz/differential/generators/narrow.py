"""The graphs of `images` and `rows`, in float16 and bfloat16."""

from __future__ import annotations

from ..recipe import Recipe
from . import images, rows


def make(seed: int) -> Recipe:
    recipe: Recipe = images.make(seed) if seed % 2 == 0 else rows.make(seed)
    recipe["generator"] = "narrow"
    recipe["dtype"] = ("float16", "bfloat16")[seed // 2 % 2]
    for spec in recipe["inputs"]:
        if spec["dtype"] == "float32":
            spec["dtype"], spec["scale"], spec["offset"] = recipe["dtype"], 1.0, 0.0
    return recipe
