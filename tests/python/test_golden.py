"""What TensorFlow computes, this package computes: generated and third-party models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from . import goldens

GENERATED = [
    "add",
    "asserted_v1",
    "assignable_v1",
    "augmented",
    "bad_not_utf8",
    "bad_sig",
    "batching",
    "compiled",
    "composite",
    "constant",
    "control_flow_v1",
    "conv_bottleneck",
    "conv_dilated",
    "conv_factors",
    "conv_grouped",
    "conv_mobile",
    "conv_over_time",
    "conv_residual",
    "conv_v1",
    "conv_wide",
    "conv_wide_over_time",
    "defaults",
    "defun",
    "dense_epilogues",
    "different_weights",
    "dtypes",
    "effects",
    "embedded_columns",
    "encoder_exact",
    "encoder_tanh",
    "frozen_or_not",
    "identity",
    "in_place",
    "keras_conv",
    "keras_dense",
    "keras_embedding_strings",
    "keras_in_module",
    "keras_lstm",
    "keras_saved",
    "keras_saved_lstm",
    "keras_saved_trained",
    "large_in_branches",
    "large_weights",
    "larger_of_products",
    "layer_norm_by_number",
    "many_signatures",
    "mixed_cnn",
    "mixed_encoder",
    "mixed_recurrent",
    "mlp",
    "multi",
    "norm_forms",
    "odd_names",
    "pinned_inside",
    "prefix",
    "quantized",
    "random",
    "resource_out",
    "returns_weights",
    "rnn_activation",
    "rnn_backwards",
    "rnn_batch",
    "rnn_bidirectional",
    "rnn_by_gates",
    "rnn_double",
    "rnn_dropout",
    "rnn_dynamic",
    "rnn_gru",
    "rnn_gru_apart",
    "rnn_gru_before",
    "rnn_lstm",
    "rnn_masked",
    "rnn_masked_states",
    "rnn_masked_zeros",
    "rnn_no_bias",
    "rnn_stacked",
    "rnn_stateful",
    "rnn_states",
    "rnn_time_major",
    "scalar",
    "shapes",
    "slice_view",
    "slow",
    "stateful",
    "strings",
    "table",
    "two_devices",
    "uninitialised",
    "v1_legacy_init_op",
    "v1_main_op",
    "v1_multi_tags",
    "v1_multi_tags@",
    "v1_multi_tags@gpu,serve",
    "v1_multi_tags@train",
    "v1_partitioned_variable",
    "v1_pbtxt",
    "v1_ref_counter",
    "v1_ref_weights",
    "v1_stripped",
    "v1_unnamed_table",
    "weights",
    "while_loop",
    "wide",
]

SHARED = Path(__file__).resolve().parents[3] / "shared"
SHARED_GOLDENS = sorted(path.stem for path in SHARED.glob("golden/*.npz"))

# Nodes are pinned to a GPU: elsewhere than on one, only soft placement runs them.
PINNED = {"two_devices", "serving__half_plus_two_gpu"}
# TensorFlow loads them, we do not: see `test_refused_though_tensorflow_loads_it`.
REFUSED = {"neg__asset_path_traversal", "neg__missing_variables_dir"}


def options(name: str) -> sm.SessionOptions | None:
    return sm.SessionOptions(allow_soft_placement=True) if name in PINNED else None


def index_rows() -> list[tuple[str, str]]:
    """(model, what TensorFlow's C++ loader makes of it) of the third-party models."""
    index = SHARED / "models" / "INDEX.md"
    if not index.exists():
        return []
    rows = [line.split(" | ") for line in index.read_text().splitlines() if line.startswith("| ")]
    return [(row[0].removeprefix("| "), row[5]) for row in rows[1:]]


FAILING = [
    (name, status)
    for name, statuses in index_rows()
    for status in [statuses.split(":")[0]]
    if status.isupper()
]


def test_every_generated_golden_is_listed(models: Path) -> None:
    assert sorted(GENERATED) == sorted(path.stem for path in models.glob("*.npz"))


@pytest.mark.parametrize("golden", GENERATED)
def test_generated(models: Path, golden: str) -> None:
    name, has_tags, tags = golden.partition("@")
    for (_, signature), run in goldens.read(models / f"{golden}.npz").items():
        # Loaded anew for each signature: runs change the state of some models.
        with sm.load(
            models / name,
            tags=filter(None, tags.split(",")) if has_tags else {"serve"},
            session=options(name),
        ) as model:
            f = model.signatures[signature]
            goldens.check(f.run(goldens.feeds(run, f)), run, f)


@pytest.mark.parametrize("name", sorted(set(SHARED_GOLDENS) - REFUSED))
def test_third_party(shared_models: Path, name: str) -> None:
    only_tags = "+".join(sm.inspect(shared_models / name).meta_graphs[0].tags)
    for (tags, signature), run in goldens.read(SHARED / "golden" / f"{name}.npz").items():
        with sm.load(
            shared_models / name, tags=(tags or only_tags).split("+"), session=options(name)
        ) as model:
            f = model.signatures[signature]
            goldens.check(f.run(goldens.feeds(run, f)), run, f)


def test_chunked_model(shared_models: Path) -> None:
    with sm.load(shared_models / "tf__chunked_model") as model:
        results = model()
    assert list(results) == ["output_0"]
    assert results["output_0"].dtype == np.float64
    assert results["output_0"].shape == (150, 150)
    assert np.isfinite(results["output_0"]).all()


@pytest.mark.parametrize(("name", "status"), FAILING)
def test_fails_to_load_with_tensorflows_status(shared_models: Path, name: str, status: str) -> None:
    # INVALID_ARGUMENT -> InvalidArgumentError
    expected = getattr(sm, status.title().replace("_", "") + "Error")
    with pytest.raises(sm.Error) as failure:
        sm.load(shared_models / name)
    assert type(failure.value) is expected
    assert name in str(failure.value)


@pytest.mark.parametrize("name", [name for name, status in index_rows() if status == "soft only"])
def test_soft_placement_only(shared_models: Path, name: str) -> None:
    if any("GPU" in device for device in _devices(shared_models)):
        pytest.skip("here is a GPU, so nothing has to be placed elsewhere")
    with pytest.raises(sm.InvalidArgumentError, match="GPU"):
        sm.load(shared_models / name)
    with sm.load(shared_models / name, session=sm.SessionOptions(allow_soft_placement=True)) as model:
        assert model.signatures


def _devices(shared_models: Path) -> tuple[str, ...]:
    with sm.load(shared_models / "tf__half_plus_two") as model:
        return model.devices


@pytest.mark.parametrize(
    ("name", "expected", "message"),
    [
        ("neg__asset_path_traversal", sm.InvalidArgumentError, r"outside of the SavedModel"),
        ("neg__missing_variables_dir", sm.NotFoundError, r"variables\.index' is missing"),
    ],
)
def test_refused_though_tensorflow_loads_it(
    shared_models: Path, name: str, expected: type[sm.Error], message: str
) -> None:
    with pytest.raises(expected, match=message):
        sm.load(shared_models / name)


def test_dangling_output_spoils_only_its_own_signature(shared_models: Path) -> None:
    with sm.load(shared_models / "neg__sig_output_dangling") as model:
        with pytest.raises(sm.NotFoundError, match="gone"):
            model(np.ones((1, 1), np.float32))
        results = model.signatures["regress_x2_to_y3"](np.ones((1, 1), np.float32))
        assert results["outputs"].shape == (1, 1)
