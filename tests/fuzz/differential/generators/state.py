"""Loops, branches, calls, and state."""

from __future__ import annotations

from ..recipe import Recipe
from .draw import Draw, words
from .images import ACTIVATIONS

OPS = words(
    "branch branch switch repeat repeat nested mapped scanned called written written counter "
    "written_weights conditional_write checked unused_random table dense chain"
)


def make(seed: int) -> Recipe:
    draw = Draw("state", seed)
    width = draw.of([1, 2, 3, 5, 8, 16, 33])
    batches = [draw.of([1, 2, 3, 5]) for _ in range(3)]
    if draw.chance(0.07):
        batches[2] = 0
    sizes = [[batch, width] for batch in batches]
    if draw.chance(0.2):
        sizes = [sizes[0]] * 3
    x = draw.input(
        [sizes[0][0] if sizes[0] == sizes[1] == sizes[2] else None, width], sizes, **draw.extremes()
    )
    for _ in range(draw.between(1, 6)):
        name = draw.of(OPS)
        activation = draw.of(ACTIVATIONS)
        options = {
            "branch": draw.options(
                kind=["data", "size", "always", "never"], outside=["-", True], level=["-", 1.0]
            ),
            "repeat": draw.options(count=[0, 1, 3, 5], from_data=["-", True], inner=["-", True]),
            "nested": draw.options(count=[0, 2, 4]),
            "called": draw.options(twice=["-", False]),
            "written": draw.options(kind=["add", "sub", "assign"], before=["-", True]),
            "counter": draw.options(used=["-", False]),
            "conditional_write": draw.options(level=["-", 0, 10**6]),
            "checked": draw.options(limit=["-", "-", 6]),
            "unused_random": draw.options(kind=["zero", "seeded", "dropout"]),
            "dense": draw.options(units=width, bias=["bias_add", "add channel"]),
            "chain": {"chain": [draw.of(["add", "mul", "sub"]) + " channel" for _ in range(3)]},
        }.get(name, {})
        x = draw.step(name, x, **options, activation=activation)
    recipe = draw.done(x)
    # Fetching by name would run part of a graph, and change some of its variables only.
    if any(
        s["op"] in ("written", "counter", "written_weights", "conditional_write") for s in recipe["steps"]
    ):
        recipe["fetches"] = []
    return recipe
