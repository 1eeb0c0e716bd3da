"""What `optimize=` does to results, to state and to the graph, and what it says of it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import HAS_BFLOAT16, Load, aligned


def test_levels_are_checked(models: Path) -> None:
    with pytest.raises(ValueError, match="optimize must be 'none', 'default', 'bf16' or 'int8', got 'fast'"):
        sm.load(models / "add", optimize="fast")  # type: ignore[arg-type]


def test_none_runs_the_graph_as_it_is(load: Load) -> None:
    (report,) = load("mlp", optimize="none").prepare()
    assert (report.optimized, report.passes, report.variables_frozen) == (False, (), 0)
    assert "not optimized" in repr(report)


def test_the_report_says_what_was_done(load: Load) -> None:
    (report,) = load("mlp").prepare()
    assert report.optimized
    assert report.function == "signature 'serving_default'"
    assert report.executor == "sequential"
    assert report.variables_frozen == 6
    assert report.frozen_bytes == 4 * (64 * 128 + 128 * 128 + 128 * 10 + 128 + 128 + 10)
    assert report.nodes_after < report.nodes_before
    assert 0 < sum(p.seconds for p in report.passes) <= report.seconds
    text = repr(report)
    assert "6 variables" in text
    assert "freeze" in text
    assert all(len(line) <= 110 for line in text.splitlines())


def test_reading_the_report_optimizes_nothing(load: Load) -> None:
    model = load("keras_conv")
    assert [report.why_not for report in model.optimization] == ["it has not been called yet"] * 2
    model.signatures["serve"](np.zeros((1, 16, 16, 3), np.float32))
    called, other = model.optimization
    assert called.optimized
    assert other.why_not == "it has not been called yet"
    assert all(report.optimized for report in model.prepare())
    model.close()
    with pytest.raises(sm.FailedPreconditionError, match="closed"):
        model.prepare()


SHARES = "it computes the same as signature 'serve', and shares its executor"


@pytest.mark.parametrize("name", ["keras_conv", "keras_lstm", "rnn_masked", "encoder_exact"])
def test_signatures_that_compute_the_same_share_an_executor(load: Load, tmp_path: Path, name: str) -> None:
    model = load(name)
    first, second = model.prepare()
    assert SHARES in second.notes
    assert SHARES not in first.notes
    assert (second.function, second.seconds) == ("signature 'serving_default'", 0)
    assert second.nodes_after == first.nodes_after
    model.save_optimized(tmp_path / "saved")
    with sm.load(tmp_path / "saved") as saved:
        assert SHARES in saved.prepare()[1].notes


@pytest.mark.parametrize("name", ["rnn_stateful", "rnn_dropout", "effects", "random", "v1_ref_counter"])
def test_state_of_an_executor_is_not_shared(load: Load, name: str) -> None:
    assert not any("shares its executor" in note for report in load(name).prepare() for note in report.notes)


def test_the_level_travels_with_a_pickle(load: Load) -> None:
    model = pickle.loads(pickle.dumps(load("mlp", optimize="none")))
    assert not model.prepare()[0].optimized


def test_both_levels_agree(load: Load) -> None:
    x = np.random.default_rng(0).normal(size=(7, 64)).astype(np.float32)
    default, none = (load("mlp", optimize=level)(x=x)["probs"] for level in ("default", "none"))
    np.testing.assert_allclose(default, none, rtol=0, atol=1e-5 * np.abs(none).max())


@pytest.mark.skipif(not HAS_BFLOAT16, reason="no bfloat16 on this CPU")
def test_bfloat16_is_close(load: Load) -> None:
    x = np.random.default_rng(0).normal(size=(7, 64)).astype(np.float32)
    model = load("mlp", optimize="bf16")
    exact, close = load("mlp")(x=x)["probs"], model(x=x)["probs"]
    assert close.dtype == np.float32
    assert 0 < np.abs(close - exact).max() < 0.02
    assert "bf16" in [p.name for p in model.prepare()[0].passes]


@pytest.mark.skipif(HAS_BFLOAT16, reason="this CPU has bfloat16")
def test_bfloat16_is_refused_without_instructions(models: Path) -> None:
    with pytest.raises(sm.UnimplementedError, match="this CPU has no instructions for bfloat16"):
        sm.load(models / "mlp", optimize="bf16")


def test_what_a_signature_writes_stays_a_variable(load: Load) -> None:
    model, plain = load("frozen_or_not"), load("frozen_or_not", optimize="none")
    x = aligned(np.arange(4, dtype=np.float32))
    for step in range(3):
        for name in ("scale", "count", "scale", "looped", "branched"):
            inputs = {} if name == "count" else {"x": x + step}
            for key, value in plain.signatures[name].run(inputs).items():
                np.testing.assert_allclose(model.signatures[name].run(inputs)[key], value, rtol=1e-6)
    frozen = {report.function: report.variables_frozen for report in model.prepare()}
    assert frozen["signature 'scale'"] == 1  # and not the counter
    assert frozen["signature 'looped'"] == 1
    assert frozen["signature 'branched'"] == 1
    notes = {report.function: report.notes for report in model.prepare()}
    assert any("stay variables" in note for note in notes["signature 'scale'"])


def test_a_run_by_tensor_name_may_write_what_was_frozen(load: Load) -> None:
    # No signature assigns the v1 graph's weight, but the graph has an op that does.
    model = load("assignable_v1")
    f = model.signatures["serving_default"]
    x = aligned(np.ones(3, np.float32))
    assert model.prepare()[0].variables_frozen == 1
    np.testing.assert_array_equal(f(x=x)["y"], 2 * x)
    assert model.run("set_weight:0", {"new_weight:0": np.float32(5)}) == 5
    np.testing.assert_array_equal(f(x=x)["y"], 5 * x)
    np.testing.assert_array_equal(f.run({"x": x}, timeout=60)["y"], 5 * x)
    assert model.variables["weight"] == 5


def test_large_weights_are_kept_once(load: Load) -> None:
    # The variable, and what the graph multiplies with, are one array.
    model = load("returns_weights")
    variable = model.variables["large"]  # before the call, which frees it
    weights = model.signatures["serving_default"]()["large"]
    assert weights.nbytes > 1 << 16
    assert np.shares_memory(weights, variable)
    assert not weights.flags.writeable


def test_verify_compares_what_is_optimized(load: Load) -> None:
    assert load("mlp", verify=True).verified == {"serving_default": ""}
    assert load("mlp").verified == {}
    assert load("mlp", optimize="none", verify=True).verified == {"serving_default": "optimize='none'"}
    model = load("frozen_or_not", verify=True)
    compared = {name for name, why_not in model.verified.items() if not why_not}
    assert compared == {"scale", "looped", "branched"}
    # The counter was not run.
    assert model.signatures["count"]()["count"] == 1


def test_verify_compares_signatures_of_any_name(models: Path, tmp_path: Path) -> None:
    names = ["it's", "a\\b", 'say "x"', "two\nlines", "é"]
    edit = sm.Edit(models / "mlp")
    signature = next(iter(edit.signatures.values()))
    for name in names:
        inputs = {key: spec.name for key, spec in signature.inputs.items()}
        edit.add_signature(name, inputs, {key: spec.name for key, spec in signature.outputs.items()})
    edit.save(tmp_path / "named")
    with sm.load(tmp_path / "named", verify=True) as model:
        assert model.verified == dict.fromkeys(model.signatures, "")
        assert set(model.verified) >= set(names)
    assert sm.publish(tmp_path / "named", tmp_path / "published").unusable == {}


def test_verify_refuses_a_model_that_differs(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from savedmodel import _verify

    # Rounding alone is over such a tolerance.
    monkeypatch.setitem(_verify._TOLERANCE, "default", 0.0)
    refused = []
    for name in "keras_conv", "keras_lstm", "mlp":
        try:
            sm.load(models / name, verify=True)
        except sm.InternalError as error:
            refused.append(str(error))
    assert refused
    assert all(
        "optimize='default' changed the result by" in text and "Load with optimize='none'" in text
        for text in refused
    )


def test_a_signature_that_cannot_run_has_a_report(load: Load) -> None:
    reports = {report.function: report for report in load("bad_sig").prepare()}
    broken = reports["signature 'bad_index'"]
    assert not broken.optimized
    assert "has no output 7; it has 1 outputs" in broken.why_not


def test_verify_says_what_it_could_not_compare(load: Load) -> None:
    assert "expected a SparseTensor" in load("composite", verify=True).verified["mixed"]


def test_what_a_constant_waits_for_still_happens(load: Load) -> None:
    model = load("asserted_v1")
    for name, function in model.signatures.items():
        assert np.isfinite(function(x=np.zeros((2, 4), np.float32))["y"]).all()
        with pytest.raises(sm.InvalidArgumentError, match=f"assertion failed: .*{name}"):
            function(x=np.ones((2, 4), np.float32))


def test_the_larger_of_products_is_no_leaky_relu(load: Load) -> None:
    x = np.array([[-2.0], [3.0]], np.float32)
    results = load("larger_of_products").signatures["serving_default"](x=x)
    for name, slope in {"half": 0.5, "more": 1.25, "minus": -2.0}.items():
        assert np.array_equal(results[name], np.maximum(x, np.float32(slope) * x)), name


def test_what_tensorflows_optimizer_breaks_runs_without_it(load: Load) -> None:
    """Its layer norm refuses a scale for all features."""
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    centred = x - x.mean(1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(1, keepdims=True) + np.float32(0.001)) * 1.25 + 0.5
    for optimize in ("none", "default"):
        function = load("layer_norm_of_scalars", optimize=optimize).signatures["serving_default"]
        for _ in range(2):
            assert np.allclose(function(x=x)["y"], expected, atol=1e-5), optimize


def test_a_layer_norm_keeps_its_epsilon(models: Path) -> None:
    with np.load(models / "layer_norm_by_number.npz") as golden:
        x, y, z = (golden[f"serving_default|{key}"] for key in ("in:x", "out:y", "out:z"))
    in_session = sm.SessionOptions(config=b"\x58\x14")  # operation_timeout_in_ms
    for optimize in ("none", "default"):
        for session in (None, in_session):
            with sm.load(models / "layer_norm_by_number", optimize=optimize, session=session) as model:
                results = model.signatures["serving_default"](x=x)
                assert model.prepare()[0].executor == "session" or session is None
                assert np.allclose(results["y"], y, atol=1e-5), (optimize, session)
                assert np.allclose(results["z"], z, atol=1e-5), (optimize, session)


COLUMNS = {
    "columns": np.array([[0, 7, 5], [4, -8, -6]], np.int32),
    "several": np.array([[0, 6], [3, 3]], np.int32),
    "single": np.array([8, 0], np.int32),
    "numbers": np.zeros((2, 4), np.float32),
}


def test_embeddings_side_by_side_become_one_op(load: Load) -> None:
    counts = {
        report.function: next(one.count for one in report.passes if one.name == "embeddings")
        for report in load("embedded_columns").prepare()
    }
    found = {name: counts[f"signature {name!r}"] for name in ("serving_default", "deeper", "read_twice")}
    assert found == {"serving_default": 1, "deeper": 0, "read_twice": 0}


@pytest.mark.parametrize("rows", [0, 1, 2, 500])
def test_embeddings_of_any_number_of_rows(load: Load, rows: int) -> None:
    feeds = {name: np.resize(value, (rows, *value.shape[1:])) for name, value in COLUMNS.items()}
    default, none = (
        load("embedded_columns", optimize=level)(**feeds)["rows"] for level in ("default", "none")
    )
    np.testing.assert_array_equal(default, none)


@pytest.mark.parametrize(
    ("name", "at", "value", "message"),
    [
        ("columns", (1, 0), 5, r"5.* not in \[0, 5\)"),
        ("columns", (0, 0), -1, r"-1.* not in \[0, 5\)"),
        ("columns", (1, 2), -7, r"not in \[0, 6\)"),
        ("several", (0, 1), 7, r"7.* not in \[0, 7\)"),
        ("single", (1,), 9, r"9.* not in \[0, 9\)"),
    ],
)
def test_embeddings_refuse_what_the_table_lacks(
    load: Load, name: str, at: tuple[int, ...], value: int, message: str
) -> None:
    changed = COLUMNS[name].copy()
    changed[at] = value
    for level in ("default", "none"):
        with pytest.raises(sm.InvalidArgumentError, match=message):
            load("embedded_columns", optimize=level)(**{**COLUMNS, name: changed})


def test_embeddings_of_different_numbers_of_rows_are_refused(load: Load) -> None:
    for level in ("default", "none"):
        with pytest.raises(sm.InvalidArgumentError, match="Dimension"):
            load("embedded_columns", optimize=level)(**{**COLUMNS, "single": np.zeros(3, np.int32)})
