"""Convolutional networks."""

from __future__ import annotations

from typing import Any

from ..recipe import Recipe
from .draw import Draw, words

# Names only: generators know no TensorFlow.
ACTIVATIONS = words(
    "none none relu relu relu6 leaky_relu leaky_maximum elu selu tanh sigmoid softplus softsign swish "
    "swish_by_hand swish_turned swish_1.702 hard_swish hard_swish_factor hard_swish_clipped "
    "hard_swish_shifted hard_sigmoid hard_sigmoid_0.2 gelu gelu_tanh gelu_erf gelu_erfc gelu_cube "
    "gelu_cube_products gelu_near mish clip maximum_0 capped abs twice negative"
)
BIASES = [
    "-",
    "bias_add",
    "bias_add",
    "add channel",
    "add ranked",
    "add scalar",
    "turned channel",
    "sub channel",
]
SCALES = ["-", "-", "-", "mul channel", "mul ranked", "mul scalar", "div channel", "add ones", "from channel"]
NORMS = words("- - fused fused function divided by_hand factor training")
ORDERS = ["-", "-", ["bias", "norm", "scale"], ["norm", "bias", "scale"], ["scale", "norm", "bias"]]
FILTERS = [1, 2, 3, 4, 5, 8, 12, 16, 17, 24, 32, 32, 33, 40, 48, 64, 64]


