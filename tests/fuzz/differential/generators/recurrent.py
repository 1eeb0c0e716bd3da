"""Recurrent networks."""

from __future__ import annotations

from typing import Any

from ..recipe import Recipe
from .draw import Draw

UNITS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 64]


class _Recurrent(Draw):
    def layer(self, x: int, steps: int | None, sequences: bool, fixed: bool) -> int:
        kind = self.of(["LSTM"] * 5 + ["GRU"] * 5 + ["SimpleRNN", "cell", "cells"])
        both = self.chance(0.25) and kind in ("LSTM", "GRU", "SimpleRNN")
        options: dict[str, Any] = self.options(
            kind=kind,
            units=UNITS,
            library=["keras", "tf_keras"],
            mask=["-", "-", "-", "any", "right", "left", "never"],
            use_bias=["-", "-", "-", False],
            spread=["-", 0.1, 1.5],
        )
        options["sequences"] = sequences
        plain = self.chance(0.5)
        if plain:
            options.pop("mask", None)
            options |= self.options(reset_after=["-", "-", False], backwards=["-", "-", True])
        elif kind in ("LSTM", "GRU", "SimpleRNN"):
            options |= self.options(
                backwards=["-", "-", True],
                states=["-", "-", True],
                initial=["-", "-", "-", True],
                dropout=["-"] * 4 + [0.3],
                recurrent_dropout=["-"] * 6 + [0.2],
                activation=["-"] * 6 + ["relu", "linear", "sigmoid"],
                recurrent=["-"] * 5 + ["hard_sigmoid", "tanh"],
                reset_after=["-", False],
                implementation=["-", 1],
                time_major=["-"] * 5 + [True],
            )
        if not plain and steps is not None and 0 < steps < 6 and self.chance(0.15):
            options["unroll"] = True
        if fixed and not both and not plain and self.chance(0.3):
            options["stateful"] = True
        if both:
            for key in ("states", "initial", "time_major", "stateful"):
                options.pop(key, None)
            options |= self.options(both=True, merge=["-", "sum", "mul", "ave"])
            options.pop("backwards", None)
        if options.get("stateful"):
            options.pop("initial", None)
        if options.get("time_major") and (options.get("unroll") or options.get("stateful")):
            options.pop("time_major")
        return self.step("recurrent", x, **options)

    def loop(self, x: int, sequences: bool) -> int:
        return self.step(
            "loop",
            x,
            **self.options(
                kind=["lstm", "lstm", "gru", "simple"],
                units=UNITS,
                backwards=["-", "-", True],
                joined=["-", True],
                forget=["-", 1.0],
                cell=["-", "-", True],
                limit=["-", "-", 3] if not sequences else "-",
                maximum=["-", "-", 2] if not sequences else "-",
            ),
            sequences=sequences,
        )


def make(seed: int) -> Recipe:
    draw = _Recurrent("recurrent", seed)
    width = draw.of([1, 2, 3, 5, 8, 17, 32])
    known = draw.of([1, 2, 3, 4, 7, 12])
    fixed = draw.chance(0.3)
    batches = [draw.of([1, 1, 2, 3, 5, 8]) for _ in range(2)]
    steps = [known, known]
    free = draw.chance(0.5)
    if free:
        steps[1] = draw.of([1, 2, 6, 15])
    if fixed:
        batches[1] = batches[0]
    elif draw.chance(0.05):
        batches[1] = 0
    numbers = draw.extremes() if draw.chance(0.3) else {}
    shape = [batches[0] if fixed else None, None if free else known, width]
    sizes = [[batch, count, width] for batch, count in zip(batches, steps, strict=True)]
    x = draw.input(shape, sizes, **numbers)
    draw.recipe["form"] = "v2"
    depth = draw.of([1, 1, 1, 2, 3])
    if draw.chance(0.25):
        draw.recipe["form"] = "v1" if draw.chance(0.6) else "v2"
        for i in range(depth):
            x = draw.loop(x, i + 1 < depth or draw.chance(0.5))
    elif draw.chance(0.08):
        x = draw.step("conv_recurrent", x, filters=draw.of([1, 2, 4]), sequences=draw.chance(0.5))
    else:
        for i in range(depth):
            x = draw.layer(x, None if free else known, i + 1 < depth or draw.chance(0.5), fixed)
    if draw.chance(0.4):
        x = draw.step(
            "dense", x, units=draw.of([1, 3, 8]), bias="bias_add", activation=draw.of(["none", "relu"])
        )
    return draw.done(x)
