"""The graphs of `images` and `rows`, in float16 and bfloat16."""

from __future__ import annotations

from ..recipe import Recipe
from . import images, rows


def make(seed: int) -> Recipe:
    recipe = (images, rows)[seed % 2].make(seed)
    recipe["generator"] = "narrow"
    recipe["dtype"] = ("float16", "bfloat16")[seed // 2 % 2]
    for spec in recipe["inputs"]:
        if spec["dtype"] == "float32":
            spec.update(dtype=recipe["dtype"], scale=1.0, offset=0.0)
    return recipe
