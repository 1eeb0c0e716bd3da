"""`sm.quantize`: a copy with layers in int8 that stays as close to float32 as asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .commands import error, output

GENERATOR = np.random.default_rng(3)
SAMPLES = [{"x": GENERATOR.normal(size=(4, 512)).astype(np.float32)} for _ in range(3)]


def agreement(path: Path, other: Path, signature: str) -> float:
    """As the documentation defines it."""
    with sm.load(path) as a, sm.load(other) as b:
        first, second = (
            np.concatenate([m.signatures[signature].run(sample)["y"].ravel() for sample in SAMPLES])
            for m in (a, b)
        )
    return float(1 - ((first - second) ** 2).sum() / ((first - first.mean()) ** 2).sum())


def layers(path: Path, signature: str) -> tuple[str, ...]:
    with sm.load(path) as model:
        return next(r.int8_layers for r in model.prepare() if repr(signature) in r.function)


def test_all_layers_where_that_is_close_enough(models: Path, tmp_path: Path) -> None:
    source, copy = models / "large_weights", tmp_path / "copy"
    done = sm.quantize(source, copy, SAMPLES, signature="forward", threads=1)
    assert [layer.int8 for layer in done.layers] == [True, True]
    assert 0.99 <= done.agreement < 1
    assert done.agreement == pytest.approx(agreement(source, copy, "forward"), abs=1e-6)
    assert layers(copy, "forward") == tuple(layer.name for layer in done.layers)
    assert "2 of 2 layers in int8" in repr(done)


def test_signatures_without_samples_stay_float32(models: Path, tmp_path: Path) -> None:
    source, copy = models / "large_weights", tmp_path / "copy"
    sm.quantize(source, copy, SAMPLES, signature="forward")
    assert layers(copy, "backward") == ()
    assert agreement(source, copy, "backward") == 1


def test_layers_go_back_until_it_is_close_enough(models: Path, tmp_path: Path) -> None:
    source = models / "large_weights"
    all_of_them = sm.quantize(source, tmp_path / "a", SAMPLES, signature="forward")
    tolerance = 0.7 * (1 - all_of_them.agreement)
    done = sm.quantize(source, tmp_path / "b", SAMPLES, signature="forward", tolerance=tolerance)
    assert sorted(layer.int8 for layer in done.layers) == [False, True]
    worst, best = (layer.disagreement for layer in done.layers)
    assert worst is not None
    assert best is not None
    assert worst > best > 0
    assert [layer.int8 for layer in done.layers] == [False, True]
    assert done.agreement >= 1 - tolerance
    assert agreement(source, tmp_path / "b", "forward") == pytest.approx(done.agreement, abs=1e-6)
    exact = sm.quantize(source, tmp_path / "c", SAMPLES, signature="forward", tolerance=0)
    assert not any(layer.int8 for layer in exact.layers)
    assert exact.agreement == 1
    assert agreement(source, tmp_path / "c", "forward") == 1


def test_the_copy_is_otherwise_the_same(models: Path, tmp_path: Path) -> None:
    source, copy = models / "large_weights", tmp_path / "copy"
    sm.quantize(source, copy, SAMPLES, signature="forward")
    with sm.load(source, optimize="none") as a, sm.load(copy, optimize="none") as b:
        for sample in SAMPLES:
            right = a.signatures["forward"].run(sample)["y"]
            np.testing.assert_array_equal(b.signatures["forward"].run(sample)["y"], right)
    assert (copy / "saved_model.pb").read_bytes() == (source / "saved_model.pb").read_bytes()
    assert not any(sm.load(copy, verify=True).verified.values())


def test_a_model_that_was_quantized_in_place_is_measured_against_float32(
    models: Path, tmp_path: Path
) -> None:
    source, copy = models / "large_weights", tmp_path / "model"
    shutil.copytree(source, copy)
    first = sm.quantize(copy, copy, SAMPLES, signature="forward")
    assert agreement(source, copy, "forward") == pytest.approx(first.agreement, abs=1e-6)
    again = sm.quantize(copy, copy, SAMPLES, signature="forward")
    assert again.agreement == first.agreement < 1


def test_layers_by_name_stay_float32(models: Path) -> None:
    with sm.load(models / "large_weights", optimize="int8") as model:
        first, second = next(r for r in model.prepare() if "'forward'" in r.function).int8_layers
    with sm.load(models / "large_weights", optimize="int8", float32_layers=[first, "no such layer"]) as model:
        report = next(r for r in model.prepare() if "'forward'" in r.function)
    assert report.int8_layers == (second,)
    assert f"'{first}' stays float32: as asked" in report.notes
    with pytest.raises(TypeError, match="float32_layers must be a list of names, got 'dense'"):
        sm.load(models / "large_weights", float32_layers="dense")
    with pytest.raises(TypeError, match="float32_layers must be a list of names, got 3 in it"):
        sm.load(models / "large_weights", float32_layers=[3])  # type: ignore[list-item]


def test_mistakes(models: Path, tmp_path: Path) -> None:
    source = models / "large_weights"
    with pytest.raises(ValueError, match="there are no samples"):
        sm.quantize(source, tmp_path / "copy", [], signature="forward")
    with pytest.raises(ValueError, match="signature= must be one of 'backward', 'forward', 'part'"):
        sm.quantize(source, tmp_path / "copy", SAMPLES)
    with pytest.raises(KeyError, match="'forwards'"):
        sm.quantize(source, tmp_path / "copy", SAMPLES, signature="forwards")
    with pytest.raises(ValueError, match="tolerance must be at least 0 and below 1, got 2"):
        sm.quantize(source, tmp_path / "copy", SAMPLES, signature="forward", tolerance=2)
    with pytest.raises(TypeError, match="a sample must be a mapping of inputs by name, got ndarray"):
        sm.quantize(source, tmp_path / "copy", [SAMPLES[0]["x"]], signature="forward")  # type: ignore[list-item]
    with pytest.raises(TypeError, match="samples must be a mapping of inputs by name, or several, got None"):
        sm.quantize(source, tmp_path / "copy", None, signature="forward")  # type: ignore[arg-type]
    (tmp_path / "copy").mkdir()
    with pytest.raises(sm.AlreadyExistsError):
        sm.quantize(source, tmp_path / "copy", SAMPLES, signature="forward")
    assert [*(tmp_path / "copy").iterdir()] == []


def test_the_command(models: Path, tmp_path: Path) -> None:
    files: list[str | Path] = []
    for number, sample in enumerate(SAMPLES):
        np.savez(tmp_path / f"{number}.npz", x=sample["x"])
        files += ["--calibrate", tmp_path / f"{number}.npz"]
    source = models / "large_weights"
    text = output("quantize", source, tmp_path / "a", "--signature-def", "forward", *files)
    assert "2 of 2 layers in int8; agreement with float32 0.99" in text
    text = output("quantize", source, tmp_path / "b", "--signature-def", "forward", *files, "--json")
    assert [layer["int8"] for layer in json.loads(text)["layers"]] == [True, True]
    (tmp_path / "text.npz").write_text("no archive")
    message = error("quantize", source, tmp_path / "c", "--calibrate", tmp_path / "text.npz")
    assert "text.npz: not a .npz file of arrays" in message
    assert not (tmp_path / "c").exists()
