"""Our ops on inputs of no elements, or of sizes that do not fit, answer as TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Array, Load
from .tensorflow_child import TensorFlow

Outcome = Array | type[sm.Error]
IMAGES: list[tuple[int, ...]] = [
    (0, 6, 6, 8),
    (2, 0, 6, 8),
    (2, 6, 0, 8),
    (0, 0, 0, 8),
    (1, 6, 6, 8),
    (2, 1, 1, 8),
    (2, 6, 7, 8),
]
SEQUENCES: list[tuple[int, ...]] = [(0, 5, 8), (2, 0, 8), (0, 0, 8), (1, 5, 8), (3, 5, 8), (2, 5, 8)]
ROWS: list[tuple[int, ...]] = [(0, 8), (3, 8)]
ATTENTION = [  # samples, positions, heads
    ((2, 5, 4), (2, 7, 4), (2, 7, 4)),
    ((2, 5, 4), (2, 7, 1), (2, 7, 1)),
    ((2, 5, 4), (2, 7, 4), (2, 7, 1)),
    ((2, 5, 4), (1, 7, 4), (1, 7, 4)),
    ((1, 5, 4), (2, 7, 4), (2, 7, 4)),
    ((3, 5, 4), (2, 7, 4), (2, 7, 4)),
    ((2, 5, 4), (2, 7, 2), (2, 7, 2)),
    ((2, 5, 4), (2, 7, 4), (2, 6, 4)),
    ((2, 5, 4), (2, 0, 4), (2, 0, 4)),
    ((0, 5, 4), (0, 7, 4), (0, 7, 4)),
    ((2, 0, 4), (2, 7, 4), (2, 7, 4)),
]


def outcome(call: Callable[[], dict[str, Array]]) -> Outcome:
    try:
        return call()["y"]
    except sm.Error as error:
        return type(error)


def check(model: str, load: Load, threads: int, feeds: Callable[[str], list[dict[str, Array]]]) -> None:
    """Each signature answers as the graph does that nobody has optimized."""
    plain, ours = (load(model, optimize=level, threads=threads) for level in ("none", "default"))
    for name, signature in ours.signatures.items():
        for inputs in feeds(name):
            what = f"{name} of {[value.shape for value in inputs.values()]}"
            expected: Any = outcome(lambda: plain.signatures[name](**inputs))  # noqa: B023
            result: Any = outcome(lambda: signature(**inputs))  # noqa: B023
            if isinstance(expected, type):
                assert result is expected, what
            else:
                assert isinstance(result, np.ndarray), f"{what}: {result}"
                assert result.shape == expected.shape, what
                np.testing.assert_allclose(result, expected, 1e-4, 1e-5, err_msg=what)
    assert all(report.optimized for report in ours.prepare())


def normal(*shape: int) -> Array:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2])
def test_images(load: Load, threads: int) -> None:
    check("edges_images", load, threads, lambda _: [{"x": normal(*shape)} for shape in IMAGES])


@pytest.mark.parametrize("shape", [(0, 6, 6, 8), (0, 4, 9, 8)])
def test_no_images_have_tensorflows_shapes(
    load: Load, models: Path, tmp_path: Path, tensorflow: TensorFlow, shape: tuple[int, ...]
) -> None:
    """Against its Python, for on no images "none" and "default" run the same graph. Of a copy with optimized
    graphs too, whose load opens no session."""
    load("edges_images").save_optimized(tmp_path / "copy")
    with sm.load(tmp_path / "copy") as copy:
        ours = [load("edges_images", optimize="none"), load("edges_images"), copy]
        for name in "gray", "grouped", "pointwise", "depthwise":
            inputs = {"x": np.zeros(shape, np.float32)}
            expected = tensorflow.run("v2", models / "edges_images", name, inputs)["y"].shape
            assert [model.signatures[name](inputs)["y"].shape for model in ours] == [expected] * 3, name
        assert all("read from" in "".join(report.notes) for report in copy.prepare())


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_and_sequences(load: Load, threads: int) -> None:
    def feeds(name: str) -> list[dict[str, Array]]:
        shapes = ROWS if name == "two_dense" else SEQUENCES
        if "_of_two" in name or name.endswith(("lstm_states", "gru_states")):
            shapes = [shape for shape in shapes if shape[0] == 2]
        return [{"x": normal(*shape)} for shape in shapes]

    check("edges_rows", load, threads, feeds)


@pytest.mark.parametrize("threads", [1, 2])
def test_attention(load: Load, threads: int) -> None:
    def feeds(name: str) -> list[dict[str, Array]]:
        orders = [(0, 1, 2) if name == "einsum" else (0, 2, 1) for _ in ATTENTION]
        return [
            {k: normal(*(size[i] for i in order), 4) for k, size in zip("qkv", sizes, strict=True)}
            for order, sizes in zip(orders, ATTENTION, strict=True)
        ]

    check("edges_attention", load, threads, feeds)
