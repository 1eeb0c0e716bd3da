"""After the first call of every signature, variables are freed, and read again on demand."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm
from savedmodel._made_up import made_up_inputs

from .helpers import IN_A_SESSION, run_python

X = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
INPUTS = {"forward": X, "backward": X, "part": X[:, :256]}


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    """Its own copy, so that a test can take it away."""
    return Path(shutil.copytree(models / "large_weights", tmp_path / "model"))


@pytest.fixture
def kept(models: Path, monkeypatch: pytest.MonkeyPatch) -> sm.Model:
    """The same model, which frees nothing."""
    with monkeypatch.context() as environment:
        environment.setenv("SAVEDMODEL_KEEP_VARIABLES", "1")
        return sm.load(models / "large_weights")


def call(model: sm.Model, name: str) -> dict[str, np.ndarray]:
    return {key: np.array(value) for key, value in model.signatures[name].run({"x": INPUTS[name]}).items()}


def call_all(model: sm.Model) -> list[dict[str, np.ndarray]]:
    return [call(model, name) for name in INPUTS]


def same(results: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    for result, right in zip(results, expected, strict=True):
        assert result.keys() == right.keys()
        for key in result:
            np.testing.assert_array_equal(result[key], right[key])


def is_freed(model: sm.Model, folder: Path) -> bool:
    """Whether its files are needed again to read a variable; they stay away."""
    shutil.rmtree(folder)
    try:
        model.variables["w"]
    except sm.FailedPreconditionError:
        return True
    return False


def test_results_stay_the_same(model: Path, kept: sm.Model) -> None:
    expected = call_all(kept)
    loaded = sm.load(model)
    for _ in range(3):
        same(call_all(loaded), expected)
    assert is_freed(loaded, model)
    same(call_all(loaded), expected)


@pytest.mark.parametrize("left_out", [*INPUTS])
def test_nothing_is_freed_before_every_signature_was_called(
    model: Path, left_out: str, kept: sm.Model
) -> None:
    loaded = sm.load(model)
    for name in INPUTS:
        if name != left_out:
            call(loaded, name)
    assert not is_freed(loaded, model)
    same(call_all(loaded), call_all(kept))


@pytest.mark.parametrize("setting", ["", "0"])
def test_a_setting_that_is_off_keeps_nothing(
    model: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("SAVEDMODEL_KEEP_VARIABLES", setting)
    loaded = sm.load(model)
    call_all(loaded)
    assert is_freed(loaded, model)


def test_options_and_the_environment_keep_them(model: Path, kept: sm.Model, tmp_path: Path) -> None:
    call_all(kept)
    assert np.abs(kept.variables["w"]).sum() > 0
    plain = sm.load(model, optimize="none")
    call_all(plain)
    assert not is_freed(plain, model)


def test_variables_are_read_again(model: Path, kept: sm.Model) -> None:
    loaded = sm.load(model)
    call_all(loaded)
    for name, value in kept.variables.items():
        np.testing.assert_array_equal(np.asarray(loaded.variables[name]), np.asarray(value))
    same(call_all(loaded), call_all(kept))


def test_a_view_of_a_variable_stays_as_it_was(model: Path, kept: sm.Model) -> None:
    loaded = sm.load(model)
    view = np.asarray(loaded.variables["w"])
    before = view.copy()
    call_all(loaded)
    np.testing.assert_array_equal(view, before)
    same(call_all(loaded), call_all(kept))


def test_a_result_that_is_a_weight_stays_as_it_was(model: Path) -> None:
    loaded = sm.load(model)
    view = loaded.signatures["part"].run({"x": INPUTS["part"]})["v"]
    before = np.array(view)
    call_all(loaded)
    np.testing.assert_array_equal(view, before)
    np.testing.assert_array_equal(loaded.signatures["part"].run({"x": INPUTS["part"]})["v"], before)


def test_functions_bound_later_have_their_weights(model: Path, kept: sm.Model) -> None:
    loaded = sm.load(model)
    expected = call_all(loaded)
    signature = loaded.signatures["forward"]
    feed, fetch = signature.inputs["x"].name, signature.outputs["y"].name
    for _ in range(12):  # the tenth run optimizes
        np.testing.assert_allclose(loaded.run([fetch], {feed: X})[0], expected[0]["y"], rtol=1e-5, atol=1e-5)
    same(call_all(loaded), expected)
    plain = signature.run({"x": X}, options=IN_A_SESSION)
    np.testing.assert_allclose(plain["y"], expected[0]["y"], rtol=1e-5, atol=1e-5)


def test_an_optimized_copy_of_a_model_that_was_freed(model: Path, tmp_path: Path) -> None:
    loaded = sm.load(model)
    expected = call_all(loaded)
    loaded.save_optimized(tmp_path / "copy")
    loaded.save_variables(tmp_path / "variables")
    same(call_all(sm.load(tmp_path / "copy")), expected)
    same(call_all(loaded), expected)


def test_a_changed_model_is_not_read_again(model: Path) -> None:
    loaded = sm.load(model)
    expected = call_all(loaded)
    index = model / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    with pytest.raises(sm.FailedPreconditionError, match="has changed since it was loaded, and"):
        loaded.variables["w"]
    same(call_all(loaded), expected)


def test_files_beside_the_model_and_links_to_it_do_not_matter(
    model: Path, kept: sm.Model, tmp_path: Path
) -> None:
    link = tmp_path / "current"
    link.symlink_to(model)
    loaded = sm.load(link)
    call_all(loaded)
    (model / "notes.txt").write_text("new")
    link.unlink()
    link.symlink_to("elsewhere")
    np.testing.assert_array_equal(np.asarray(loaded.variables["v"]), np.asarray(kept.variables["v"]))


def test_what_needs_no_variables_needs_no_files(model: Path) -> None:
    loaded = sm.load(model)
    expected = call_all(loaded)
    devices = sm.load(model).devices
    shutil.rmtree(model)
    assert loaded.devices == devices
    same(call_all(loaded), expected)
    with pytest.raises(sm.FailedPreconditionError, match="is not there any more, and has to be read again"):
        loaded.signatures["part"].run({"x": INPUTS["part"]}, outputs="y")


@pytest.mark.parametrize("name", ["keras_embedding_strings", "table", "v1_unnamed_table"])
def test_a_model_whose_load_fills_tables_stays(models: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(models / name, tmp_path / name))
    loaded = sm.load(copy)
    calls = [(one, made_up_inputs(one.inputs)) for one in loaded.signatures.values()]
    expected = [signature.run(inputs) for signature, inputs in calls]
    shutil.rmtree(copy)
    for (signature, inputs), right in zip(calls, expected, strict=True):
        plain = signature.run(inputs, options=IN_A_SESSION)
        for key, value in right.items():
            if np.asarray(value).dtype == np.float32:
                np.testing.assert_allclose(plain[key], value, rtol=1e-5)
            else:
                np.testing.assert_array_equal(plain[key], value)


def test_a_copy_is_saved_while_the_last_first_call_ends(model: Path, tmp_path: Path, kept: sm.Model) -> None:
    expected = call_all(kept)
    for round_ in range(5):
        loaded = sm.load(model)
        loaded.prepare()
        with ThreadPoolExecutor(1) as pool:
            saving = pool.submit(loaded.save_optimized, tmp_path / str(round_))
            same(call_all(loaded), expected)
            saving.result()
        same(call_all(sm.load(tmp_path / str(round_))), expected)


def test_threads_that_call_and_read_at_once(model: Path, kept: sm.Model) -> None:
    expected = dict(zip(INPUTS, call_all(kept), strict=True))
    right = np.array(kept.variables["v"])
    for _ in range(5):
        loaded = sm.load(model, threads=1)

        def work(number: int, loaded: sm.Model = loaded) -> None:
            for i in range(6):
                if number == 3:
                    np.testing.assert_array_equal(np.asarray(loaded.variables["v"]), right)
                else:
                    name = [*INPUTS][(number + i) % 3]
                    same([call(loaded, name)], [expected[name]])

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work, number) for number in range(4)]:
                done.result()


def test_memory_is_given_back(models: Path, tmp_path: Path) -> None:
    """One weight of 64 MB: it is resident as a variable until the first call, then packed only."""
    run_python(
        f"""
        import numpy as np, tensorflow as tf
        module = tf.Module()
        module.w = tf.Variable(np.random.default_rng(0).normal(size=(8192, 2048)).astype(np.float32))
        call = tf.function(lambda x: {{"y": tf.matmul(x, module.w)}},
                           input_signature=[tf.TensorSpec([None, 8192], tf.float32, "x")])
        tf.saved_model.save(module, {str(tmp_path / "large")!r}, signatures=call)
        """
    )
    measure = f"""
        import numpy as np, savedmodel as sm
        def resident():
            return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) >> 10
        small = sm.load({str(models / "mlp")!r})
        small(np.zeros((1, 64), np.float32))
        before = resident()
        model = sm.load({str(tmp_path / "large")!r}, threads=1)
        model(np.ones((1, 8192), np.float32))
        print(resident() - before)
        model.close()
        print(resident() - before)
    """
    freed = [int(line) for line in run_python(measure)[0].split()]
    kept = [int(line) for line in run_python(measure, SAVEDMODEL_KEEP_VARIABLES="1")[0].split()]
    assert freed[0] < 64 + 32, freed
    assert kept[0] > freed[0] + 32, (kept, freed)
    assert freed[1] < 32, freed
