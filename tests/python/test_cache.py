"""`load(cache=...)`: what is kept from one load to the next, when it is used, and when not."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from . import goldens
from .graphs import node, save
from .helpers import run_python
from .test_golden import GENERATED, options

X = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)


def notes(model: sm.Model) -> str:
    return "\n".join(note for report in model.optimization for note in report.notes)


def entries(cache: Path) -> list[Path]:
    return sorted(file.parents[2] for file in cache.glob("*/*/assets.extra/savedmodel/graphs.pb"))


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models / "mlp", tmp_path / "model"))


def test_the_second_load_neither_optimizes_nor_reads_variables(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "a" / "cache"
    with sm.load(model, cache=cache) as first:
        expected = first(X)["probs"].copy()
        assert "read from" not in notes(first)
    assert len(entries(cache)) == 1
    assert cache.stat().st_mode & 0o777 == 0o700
    with sm.load(model, cache=str(cache)) as second:
        np.testing.assert_array_equal(second(X)["probs"], expected)
        assert f"read from the cache '{cache}'" in notes(second)
        assert sum(variable.size for variable in map(np.asarray, second.variables.values())) > 0
    assert len(entries(cache)) == 1


def test_false_and_none_keep_nothing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAVEDMODEL_CACHE", str(tmp_path / "cache"))
    sm.load(model, cache=False)(X)
    assert not (tmp_path / "cache").exists()
    sm.load(model)(X)
    assert len(entries(tmp_path / "cache")) == 1
    monkeypatch.delenv("SAVEDMODEL_CACHE")
    assert "read from" not in notes(sm.load(model))


@pytest.mark.parametrize(("argument", "setting"), [("cache=True", ""), ("", "1")])
def test_the_users_cache(model: Path, tmp_path: Path, argument: str, setting: str) -> None:
    load = f"sm.load({str(model)!r}, {argument})"
    code = f"import savedmodel as sm; import numpy as np; {load}(np.ones((1, 64), 'f'))"
    run_python(code, XDG_CACHE_HOME=str(tmp_path), SAVEDMODEL_CACHE=setting)
    assert len(entries(tmp_path / "savedmodel")) == 1


def test_a_changed_model_is_optimized_anew(model: Path, tmp_path: Path, models: Path) -> None:
    sm.load(model, cache=tmp_path / "cache")(X)
    shutil.rmtree(model)
    shutil.copytree(models / "mlp_bn" if (models / "mlp_bn").is_dir() else models / "add", model)
    changed = sm.load(model, cache=tmp_path / "cache")
    assert "read from" not in notes(changed)


def test_other_options_have_entries_of_their_own(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    sm.load(model, cache=cache)(X)
    sm.load(model, cache=cache, session=sm.SessionOptions(inter_op_threads=None, xla=False))(X)
    assert len(entries(cache)) == 2
    sm.load(model, cache=cache, optimize="none")(X)
    sm.load(model, cache=cache, ops="safe")(X)
    assert len(entries(cache)) == 2


def test_the_place_of_the_model_does_not_matter(model: Path, tmp_path: Path) -> None:
    sm.load(model, cache=tmp_path / "cache")(X)
    moved = model.rename(tmp_path / "moved")
    loaded = sm.load(moved, cache=tmp_path / "cache")
    loaded(X)
    assert "read from the cache" in notes(loaded)


@pytest.mark.parametrize("file", ["graphs.pb", "weights.bin"])
def test_a_damaged_entry_is_replaced(model: Path, tmp_path: Path, file: str) -> None:
    cache = tmp_path / "cache"
    expected = sm.load(model, cache=cache)(X)["probs"].copy()
    (entry,) = entries(cache)
    damaged = entry / "assets.extra" / "savedmodel" / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    again = sm.load(model, cache=cache)
    np.testing.assert_array_equal(again(X)["probs"], expected)
    assert "read from" not in notes(again)
    assert "read from the cache" in notes(_called(sm.load(model, cache=cache)))


def _called(model: sm.Model) -> sm.Model:
    model(X)
    return model


def test_a_cache_that_others_may_write_to_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(sm.PermissionDeniedError, match="other users may write to it"):
        sm.load(model, cache=tmp_path / "cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(sm.PermissionDeniedError, match=r"cache '.*file' can't be used"):
        sm.load(model, cache=tmp_path / "file")
    with pytest.raises(TypeError, match="cache is a directory, True for the user's, or False: 3"):
        sm.load(model, cache=3)  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_entry_that_can_not_be_written_is_a_note(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o500)
    loaded = _called(sm.load(model, cache=cache))
    assert "is not kept in the cache" in notes(loaded)


def ones(signature: sm.Signature) -> dict[str, Any]:
    return {
        key: np.ones([2 if size is None else size for size in spec.shape or ()], spec.dtype)
        for key, spec in signature.inputs.items()
    }


def test_functions_are_kept_one_by_one(models: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with sm.load(models / "many_signatures", cache=cache) as model:
        one, other = sorted(model.signatures)[:2]
        inputs = ones(model.signatures[one])
        first = model.signatures[one].run(inputs)
    assert len(entries(cache)) == 1
    with sm.load(models / "many_signatures", cache=cache) as model:
        model.signatures[other].run(inputs)
        for key, value in model.signatures[one].run(inputs).items():
            np.testing.assert_array_equal(value, first[key])
        told = {report.function: "".join(report.notes) for report in model.optimization}
        assert "read from the cache" in told[f"signature {one!r}"]
        assert "read from the cache" not in told[f"signature {other!r}"]
    assert len(entries(cache)) == 2


def test_equal_signatures_share_what_was_kept(models: Path, tmp_path: Path) -> None:
    """A Keras export has two signatures of one network."""

    def load() -> tuple[int, list[sm.Optimization]]:
        with sm.load(models / "keras_dense", cache=tmp_path / "cache") as model:
            assert list(model.signatures) == ["serve", "serving_default"]
            reports = model.prepare()
            return model.weight_bytes, reports

    first, _ = load()
    entries = [path for path in (tmp_path / "cache").glob("*/*") if not path.is_symlink()]
    assert len(entries) == 1
    for _ in range(2):
        weights, reports = load()
        assert weights <= first
        assert all(any("was done earlier" in note for note in report.notes) for report in reports)
        assert any("shares its executor" in note for note in reports[1].notes)
    assert [path for path in (tmp_path / "cache").glob("*/*") if not path.is_symlink()] == entries


def test_beside_a_signature_without_outputs(tmp_path: Path) -> None:
    more = """signature_def { key: "nothing" value {
      inputs { key: "x" value { name: "x:0" dtype: DT_STRING tensor_shape {} } } method_name: "m" } }"""
    path = save(tmp_path / "m", node("y", "StringUpper", "x"), output="y:0", more=more)
    notes = []
    for _ in range(2):
        with sm.load(path, cache=tmp_path / "cache") as model:
            assert model.signatures["serving_default"](x="a")["y"] == b"A"
            notes.append(str(model.optimization))
    assert "was done earlier" not in notes[0]
    assert "was done earlier" in notes[1]


def test_written_variables_stay_variables(models: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with sm.load(models / "stateful", cache=tmp_path / "cache") as model:

            def value(model: sm.Model = model) -> Any:
                return np.asarray(next(iter(model.signatures["get"].run({}).values())))

            before = value().copy()
            model.signatures["incr"].run(ones(model.signatures["incr"]))
            assert not np.array_equal(value(), before)


ROWS = np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)


@pytest.fixture(params=["cache", "save_optimized"])
def different_weights(request: pytest.FixtureRequest, models: Path, tmp_path: Path) -> Callable[[], sm.Model]:
    """Loads the model, from the cache or an optimized copy."""
    if request.param == "cache":
        return lambda: sm.load(models / "different_weights", cache=tmp_path / "cache")
    sm.load(models / "different_weights").save_optimized(tmp_path / "copy")
    return lambda: sm.load(tmp_path / "copy")


def products(model: sm.Model) -> list[Any]:
    return [model.signatures[name](ROWS)["y"].copy() for name in ("times_a", "times_b")]


def test_functions_that_differ_in_their_weights(
    different_weights: Callable[[], sm.Model], models: Path
) -> None:
    expected = products(sm.load(models / "different_weights", optimize="none"))
    for _ in range(3):
        for value, right in zip(products(different_weights()), expected, strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-4, atol=1e-4)


def test_targets_run_beside_what_is_kept(different_weights: Callable[[], sm.Model]) -> None:
    for _ in range(2):
        model = different_weights()
        expected = products(model)[0]
        result = model.run("times_a", {"x": ROWS}, targets=["increment"])
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
        model.run(targets=["increment"])
        assert float(model.run("count_now")) == 2


@pytest.mark.parametrize("first", ["reads", "writes"])
def test_a_writer_that_is_kept_is_a_writer(
    different_weights: Callable[[], sm.Model], models: Path, first: str
) -> None:
    plain = products(sm.load(models / "different_weights", optimize="none"))[0]
    for _ in range(12):
        different_weights().run("added", {"by": 0.0})
    with different_weights() as model:  # by now it is optimized, and kept
        for _ in range(12):
            model.run("added", {"by": 0.0})
    for _ in range(2):
        model = different_weights()
        if first == "reads":
            np.testing.assert_allclose(products(model)[0], plain, rtol=1e-4, atol=1e-4)
        model.run("added", {"by": 1.0})
        added = plain + ROWS.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(products(model)[0], added, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(products(different_weights())[0], plain, rtol=1e-4, atol=1e-4)


def test_a_link_that_changes_during_loads(models: Path, tmp_path: Path) -> None:
    """What a load reads belongs to one of the two models, and so does what it keeps."""
    for number in (1, 2):
        shutil.copytree(models / "mlp", tmp_path / f"v{number}")
    (tmp_path / "current").symlink_to("v1")
    model = sm.load(tmp_path / "current", cache=tmp_path / "cache")
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(tmp_path / "current")
    (tmp_path / "v1").rename(tmp_path / "old")
    model(X)
    assert "is not kept in the cache" in notes(model)
    assert not entries(tmp_path / "cache")


def test_threads_and_processes_share_it(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code = f"""
import numpy as np, savedmodel as sm
print(float(sm.load({str(model)!r}, cache={str(cache)!r})(np.ones((1, 64), "f"))["probs"].sum()))
"""
    with ThreadPoolExecutor(4) as pool:
        printed = {out for out, _ in pool.map(lambda _: run_python(code), range(4))}
        assert len(printed) == 1
        results = list(pool.map(lambda _: sm.load(model, cache=cache)(X)["probs"], range(8)))
    assert all(np.array_equal(result, results[0]) for result in results)
    assert len(entries(cache)) == 1
    assert not list(cache.rglob(".*"))  # nothing unfinished


@pytest.mark.parametrize("golden", GENERATED)
def test_golden_models_from_the_cache(models: Path, tmp_path: Path, golden: str) -> None:
    name, has_tags, tags = golden.partition("@")
    chosen = list(filter(None, tags.split(","))) if has_tags else ["serve"]
    for _ in range(2):
        for (of, signature), run in goldens.read(models / f"{golden}.npz").items():
            if of and sorted(of.split("+")) != sorted(chosen):
                continue
            with sm.load(models / name, tags=chosen, session=options(name), cache=tmp_path) as model:
                f = model.signatures[signature]
                goldens.check(f.run(goldens.feeds(run, f)), run, f)


def test_entries_used_longest_ago_go_first(model: Path, tmp_path: Path) -> None:
    """A first call counts as a use. The limit is too large for this test: test_cache.cc has it."""
    cache = tmp_path / "cache"
    sm.load(model, cache=cache)(X)
    (entry,) = entries(cache)
    os.utime(entry, (1, 1))
    sm.load(model, cache=cache)(X)
    assert entry.stat().st_mtime > time.time() - 60
