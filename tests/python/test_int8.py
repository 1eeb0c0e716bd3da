"""`load(optimize="int8")`: which layers are in int8, and that their results are those of the integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .commands import output
from .helpers import Load, run_python
from .test_optimize_cnn import EXPECTED

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Exact = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
X: Floats = np.random.default_rng(0).normal(size=(5, 512)).astype(np.float32)
X[1] = 0
X[2] = np.abs(X[2])
X[3] *= 1e6


def passes(model: sm.Model, signature: str) -> dict[str, int]:
    report = next(one for one in model.prepare() if repr(signature) in one.function)
    assert report.optimized
    return {step.name: step.count for step in report.passes}


def product(x: Floats, w: Floats) -> Exact:
    """The definition: weights per column in [-127, 127], rows in [0, 255] with a zero point."""
    scale = (np.abs(w).max(0) / np.float32(127)).astype(np.float32)
    weights = np.rint(w * (np.float32(1) / scale)).astype(np.int64)
    low, high = np.minimum(x.min(1), 0), np.maximum(x.max(1), 0)
    step = ((high.astype(np.float64) - low) / 255).astype(np.float32)
    inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
    zero = np.rint(-low * inverse).astype(np.int64)
    rows = np.clip(np.rint(x * inverse[:, None]).astype(np.int64) + zero[:, None], 0, 255)
    sums = (rows - zero[:, None]) @ weights
    result: Exact = sums * np.multiply.outer(step.astype(np.float64), scale)
    return result


@pytest.fixture(scope="module")
def weights(models: Path) -> dict[str, Floats]:
    variables = sm.load(models / "large_weights", optimize="none").variables
    return {name: np.array(variables[name]) for name in ("w", "v")}


@pytest.mark.parametrize("threads", [1, 2])
def test_products_are_those_of_the_integers(load: Load, weights: dict[str, Floats], threads: int) -> None:
    model = load("large_weights", optimize="int8", threads=threads)
    w, v = weights["w"], weights["v"]
    hidden = np.maximum(product(X, w), 0).astype(np.float32)
    expected = {"forward": product(hidden, v), "backward": product(X, np.ascontiguousarray(w.T))}
    for name, right in expected.items():
        found = model.signatures[name](X)["y"]
        for row, value in zip(found, right, strict=True):
            # A number in the middle between two integers may be rounded either way.
            np.testing.assert_allclose(row, value, rtol=0, atol=2e-3 * np.abs(value).max() + 1e-30)
        assert found.dtype == np.float32
    assert passes(model, "forward")["int8"] == 2
    assert passes(model, "backward")["int8"] == 1


def test_instruction_sets_agree(models: Path, tmp_path: Path) -> None:
    """The integers are the same; the floats that they are scaled with may be rounded differently."""
    np.save(tmp_path / "x.npy", X)

    def results(isa: str) -> Floats:
        file = str(tmp_path / f"{isa}.npy")
        run_python(
            f"""
            import numpy as np, savedmodel as sm
            model = sm.load({str(models / "large_weights")!r}, optimize="int8")
            np.save({file!r}, model.signatures["backward"](np.load({str(tmp_path / "x.npy")!r}))["y"])
            """,
            SAVEDMODEL_MAX_ISA=isa,
        )
        found: Floats = np.load(file)
        return found

    expected = results("generic")
    for isa in ("avx2", "avx512"):
        for row, right in zip(results(isa), expected, strict=True):
            np.testing.assert_allclose(row, right, rtol=0, atol=1e-6 * np.abs(right).max())


def test_an_unknown_instruction_set_is_refused(models: Path) -> None:
    code = f"""
        import savedmodel as sm
        try:
            sm.load({str(models / "mlp")!r})
        except ValueError as error:
            print(error)
    """
    out, _ = run_python(code, SAVEDMODEL_MAX_ISA="sse9")
    assert "SAVEDMODEL_MAX_ISA must be 'generic', 'avx2' or 'avx512', got 'sse9'" in out


def test_rows_do_not_depend_on_each_other(load: Load) -> None:
    signature = load("large_weights", optimize="int8").signatures["forward"]
    together = signature(X)["y"]
    for i, row in enumerate(X):
        np.testing.assert_array_equal(signature(row[None])["y"][0], together[i])


def test_rows_of_zeros_give_zeros(load: Load) -> None:
    assert not load("large_weights", optimize="int8").signatures["backward"](X)["y"][1].any()


def test_a_row_that_is_no_number_gives_none_and_the_others_stay(load: Load) -> None:
    signature = load("large_weights", optimize="int8").signatures["backward"]
    expected = np.array(signature(X)["y"])
    for number in (np.nan, np.inf, -np.inf):
        x = X.copy()
        x[2, 100] = number
        found = signature(x)["y"]
        assert np.isnan(found[2]).all()
        np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(expected, 2, 0))


def test_no_rows(load: Load) -> None:
    model = load("large_weights", optimize="int8")
    assert model.signatures["forward"](X[:0])["y"].shape == (0, 256)


def test_layers_for_which_int8_is_slower_stay_float32(load: Load) -> None:
    model, exact = load("mlp", optimize="int8"), load("mlp")
    x = X[:, :64]
    small = [
        n
        for report in model.prepare()
        for n in report.notes
        if "stays float32: int8 is not faster for its product" in n
    ]
    counts = passes(model, "serving_default")
    assert counts["dense"] == counts["int8"] + len(small)
    assert small
    np.testing.assert_allclose(model(x)["probs"], exact(x)["probs"], rtol=0, atol=0.05)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_networks_are_close(load: Load, name: str) -> None:
    model, exact = load(name, optimize="int8"), load(name)
    counts = passes(model, "serving_default")
    assert {step: counts[step] for step in EXPECTED[name]} == EXPECTED[name]
    (key, info), *_ = model.signatures["serving_default"].inputs.items()
    assert info.shape is not None
    image = np.random.default_rng(7).normal(size=[size or 2 for size in info.shape]).astype(np.float32)
    results = model.signatures["serving_default"].run({key: image})
    for name_, value in exact.signatures["serving_default"].run({key: image}).items():
        error = np.abs(results[name_] - value).max() / np.abs(value).max()
        assert error < 0.1, name_
        assert (error > 1e-5) == (counts["int8"] > 0), name_


def test_an_optimized_copy_keeps_the_level(models: Path, tmp_path: Path) -> None:
    model = sm.load(models / "large_weights", optimize="int8")
    model.save_optimized(tmp_path / "copy")
    expected = model.signatures["forward"](X)["y"]
    again = sm.load(tmp_path / "copy", optimize="int8")
    np.testing.assert_array_equal(again.signatures["forward"](X)["y"], expected)
    assert "was done earlier" in "".join(map(str, again.optimization))
    default = sm.load(tmp_path / "copy")
    default.signatures["forward"](X)
    assert "made for optimize 'int8', not 'default'" in "".join(map(str, default.optimization))


def test_it_is_verified_and_compared(models: Path) -> None:
    model = sm.load(models / "large_weights", optimize="int8", verify=True)
    assert not any(model.verified.values())


def test_the_command_line_knows_it(models: Path, tmp_path: Path) -> None:
    path = models / "large_weights"
    output("optimize", path, tmp_path / "copy", "--level", "int8")
    text = output(
        "compare", path, "--level", "int8", "--signature-def", "forward", "--rtol", "0", "--atol", "1"
    )
    assert "forward" in text


def test_convolutions_over_time_are_in_int8(load: Load) -> None:
    reports = load("conv_wide_over_time", optimize="int8").prepare()
    assert len(reports[0].int8_layers) == 1