class _Images(Draw):
    def __init__(self, seed: int) -> None:
        super().__init__("images", seed)
        self.height = self.of([1, 2, 3, 5, 7, 8, 9, 13, 16])
        self.width = self.height if self.chance(0.6) else self.of([1, 2, 4, 6, 7, 11, 20])
        self.channels = self.of([1, 2, 3, 3, 4, 8, 16, 17, 32, 33, 40, 64])

    def layer(self, **more: Any) -> dict[str, Any]:
        return self.options(
            bias=BIASES, scale=SCALES, norm=NORMS, order=ORDERS, activation=ACTIVATIONS, **more
        )

    def window(self) -> dict[str, Any]:
        """A kernel that fits into the image."""
        kernel = self.of(
            [[1, 1], [1, 1], [3, 3], [3, 3], [3, 3], [5, 5], [2, 2], [1, 3], [3, 1], [7, 7], [4, 2]]
        )
        stride = self.of([[1, 1], [1, 1], [1, 1], [2, 2], [3, 3]])
        if self.channels >= 32 and self.chance(0.6):
            kernel, stride = [3, 3], [1, 1]  # with fewer products
        dilation = [1, 1] if stride != [1, 1] or self.chance(0.8) else self.of([[2, 2], [3, 3]])
        padding: Any = self.of(["SAME", "SAME", "SAME", "VALID"])
        pad: Any = None
        if self.chance(0.15):
            pad, padding = [[self.between(0, 3), self.between(0, 3)] for _ in range(2)], "VALID"
            self.height, self.width = self.height + sum(pad[0]), self.width + sum(pad[1])
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if padding == "VALID" and (reach[0] > self.height or reach[1] > self.width):
            padding = "SAME"
        if self.chance(0.08) and padding == "SAME":
            padding = [[reach[0] - 1, reach[0] // 2], [reach[1] // 2, reach[1] - 1]]
            self.height += sum(padding[0]) - reach[0] + 1
            self.width += sum(padding[1]) - reach[1] + 1
        elif padding == "VALID":
            self.height, self.width = self.height - reach[0] + 1, self.width - reach[1] + 1
        self.height, self.width = -(-self.height // stride[0]), -(-self.width // stride[1])
        chosen = {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding, "pad": pad}
        usual = {"kernel": [3, 3], "stride": [1, 1], "dilation": [1, 1], "padding": "SAME", "pad": None}
        return {key: value for key, value in chosen.items() if value != usual[key]}

    def grow(self, x: int) -> int:
        kind = self.of(
            ["conv"] * 6
            + ["depthwise"] * 3
            + ["bottleneck"] * 2
            + ["residual"] * 2
            + ["squeeze_excite"] * 2
            + [
                "batch_norms",
                "pad",
                "pool",
                "conv_transpose",
                "separable",
                "join",
                "shuffle",
                "resize",
                "activation",
                "scales",
                "conv3d",
            ]
        )
        method = getattr(self, f"_{kind}")
        return int(method(x))

    def _conv(self, x: int) -> int:
        filters = self.of(FILTERS)
        options = {**self.layer(), **self.window(), "filters": filters}
        if self.chance(0.2):
            options["groups"] = self.of([2, 3, 4, 8, self.channels])
        if self.chance(0.1):
            options["before"] = self.of(["mul channel", "sub channel", "add channel", "div channel"])
        self.channels = filters
        return self.step("conv", x, **options)

    def _depthwise(self, x: int) -> int:
        options = {**self.layer(), **self.window()}
        if isinstance(options.get("padding"), list):
            options["pad"], options["padding"] = options["padding"], "VALID"
        if self.chance(0.2) and self.channels < 30:
            options["multiplier"] = 2
            self.channels *= 2
        return self.step("depthwise", x, **options)

    def _separable(self, x: int) -> int:
        self.channels = self.of(FILTERS)
        return self.step("separable", x, filters=self.channels, **self.layer(multiplier=["-", 2]))

    def _conv_transpose(self, x: int) -> int:
        self.channels = self.of(FILTERS[:8])
        if self.height * self.width < 200:
            self.height, self.width = 2 * self.height, 2 * self.width
            return self.step("conv_transpose", x, filters=self.channels, **self.layer())
        return self.step("conv_transpose", x, filters=self.channels, stride=[1, 1], **self.layer())

    def _conv3d(self, x: int) -> int:
        self.channels = self.of(FILTERS[:6])
        return self.step("conv3d", x, filters=self.channels, **self.layer())

    def _bottleneck(self, x: int) -> int:
        options = self.options(
            expansion=[1, 2, 3, 4],
            norm=["fused", "fused", "bias", "products"],
            expand=["-", "-", False],
            activation=["relu6", "relu", "swish", "hard_swish", "none", "gelu", "leaky_relu"],
            last=["-", "-", "-", "relu", "swish"],
            residual=["-", False],
            turned=["-", True],
            seen=["-", "-", "-", "-", True],
            kernel=["-", [5, 5], [1, 3], [7, 7]],
            stride=["-", "-", [2, 2]],
        )
        if self.chance(0.5):
            options["filters"] = self.channels = self.of(FILTERS)
        stride = options.get("stride", [1, 1])[0]
        self.height, self.width = -(-self.height // stride), -(-self.width // stride)
        return self.step("bottleneck", x, **options)

    def _residual(self, x: int) -> int:
        options = self.options(
            bias=BIASES,
            norm=NORMS,
            activation=ACTIVATIONS,
            last=ACTIVATIONS,
            kernel=["-", [1, 1], [5, 5]],
            turned=["-", True],
            shared=["-", "-", "-", True],
            project=["-", "-", True],
        )
        if self.chance(0.6):
            options["filters"] = self.channels
        else:
            options["filters"] = self.channels = self.of(FILTERS)
        return self.step("residual", x, **options)

    def _squeeze_excite(self, x: int) -> int:
        return self.step(
            "squeeze_excite",
            x,
            **self.options(
                hidden=[1, 2, 3, 8],
                dense=["-", True],
                turned=["-", True],
                twice=["-", "-", "-", True],
                activation=["relu", "swish", "none", "relu6", "gelu"],
                bias=BIASES[:4],
                scale=BIASES[:4],
                gate=["sigmoid", "hard_sigmoid", "hard_sigmoid_0.2", "tanh", "none"],
                axes=["-", "-", "-", [2, 1], [1]],
            ),
        )

    def _batch_norms(self, x: int) -> int:
        return self.step("batch_norms", x, **self.options(norm=NORMS[2:], activation=ACTIVATIONS))

    def _pad(self, x: int) -> int:
        top, bottom, left, right = (self.between(0, 2) for _ in range(4))
        mode = self.of(["-", "-", "-", "REFLECT", "SYMMETRIC", "value"])
        if mode in ("REFLECT", "SYMMETRIC") and min(self.height, self.width) < 3:
            mode = "-"
        self.height, self.width = self.height + top + bottom, self.width + left + right
        return self.step("pad", x, **self.options(amounts=((top, bottom), (left, right)), mode=mode))

    def _pool(self, x: int) -> int:
        options = self.options(kind=["max", "mean"], size=[2, 3], stride=[1, 2])
        self.height, self.width = -(-self.height // options["stride"]), -(-self.width // options["stride"])
        return self.step("pool", x, **options)

    def _join(self, x: int) -> int:
        filters, how = self.of(FILTERS[:9]), self.of(["concat", "sum", "product"])
        self.channels = filters * 2 + self.channels if how == "concat" else filters
        return self.step("join", x, filters=filters, how=how, kernels=self.of([[1, 3], [1, 1], [3, 5]]))

    def _shuffle(self, x: int) -> int:
        return self.step("shuffle", x, groups=self.of([2, 3, 4]))

    def _resize(self, x: int) -> int:
        kind = self.of(["nearest", "depth_to_space", "transposed", "reversed", "cut", "nhwc", "flip"])
        if kind == "cut" and min(self.height, self.width) < 2:
            kind = "reversed"
        if kind in ("nearest", "depth_to_space"):
            if self.height * self.width > 200:
                return self.step("activation", x, activation="relu")
            self.height, self.width = 2 * self.height, 2 * self.width
        elif kind == "transposed":
            self.height, self.width = self.width, self.height
        elif kind == "cut":
            self.height, self.width = self.height - 1, self.width - 1
        return self.step("resize", x, kind=kind)

    def _activation(self, x: int) -> int:
        return self.step("activation", x, activation=self.of(ACTIVATIONS))

    def _scales(self, x: int) -> int:
        shapes = ["channel", "ranked", "scalar", "ones", "short", "one"]
        hows = ["add", "mul", "sub", "from", "div", "turned"]
        chain = [f"{self.of(hows)} {self.of(shapes)}" for _ in range(self.between(1, 5))]
        return self.step("chain", x, chain=chain, activation=self.of(ACTIVATIONS))


def make(seed: int) -> Recipe:
    draw = _Images(seed)
    batches = [draw.of([1, 1, 2, 3, 5]) for _ in range(2)]
    if draw.chance(0.06):
        batches[1] = 0
    size = [draw.height, draw.width, draw.channels]
    shape: list[int | None] = [None, *size]
    if draw.chance(0.15):
        shape[1] = shape[2] = None
    if draw.chance(0.2):
        batches[1] = batches[0]
        shape[0] = batches[0]
    sizes = [[batch, *size] for batch in batches]
    x = draw.input(shape, sizes, **draw.extremes())
    for _ in range(draw.between(1, 6)):
        x = draw.grow(x)
    outputs = [x]
    if draw.chance(0.4):
        rows = draw.step("pooled", x, kind=draw.of(["mean", "mean", "max"]))
        if draw.chance(0.7):
            rows = draw.step(
                "dense",
                rows,
                units=draw.of([1, 5, 10]),
                bias="bias_add",
                activation=draw.of(["none", "relu"]),
            )
            rows = draw.step("softmax", rows) if draw.chance(0.6) else rows
        outputs = [rows]
    return draw.done(*outputs)
