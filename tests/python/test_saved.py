"""`save_optimized`: what it writes, when a load uses it, and when not."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from . import goldens
from .helpers import IN_A_SESSION, Array, Load, aligned
from .test_golden import GENERATED, REFUSED, SHARED, SHARED_GOLDENS, options

FOLDER = "assets.extra/savedmodel"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def notes(model: sm.Model) -> str:
    return "\n".join(note for report in model.prepare() for note in report.notes)


def was_read(model: sm.Model) -> bool:
    return "read from assets.extra/savedmodel" in notes(model)


@pytest.fixture
def copy(load: Load, tmp_path: Path) -> Path:
    """An optimized copy of `mlp`."""
    load("mlp").save_optimized(tmp_path / "copy")
    return tmp_path / "copy"


def made_up(spec: sm.TensorSpec) -> Array:
    shape = [2 if size is None else size for size in spec.shape or ()]
    return np.full(shape, b"a", object) if spec.dtype == object else np.ones(shape, spec.dtype)


X = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)


def check_golden(source: Path, copy: Path, golden: Path, tags: list[str], name: str) -> None:
    with sm.load(source, tags=tags, session=options(name)) as model:
        try:
            model.save_optimized(copy)
        except sm.FailedPreconditionError as error:
            assert "no signature or function to optimize" in str(error)  # noqa: PT017
            assert not copy.exists()
            return
    for (of, signature), run in goldens.read(golden).items():
        if of and sorted(of.split("+")) != sorted(tags):
            continue
        with sm.load(copy, tags=tags, session=options(name)) as model:
            f = model.signatures[signature]
            goldens.check(f.run(goldens.feeds(run, f)), run, f)
            assert not any("is not used" in note for report in model.prepare() for note in report.notes)


@pytest.mark.parametrize("golden", GENERATED)
def test_an_optimized_copy_computes_the_same(models: Path, tmp_path: Path, golden: str) -> None:
    name, has_tags, tags = golden.partition("@")
    chosen = list(filter(None, tags.split(","))) if has_tags else ["serve"]
    check_golden(models / name, tmp_path / "copy", models / f"{golden}.npz", chosen, name)


@pytest.mark.parametrize("name", sorted(set(SHARED_GOLDENS) - REFUSED))
def test_an_optimized_copy_of_a_third_party_model(shared_models: Path, tmp_path: Path, name: str) -> None:
    tags = sm.inspect(shared_models / name).meta_graphs[0].tags
    golden = SHARED / "golden" / f"{name}.npz"
    check_golden(shared_models / name, tmp_path / "copy", golden, sorted(tags), name)


def test_the_copy_is_the_savedmodel_and_two_files(models: Path, copy: Path) -> None:
    written = files(copy)
    graphs, weights = written.pop(f"{FOLDER}/graphs.pb"), written.pop(f"{FOLDER}/weights.bin")
    assert written == files(models / "mlp")
    assert len(graphs) < 100_000
    assert 4 * (64 * 128 + 128 * 128) <= len(weights) <= 4 * (64 * 128 + 128 * 128) + 128


def test_a_load_takes_it_from_there(load: Load, copy: Path) -> None:
    with sm.load(copy) as model:
        np.testing.assert_array_equal(model(X)["probs"], load("mlp")(X)["probs"])
        assert was_read(model)
        (report,) = model.prepare()
        (original,) = load("mlp").prepare()
        assert (report.optimized, report.executor) == (True, original.executor)
        assert report.variables_frozen == original.variables_frozen
        assert [p.name for p in report.passes] == [p.name for p in original.passes]


def test_the_variables_are_read_when_something_needs_them(load: Load, copy: Path) -> None:
    (data,) = copy.glob("variables/*.data*")
    data.write_bytes(os.urandom(data.stat().st_size))
    wanted = load("mlp")(X)["probs"]
    with sm.load(copy) as model:
        np.testing.assert_array_equal(model(X)["probs"], wanted)
        for _ in range(2):
            with pytest.raises(sm.DataLossError):
                model.signatures["serving_default"].run({"x": X}, options=IN_A_SESSION)
            with pytest.raises(sm.DataLossError):
                model.variables[next(iter(model.variables))]
        np.testing.assert_array_equal(model(X)["probs"], wanted)


def test_what_needs_a_session_gets_one(load: Load, copy: Path) -> None:
    with sm.load(copy) as model, load("mlp") as original:
        f = model.signatures["serving_default"]
        wanted = original(X)["probs"]
        np.testing.assert_allclose(f.run({"x": X}, options=IN_A_SESSION)["probs"], wanted, rtol=1e-5)
        assert model.devices == original.devices
        assert model.placement == original.placement
        for name, value in original.variables.items():
            np.testing.assert_array_equal(model.variables[name], value)
        fetch, feed = f.outputs["probs"].name, f.inputs["x"].name
        np.testing.assert_allclose(model.run(fetch, {feed: X}), wanted, rtol=1e-5)
        np.testing.assert_array_equal(f(x=X)["probs"], wanted)


def test_many_threads_may_need_the_session_at_once(copy: Path) -> None:
    with sm.load(copy) as model, ThreadPoolExecutor(8) as pool:
        f = model.signatures["serving_default"]
        results = list(pool.map(lambda _: f.run({"x": X}, timeout=60)["probs"], range(32)))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_a_subset_of_outputs(models: Path, tmp_path: Path) -> None:
    with sm.load(models / "multi") as model:
        model.save_optimized(tmp_path / "copy")
        name, f = max(model.signatures.items(), key=lambda item: len(item[1].outputs))
        x = {key: made_up(spec) for key, spec in f.inputs.items()}
        wanted = f.run(x)
    with sm.load(tmp_path / "copy") as model:
        for key, value in wanted.items():
            result = model.signatures[name].run(x, outputs=[key])
            np.testing.assert_array_equal(result[key], value)
        assert was_read(model)


@pytest.mark.parametrize("name", ["frozen_or_not", "stateful", "table", "v1_main_op"])
def test_state_is_the_copys_own(models: Path, tmp_path: Path, name: str) -> None:
    with sm.load(models / name) as source:
        source.save_optimized(tmp_path / "copy")
    with sm.load(tmp_path / "copy") as model, sm.load(models / name, optimize="none") as plain:
        for _ in range(3):
            for key, f in plain.signatures.items():
                inputs = {k: made_up(spec) for k, spec in f.inputs.items()}
                for output, value in f.run(inputs).items():
                    np.testing.assert_array_equal(model.signatures[key].run(inputs)[output], value)


def test_a_run_by_tensor_name_may_write_what_was_frozen(models: Path, tmp_path: Path) -> None:
    with sm.load(models / "assignable_v1") as model:
        model.save_optimized(tmp_path / "copy")
    with sm.load(tmp_path / "copy") as model:
        f = model.signatures["serving_default"]
        x = aligned(np.ones(3, np.float32))
        np.testing.assert_array_equal(f(x=x)["y"], 2 * x)
        assert was_read(model)
        assert model.run("set_weight:0", {"new_weight:0": np.float32(5)}) == 5
        np.testing.assert_array_equal(f(x=x)["y"], 5 * x)
        assert model.variables["weight"] == 5


def test_mapped_weights_outlive_the_model_and_are_read_only(models: Path, tmp_path: Path) -> None:
    with sm.load(models / "returns_weights") as model:
        wanted = model.signatures["serving_default"]()["large"].copy()
        model.save_optimized(tmp_path / "copy")
    maps = Path("/proc/self/maps")
    with sm.load(tmp_path / "copy") as model:
        result = model.signatures["serving_default"]()["large"]
        assert str(tmp_path / "copy" / FOLDER / "weights.bin") in maps.read_text()
    assert not result.flags.writeable
    np.testing.assert_array_equal(result, wanted)
    del result, model
    assert str(tmp_path) not in maps.read_text()


def test_a_changed_graph_is_another_model(load: Load, copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    graph = copy / "saved_model.pb"
    # An unknown field at the end: the same graph, from another export.
    graph.write_bytes(graph.read_bytes() + b"\xf8\x7f\x01")
    with caplog.at_level(logging.WARNING), sm.load(copy) as model:
        np.testing.assert_array_equal(model(X)["probs"], load("mlp")(X)["probs"])
        assert "assets.extra/savedmodel is not used: made for model" in notes(model)
    assert any("assets.extra/savedmodel is not used" in record.message for record in caplog.records)


def test_changed_weights_are_another_model(load: Load, copy: Path) -> None:
    # Trained on, and exported with the same graph over the old one.
    script = """
