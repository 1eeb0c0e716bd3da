"""Dense layers, GELU, layer normalization, attention and softmax: the same results, from fewer ops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from . import goldens
from .helpers import Load

COUNTS = {
    "encoder_exact": {"gelu": 2, "layer_norm": 4, "dense": 12, "attention": 2, "softmax": 0},
    "encoder_tanh": {"gelu": 2, "layer_norm": 4, "dense": 12, "attention": 2, "softmax": 0},
    "dense_epilogues": {"gelu": 1, "layer_norm": 0, "dense": 10, "softmax": 0},
    "norm_forms": {"gelu": 0, "layer_norm": 2, "dense": 0, "softmax": 0},
    "mlp": {"gelu": 0, "layer_norm": 0, "dense": 3, "softmax": 1},
}


def _counts(model: sm.Model) -> dict[str, int]:
    report = next(r for r in model.prepare() if "serving_default" in r.function or r.optimized)
    return {p.name: p.count for p in report.passes}


@pytest.mark.parametrize("name", COUNTS)
def test_results_and_counts(load: Load, models: Path, name: str) -> None:
    plain, optimized = load(name, optimize="none"), load(name, optimize="default")
    (_, signature), run = next(iter(goldens.read(models / f"{name}.npz").items()))
    feeds = goldens.feeds(run, plain.signatures[signature])
    for batch in 1, None, 200:  # 200 is more than the small loops are for
        part = {k: np.resize(v, (batch or len(v), *v.shape[1:])) for k, v in feeds.items()}
        expected = plain.signatures[signature](**part)
        results = optimized.signatures[signature](**part)
        for key, value in expected.items():
            scale = float(np.abs(value).max())
            np.testing.assert_allclose(results[key], value, rtol=0, atol=1e-5 * scale)
    counts = _counts(optimized)
    assert {key: counts[key] for key in COUNTS[name]} == COUNTS[name]


def test_empty_batch(load: Load) -> None:
    data = np.zeros((0, 12), np.float32)
    (result,) = load("dense_epilogues")(data=data).values()
    assert result.shape[0] == 0


def test_large_batch(load: Load) -> None:
    """What is not small runs in TensorFlow's own fused kernel."""
    data = np.random.default_rng(0).standard_normal((20_000, 12)).astype(np.float32)
    (expected,) = load("dense_epilogues", optimize="none")(data=data).values()
    (result,) = load("dense_epilogues")(data=data).values()
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))
