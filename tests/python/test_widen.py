"""float16 and bfloat16 are computed in float32; the golden models compare with float32's results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import HAS_BFLOAT16, Load

ROWS = np.random.default_rng(5).normal(size=(4, 6)).astype(np.float16)


def widened(report: sm.Optimization) -> int:
    return sum(one.count for one in report.passes if one.name == "widen")


@pytest.mark.parametrize("name", ["mixed_cnn", "mixed_encoder", "mixed_recurrent"])
def test_the_graph_as_it_is_rounds_after_each_op(load: Load, models: Path, name: str) -> None:
    shape = load(name).signatures["serving_default"].inputs["x"].shape or ()
    x = np.random.default_rng(6).normal(size=[size or 3 for size in shape]).astype(np.float32)
    wide, narrow = (load(name, optimize=level)(x=x)["output_0"] for level in ("default", "none"))
    largest = np.abs(wide).max()
    difference = np.abs(wide - narrow).max()
    assert 1e-5 * largest < difference < 0.1 * largest
    assert all(widened(report) > 0 for report in load(name).prepare())


def test_layers_in_half_precision_become_ours(load: Load) -> None:
    counts = {one.name: one.count for one in load("mixed_recurrent").prepare()[0].passes}
    assert counts["recurrent"] == 3
    counts = {one.name: one.count for one in load("mixed_encoder").prepare()[0].passes}
    assert (counts["attention"], counts["layer_norm"]) == (1, 2)


def test_bfloat16_uses_the_cpus_instructions(load: Load) -> None:
    x = np.random.default_rng(8).normal(size=(3, 4, 64)).astype(np.float32)
    model, plain = load("bfloat16_dense"), load("bfloat16_dense", optimize="none")
    results, rounded = model(x=x), plain(x=x)
    np.testing.assert_allclose(results["narrow"], rounded["narrow"], rtol=0, atol=0.03)
    np.testing.assert_allclose(results["exact"], rounded["exact"], rtol=1e-5, atol=1e-5)
    counts = {one.name: one.count for one in model.prepare()[0].passes}
    assert (counts["dense"], counts["bfloat16"]) == (2, int(HAS_BFLOAT16))


def test_inputs_and_results_keep_their_type(load: Load) -> None:
    model = load("half_dense")
    at = np.array([0, 8, 3, 3], np.int32)
    results = model(x=ROWS, at=at)
    plain = load("half_dense", optimize="none")(x=ROWS, at=at)
    for name, value in plain.items():
        assert results[name].dtype == np.float16
        np.testing.assert_allclose(
            results[name].astype(float), value.astype(float), rtol=5e-3, atol=5e-3, err_msg=name
        )
    np.testing.assert_array_equal(results["through"], ROWS)
    kernel, table = (model.variables[name].astype(np.float64) for name in ("kernel", "table"))
    exact = np.maximum((ROWS + table[at]) @ kernel, 0)
    np.testing.assert_allclose(results["y"], exact, rtol=5e-4, atol=1e-6)  # rounded once


@pytest.mark.parametrize(
    ("signature", "note"),
    [("sums", None), ("steps", "op 'Cast'"), ("text", "op 'AsString'")],
)
def test_what_depends_on_the_type_stays(load: Load, signature: str, note: str | None) -> None:
    f, plain = (load("half_dense", optimize=level).signatures[signature] for level in ("default", "none"))
    np.testing.assert_array_equal(f(ROWS)["y"], plain(ROWS)["y"])
    reports = {one.function: one for one in load("half_dense").prepare()}
    report = reports[f"signature {signature!r}"]
    assert widened(report) == 0
    assert any("stay: " in one and (note or "") in one for one in report.notes) == (note is not None)


def test_sizes_beyond_float16_do_not_overflow(load: Load) -> None:
    x = np.full((1, 8, 8, 3), 6e4, np.float32)
    assert np.isfinite(load("mixed_cnn")(x=x)["output_0"]).all()


@pytest.mark.parametrize(
    "name", ["mixed_cnn", "mixed_encoder", "mixed_recurrent", "bfloat16_dense", "half_dense"]
)
def test_verified_and_saved(load: Load, models: Path, tmp_path: Path, name: str) -> None:
    with sm.load(models / name, verify=True) as model:
        f = model.signatures["serving_default"]
        inputs = {
            key: np.ones([3 if n is None else n for n in spec.shape or ()], spec.dtype)
            for key, spec in f.inputs.items()
        }
        expected = f(**inputs)
        model.save_optimized(tmp_path / "saved")
    with sm.load(tmp_path / "saved") as saved:
        for key, value in saved(**inputs).items():
            np.testing.assert_array_equal(value, expected[key])
