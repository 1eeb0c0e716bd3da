"""Small ops in a row, on tensors of every shape and dtype."""

from __future__ import annotations

from ..recipe import Recipe
from .draw import Draw, words

UNARY = words(
    "neg abs square sqrt rsqrt reciprocal exp log1p log sin tanh sigmoid erf cube double_neg zero one "
    "itself identity stop half sign cast where where_nan softmax"
)
BINARY = words("add add sub mul mul div no_nan div_no_nan max min squared_difference add_n fma where stack")
WHOLE = words("add sub mul max min floordiv mod equal less square")
SHAPED = words("expanded flat turned there_and_back tiled cut strided concat split pad gather squeezed")
REDUCED = ["sum", "mean", "max", "min", "prod", "logsumexp", "norm"]
AXES = [[-1], [0], [0, 1], [1, 2]]
SIZES = [0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 65, 200]


def make(seed: int) -> Recipe:
    draw = Draw("arithmetic", seed)
    draw.recipe["dtype"] = draw.of(["float32"] * 6 + ["float64", "float16", "bfloat16"])
    dtype = draw.recipe["dtype"]
    rank = draw.of([0, 1, 2, 2, 3, 3, 4, 4, 5])
    sizes = [[draw.of(SIZES[:10] if rank > 2 else SIZES) for _ in range(rank)] for _ in range(2)]
    if rank and draw.chance(0.75):
        sizes = [[max(1, n) for n in size] for size in sizes]
    if draw.chance(0.03) and rank:
        sizes[0][0] = draw.of([3000, 20000]) if rank < 3 else sizes[0][0]
    free = [draw.chance(0.4) for _ in range(rank)]
    if rank:
        free[-1] = draw.chance(0.1)
    shape = [None if f else n for f, n in zip(free, sizes[0], strict=True)]
    sizes[1] = [m if f else n for f, n, m in zip(free, *sizes, strict=True)]
    if draw.chance(0.15):
        x = draw.input(shape, sizes, draw.of(["int32", "int64", "uint8"]), scale=50, offset=0)
        for _ in range(draw.between(1, 4)):
            x = draw.step(
                "whole", x, kind=draw.of(WHOLE), shape=draw.of([[], [1], [shape[-1] or 1] if rank else []])
            )
        if draw.chance(0.5):
            x = draw.step("to_float", x)
        return draw.done(x)
    numbers = draw.extremes()
    if dtype in ("float16", "bfloat16"):
        numbers = {**numbers, "scale": 1.0, "offset": 0.0}
    values = [draw.input(shape, sizes, dtype, **numbers)]
    if draw.chance(0.4):
        values.append(draw.input(shape, sizes, dtype, **numbers))
    same_shape = list(values)
    for _ in range(draw.between(1, 9)):
        x = draw.of(values[-2:])
        kind = draw.of(["unary"] * 3 + ["binary"] * 2 + ["constant"] * 4 + ["chain", "reduced", "shaped"])
        if kind == "unary":
            y = draw.step("unary", x, kind=draw.of(UNARY if rank else UNARY[:-1]))
        elif kind == "binary":
            y = draw.step("binary", draw.of(same_shape), draw.of(same_shape), kind=draw.of(BINARY))
        elif kind == "constant":
            last = shape[-1] if rank and shape[-1] else 1
            other = draw.of(
                [[], [1], [last], [last], [1] * rank, [1] * (rank + 1), [3, 1, 1], [2, *[1] * rank]]
            )
            y = draw.step(
                "with_constant",
                draw.of(same_shape),
                kind=draw.of(BINARY),
                shape=other,
                turned=draw.chance(0.4),
                mean=draw.of([0.3, 0.0, 1.0]),
                scale=draw.of([0.5, 0.0, 2.0]),
            )
            if len(other) > rank or other[:1] in ([2], [3]):
                values.append(y)
                continue
        elif kind == "chain" and rank and shape[-1]:
            hows, shapes = ["add", "mul", "sub", "from", "div"], ["channel", "scalar", "ones", "short", "one"]
            items = [f"{draw.of(hows)} {draw.of(shapes[:3])}" for _ in range(draw.between(2, 6))]
            y = draw.step("chain", draw.of(same_shape), chain=items)
        else:
            name, options = "shaped", draw.options(kind=SHAPED, axis=[0, 1, 2, 3])
            if kind == "reduced":
                name, options = "reduced", draw.options(kind=REDUCED, axes=AXES, keep=[True, True, False])
            values.append(draw.step(name, x, **options))
            continue
        values.append(y)
        if kind != "unary" or x in same_shape:
            same_shape.append(y)
    return draw.done(values[-1], draw.of(values[-3:]))