import sys
import tensorflow as tf
prefix = sys.argv[1]
reader = tf.train.load_checkpoint(prefix)
names = sorted(reader.get_variable_to_shape_map())
values = [reader.get_tensor(name) for name in names]
values = [2 * v if getattr(v, "dtype", None) == "float32" else v for v in values]
tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
"""
    subprocess.run([sys.executable, "-c", script, copy / "variables/variables"], check=True, timeout=120)
    with sm.load(copy) as model, sm.load(copy, optimize="none") as plain:
        np.testing.assert_allclose(model(X)["probs"], plain(X)["probs"], rtol=1e-5)
        assert np.abs(model(X)["probs"] - load("mlp")(X)["probs"]).max() > 0.01
        assert "assets.extra/savedmodel is not used: made for model" in notes(model)


def test_a_damaged_index_is_refused(models: Path, copy: Path) -> None:
    index = next(copy.glob("variables/*.index"))
    with sm.load(models / "mlp") as model:
        before = model(X)["probs"]
    index.write_bytes(index.read_bytes() + b"\0")
    with pytest.raises(sm.Error):
        sm.load(copy)
    shutil.copy(models / "mlp" / "variables" / index.name, index)
    with sm.load(copy) as model:
        np.testing.assert_array_equal(model(X)["probs"], before)
        assert was_read(model)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"optimize": "none"}, ""),
        ({"device": "cpu"}, "does not apply to a load for a device"),
        ({"session": sm.SessionOptions(allow_soft_placement=True)}, "made for session options"),
    ],
)
def test_other_options_need_another_graph(
    load: Load, copy: Path, arguments: dict[str, object], why: str
) -> None:
    with sm.load(copy, **arguments) as model:  # type: ignore[arg-type]
        np.testing.assert_allclose(model(X)["probs"], load("mlp")(X)["probs"], rtol=1e-5)
        assert not was_read(model)
        assert why in notes(model)


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "garbage", "empty"])
def test_damaged_files_are_not_used(load: Load, copy: Path, damage: str) -> None:
    weights, graphs = copy / FOLDER / "weights.bin", copy / FOLDER / "graphs.pb"
    if damage == "flip":
        content = bytearray(weights.read_bytes())
        content[1000] ^= 1
        weights.write_bytes(content)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-64])
    elif damage == "missing":
        weights.unlink()
    elif damage == "garbage":
        graphs.write_bytes(os.urandom(1000))
    else:
        graphs.write_bytes(b"")
    with sm.load(copy) as model:
        np.testing.assert_array_equal(model(X)["probs"], load("mlp")(X)["probs"])
        assert "assets.extra/savedmodel is not used" in notes(model)


def not_used(copy: Path) -> bool:
    with sm.load(copy, threads=1) as model:
        return "assets.extra/savedmodel is not used" in notes(model)


def test_any_changed_byte_is_noticed(copy: Path) -> None:
    """Also of the weights that are small enough to lie in the graph."""
    for name in "graphs.pb", "weights.bin":
        file = copy / FOLDER / name
        content = file.read_bytes()
        places = {0, 1, *range(len(content) - 8, len(content)), *range(0, len(content), len(content) // 20)}
        for place in places:
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            file.write_bytes(changed)
            assert not_used(copy), (name, place)
        file.write_bytes(content + b"\0")
        assert not_used(copy), f"{name}: longer"
        file.write_bytes(content)
        assert not not_used(copy)


def test_a_model_that_changes_on_disk_is_found_out(copy: Path) -> None:
    with sm.load(copy) as model:
        model(X)
        (copy / "saved_model.pb").write_bytes((copy / "saved_model.pb").read_bytes() + b"\xf8\x7f\x01")
        with pytest.raises(sm.FailedPreconditionError, match="has changed since it was loaded"):
            model.signatures["serving_default"].run({"x": X}, options=IN_A_SESSION)
        model(X)


def test_what_exists_is_not_overwritten(load: Load, copy: Path, tmp_path: Path) -> None:
    before = files(copy)
    with pytest.raises(sm.AlreadyExistsError, match="exists already"):
        load("mlp").save_optimized(copy)
    assert files(copy) == before
    assert [p.name for p in tmp_path.iterdir()] == ["copy"]


def test_nothing_is_left_where_writing_fails(load: Load, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(sm.Error):
        load("mlp").save_optimized(tmp_path / "file" / "copy")
    with pytest.raises(sm.InvalidArgumentError, match="target directory is empty"):
        load("mlp").save_optimized("")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_into_the_model_itself(models: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(models / "mlp", own)
    for _ in range(2):
        with sm.load(own) as model:
            wanted = model(X)["probs"]
            model.save_optimized(own)
            np.testing.assert_array_equal(model(X)["probs"], wanted)
    assert set(files(own)) == {*files(models / "mlp"), f"{FOLDER}/graphs.pb", f"{FOLDER}/weights.bin"}
    with sm.load(own) as model:
        assert was_read(model)


def test_what_is_not_optimized_is_not_saved(models: Path, tmp_path: Path) -> None:
    with (
        sm.load(models / "mlp", optimize="none") as model,
        pytest.raises(sm.FailedPreconditionError, match="optimize none"),
    ):
        model.save_optimized(tmp_path / "copy")
    with (
        sm.load(models / "mlp", session=sm.SessionOptions(inter_op_threads=2)) as model,
        pytest.raises(sm.FailedPreconditionError, match="only a session respects"),
    ):
        model.save_optimized(tmp_path / "copy")
    with (
        sm.load(models / "mlp", device="cpu") as model,
        pytest.raises(sm.FailedPreconditionError, match="device"),
    ):
        model.save_optimized(tmp_path / "copy")
    with (
        sm.load(models / "control_flow_v1") as model,
        pytest.raises(sm.FailedPreconditionError, match="v1 control flow"),
    ):
        model.save_optimized(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_closed_models_do_not_save(models: Path, tmp_path: Path) -> None:
    model = sm.load(models / "mlp")
    model.close()
    with pytest.raises(sm.FailedPreconditionError, match="closed"):
        model.save_optimized(tmp_path / "copy")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("savedmodel")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_the_command(models: Path, tmp_path: Path) -> None:
    done = command("optimize", models / "mlp", tmp_path / "copy", "--verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert "serving_default: same results" in done.stdout
    assert "6 variables" in done.stdout
    again = command("optimize", models / "mlp", tmp_path / "copy")
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "exists already" in again.stderr
    assert command("optimize").returncode == 2
    assert "example: savedmodel optimize" in command("optimize", "--help").stdout
    assert "Traceback" in command("--debug", "optimize", tmp_path / "none", tmp_path / "x").stderr
