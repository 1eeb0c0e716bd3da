"""Dense networks and transformers."""

from __future__ import annotations

from ..recipe import Recipe
from .draw import Draw, words
from .images import ACTIVATIONS, BIASES, NORMS, ORDERS, SCALES

LAYER_NORMS = words("function rsqrt rsqrt_square divided factor rms centred std mean_of_squares")
MASKS = words("- - keys where select causal causal_sum both heads turned")
UNITS = [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 24, 31, 32, 33, 64, 100]


class _Rows(Draw):
    def __init__(self, seed: int) -> None:
        super().__init__("rows", seed)
        self.width = self.of(UNITS)
        self.steps = self.of([1, 2, 3, 5, 7, 8, 13, 16, 20, 33])
        self.known_steps = True

    def norm_options(self) -> dict[str, object]:
        return self.options(gamma=["-", "-", False], beta=["-", "-", False], epsilon=["-", 1e-5, 1e-6, 0.1])

    def grow(self, x: int, sequence: bool) -> int:
        kinds = ["dense"] * 4 + ["norm"] * 3 + ["softmax", "activation", "chain", "product", "feed_forward"]
        if sequence:
            kinds += ["attention"] * 5 + ["plain_attention", "conv1d", "positions", "moved", "feed_forward"]
        return int(getattr(self, f"_{self.of(kinds)}")(x))

    def _dense(self, x: int) -> int:
        self.width = self.of(UNITS)
        return self.step(
            "dense",
            x,
            **self.options(
                units=self.width,
                how=["-", "-", "einsum", "tensordot", "reshaped", "conv1d", "matmul"],
                turned=["-", "-", True],
                bias=BIASES,
                scale=SCALES,
                norm=["-", "-", "-", *NORMS[4:8]],
                order=ORDERS,
                activation=ACTIVATIONS,
            ),
        )

    def _norm(self, x: int) -> int:
        options = self.options(
            kind=LAYER_NORMS, axis=["-", "-", "-", "-", 1], activation=["-", "-", *ACTIVATIONS]
        )
        return self.step("norm", x, **options, **self.norm_options())

    def _softmax(self, x: int) -> int:
        kinds = ["-", "-", "log", "shifted", "scaled", "bare"]
        return self.step("softmax", x, **self.options(kind=kinds, axis=["-", "-", "-", 1]))

    def _activation(self, x: int) -> int:
        return self.step("activation", x, activation=self.of(ACTIVATIONS))

    def _chain(self, x: int) -> int:
        hows, shapes = (
            ["add", "mul", "sub", "from", "div", "turned"],
            ["channel", "scalar", "ones", "short", "one"],
        )
        chain = [f"{self.of(hows)} {self.of(shapes)}" for _ in range(self.between(1, 5))]
        return self.step("chain", x, chain=chain, activation=self.of(ACTIVATIONS))

    def _product(self, x: int) -> int:
        y = self.step("activation", x, activation=self.of(ACTIVATIONS))
        return self.step("product", x, y, kind=self.of(["sum", "sum", "product", "maximum"]))

    def _feed_forward(self, x: int) -> int:
        return self.step(
            "feed_forward",
            x,
            **self.options(
                hidden=UNITS,
                activation=ACTIVATIONS,
                gated=["-", "-", True],
                turned=["-", True],
                bias=BIASES,
                last=BIASES,
                norm=["-", *LAYER_NORMS],
            ),
            **self.norm_options(),
        )

    def _attention(self, x: int) -> int:
        source = (
            x if self.chance(0.7) else self.step("moved", x, kind=self.of(["first", "reversed", "twice"]))
        )
        return self.step(
            "attention",
            x,
            source,
            **self.options(
                heads=[1, 2, 3, 4],
                depth=[1, 2, 4, 5, 8, 16, 17],
                key_heads=["-", "-", "-", 1, 2],
                value_depth=["-", "-", 3, 8],
                project=["-", "dense"],
                bias=["-", False],
                scaled=["-", "-", "key", "scores", "divided", "not"],
                factor=["-", "-", 0.3, -0.5, 1.0],
                how=["-", "matmul", "matmul", "key_turned", "swapped"],
                mask=MASKS,
                low=["-", "-", -1e4, -1.0],
                softmax=["-", "-", "-", "-", "bare"],
                cap=["-", "-", "-", "-", True],
                seen=["-", "-", "-", "-", True],
                residual=["-", True],
            ),
        )

    def _plain_attention(self, x: int) -> int:
        return self.step("plain_attention", x, x, factor=self.of([0.3, 1.0, -0.2]))

    def _conv1d(self, x: int) -> int:
        self.width = self.of(UNITS)
        stride = self.of([1, 1, 2])
        return self.step(
            "conv1d",
            x,
            **self.options(
                filters=self.width,
                size=[1, 3, 5],
                padding=["-", "causal"],
                stride=["-" if stride == 1 else stride],
                dilation=["-" if stride > 1 else 2, "-"],
                bias=BIASES,
                norm=NORMS[4:8],
                activation=ACTIVATIONS,
            ),
        )

    def _positions(self, x: int) -> int:
        return self.step("positions", x, kind=self.of(["learned", "rotated"]))

    def _moved(self, x: int) -> int:
        kinds = ["transposed", "reversed", "first", "shifted", "cumsum"]
        return self.step("moved", x, kind=self.of(kinds))


def make(seed: int) -> Recipe:
    draw = _Rows(seed)
    sequence = draw.chance(0.75)
    batches = [draw.of([1, 1, 2, 3, 4, 7]) for _ in range(2)]
    if draw.chance(0.07):
        batches[1] = 0
    steps = [draw.steps, draw.steps if draw.chance(0.6) else draw.of([1, 4, 9, 17])]
    if draw.chance(0.05):
        steps[1] = 0
    if not sequence:
        shape: list[int | None] = [None, draw.width]
        sizes = [[batch, draw.width] for batch in batches]
    else:
        shape = [None, draw.steps if steps[0] == steps[1] and draw.chance(0.6) else None, draw.width]
        sizes = [[batch, count, draw.width] for batch, count in zip(batches, steps, strict=True)]
    if sequence and draw.chance(0.2):
        ids = draw.input(shape[:2], [size[:2] for size in sizes], "int32", scale=10)
        x = draw.step("embedding", ids, **draw.options(units=draw.width, how=["-", "lookup"]))
    else:
        x = draw.input(shape, sizes, **draw.extremes())
    for _ in range(draw.between(1, 6)):
        x = draw.grow(x, sequence)
    outputs = [x]
    if sequence and draw.chance(0.3):
        outputs = [draw.step("last", x, kind=draw.of(["mean", "max", "first"]))]
    return draw.done(*outputs)
