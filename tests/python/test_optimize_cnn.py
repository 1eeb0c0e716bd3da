"""Convolutional networks give the same with and without the optimizer, and its passes fire on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .helpers import HAS_BFLOAT16, Load, run_python

EXPECTED = {
    "conv_residual": {"affine": 8, "pad": 2, "residual": 2, "pointwise": 5},
    "conv_mobile": {
        "affine": 11,
        "pad": 3,
        "hard swish": 3,
        "residual": 3,
        "pointwise": 12,
        "depthwise": 3,
        "bottleneck": 3,
        "squeeze-excite": 6,
        "arithmetic": 1,
    },
    "conv_wide": {"affine": 1, "residual": 1, "winograd": 4, "depthwise": 1, "squeeze-excite": 1},
    "conv_bottleneck": {"affine": 11, "residual": 2, "pointwise": 7, "depthwise": 4, "bottleneck": 4},
    "conv_v1": {"affine": 2, "batch norm": 1, "residual": 1, "pointwise": 1, "arithmetic": 1},
    "conv_grouped": {"affine": 6},
    "conv_factors": {"affine": 1, "arithmetic": 1},
    "conv_over_time": {
        "dilations": 5,
        "affine": 1,
        "over time": 25,
        "pad": 6,
        "pointwise": 4,
        "activation over time": 6,
    },
    "conv_dilated": {"dilations": 2, "affine": 1},
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("batch", [1, 3])
def test_results_stay(load: Load, name: str, batch: int) -> None:
    generator = np.random.default_rng(7)
    plain, optimized = (
        load(name, optimize=level).signatures["serving_default"] for level in ["none", "default"]
    )
    (key, info), *_ = plain.inputs.items()
    assert info.shape is not None
    shape = [size or 1 for size in info.shape[1:]]
    image = generator.normal(size=(batch, *shape)).astype(np.float32)
    expected, results = plain.run({key: image}), optimized.run({key: image})
    again = optimized.run({key: image})
    assert set(results) == set(expected)
    for output, value in expected.items():
        np.testing.assert_allclose(results[output], value, rtol=0, atol=1e-5 * np.abs(value).max())
        np.testing.assert_array_equal(again[output], results[output])


@pytest.mark.parametrize("name", EXPECTED)
def test_passes_fire(load: Load, name: str) -> None:
    model = load(name)
    function = model.signatures["serving_default"]
    (key, info), *_ = function.inputs.items()
    assert info.shape is not None
    function.run({key: np.zeros([size or 1 for size in info.shape], np.float32)})
    report = next(one for one in model.prepare() if "serving_default" in one.function)
    assert report.optimized
    counts = {step.name: step.count for step in report.passes}
    assert {step: counts[step] for step in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.skipif(not HAS_BFLOAT16, reason="no bfloat16 on this CPU")
@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - {"conv_grouped", "conv_factors", "conv_dilated"}))
def test_passes_fire_in_bfloat16(load: Load, name: str) -> None:
    model = load(name, optimize="bf16")
    report = next(one for one in model.prepare() if "serving_default" in one.function)
    counts = {step.name: step.count for step in report.passes}
    assert {step: counts[step] for step in EXPECTED[name]} == EXPECTED[name]
    products = sum(counts[step] for step in ["pointwise", "winograd", "dense", "activation over time"])
    assert counts["bf16"] == products > 0

    function, exact = model.signatures["serving_default"], load(name).signatures["serving_default"]
    (key, info), *_ = function.inputs.items()
    assert info.shape is not None
    image = np.random.default_rng(7).normal(size=[size or 2 for size in info.shape]).astype(np.float32)
    for output, value in exact.run({key: image}).items():
        error = np.abs(function.run({key: image})[output] - value).max() / np.abs(value).max()
        assert 0 < error < 0.1, output  # each product is off by 0.4 % at most


def test_groups_without_onednn(models: Path) -> None:
    """TensorFlow then has no kernel for what its optimizer makes of a grouped convolution and its bias."""
    code = f"""
import numpy as np, savedmodel as sm
path = {str(models / "conv_grouped")!r}
image = np.random.default_rng(7).normal(size=(3, 14, 13, 12)).astype(np.float32)
expected = sm.load(path, optimize="none")(image)
model = sm.load(path)
result = model(image)
for name, value in expected.items():
    np.testing.assert_allclose(result[name], value, rtol=0, atol=1e-5 * np.abs(value).max())
report, = model.prepare()
print(report.optimized, *[step.count for step in report.passes if step.name == "grouped"])
"""
    output, _ = run_python(code, TF_ENABLE_ONEDNN_OPTS="0")
    assert output.split() == ["True", "6"]


def test_what_tensorflow_must_not_fold(load: Load) -> None:
    model = load("conv_factors")
    model(np.zeros((1, 2, 2, 3), np.float32))
    (report,) = model.prepare()
    assert report.optimized
    assert [note for note in report.notes if "constant folding is left out: the factors behind node" in note]
