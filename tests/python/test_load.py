"""What LoadSavedModel promises: tag sets, file formats, init ops, assets, options."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load

X = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("tags", "factor"),
    [(["serve"], 1), (["gpu", "serve"], 2), ({"serve", "gpu"}, 2), (("train",), 3), ((), 4)],
)
def test_tags_are_an_exact_set(load: Load, tags: list[str], factor: int) -> None:
    model = load("v1_multi_tags", tags=tags)
    assert model.tags == tuple(sorted(tags))
    base = load("v1_multi_tags")(X)["y"]
    np.testing.assert_allclose(model.signatures["serving_default"](X)["y"], base * factor, rtol=1e-6)


@pytest.mark.parametrize("tags", [["gpu"], ["serve", "train"], ["Serve"], ["serve", ""]])
def test_other_tags_are_told_what_there_is(load: Load, tags: list[str]) -> None:
    with pytest.raises(sm.NotFoundError) as error:
        load("v1_multi_tags", tags=tags)
    for known in ("{'serve'}", "{'gpu', 'serve'}", "{'train'}", "{}"):
        assert known in str(error.value)


def test_meta_graphs_share_variables_and_assets(load: Load) -> None:
    words = ["alpha", "beta", "no such word"]
    answers = [load("v1_multi_tags", tags=tags).signatures["lookup"](words)["id"] for tags in (["serve"], [])]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("name", ["v1_main_op", "v1_legacy_init_op", "table"])
def test_init_ops_have_run(load: Load, name: str) -> None:
    model = load(name)
    vocabulary = (Path(model.path) / "assets" / "vocab.txt").read_text().split()
    ids = model(np.array([*vocabulary, "missing"], object))["id"]
    np.testing.assert_array_equal(ids, [*range(len(vocabulary)), -1])


def test_the_init_op_is_no_signature(load: Load) -> None:
    model = load("table")
    assert all(not name.startswith("__") for name in model.signatures)


def test_text_format(load: Load) -> None:
    assert (Path(load("v1_pbtxt").path) / "saved_model.pbtxt").exists()
    assert load("v1_pbtxt").signatures


def test_a_path_object_and_a_trailing_slash(models: Path) -> None:
    with sm.load(models / "add") as one, sm.load(f"{models}/add/") as other:
        assert one(1.0 * X[0], X[0])["z"].tolist() == other(X[0], X[0])["z"].tolist()


def test_relative_path(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models)
    with sm.load("table") as model:
        assert model(["one"])["id"].shape == (1,)


def test_the_version_folder_of_a_model_server_is_hinted_at(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "add", tmp_path / "served" / "3")
    with pytest.raises(sm.NotFoundError, match=r"did you mean '.*/served/3'"):
        sm.load(tmp_path / "served")


def test_a_saved_model_pb_as_path(models: Path) -> None:
    with pytest.raises(sm.NotFoundError, match=r"here '.*/add'"):
        sm.load(models / "add" / "saved_model.pb")


def test_config_proto_is_passed_through(load: Load) -> None:
    """device_count {"CPU": 3} shows in the session's devices."""
    assert len(load("add", session=sm.SessionOptions(config=b"\n\x07\n\x03CPU\x10\x03")).devices) == 3

    class Message:
        def SerializeToString(self) -> bytes:
            return b"\n\x07\n\x03CPU\x10\x02"

    assert len(load("add", session=sm.SessionOptions(config=Message())).devices) == 2


def test_named_options_are_laid_over_the_config(load: Load) -> None:
    # allow_soft_placement is field 7 of ConfigProto.
    soft = b"\x38\x01"
    load("two_devices", session=sm.SessionOptions(config=soft))
    with pytest.raises(sm.InvalidArgumentError):
        load("two_devices", session=sm.SessionOptions(config=soft, allow_soft_placement=False))


def test_every_session_option_is_accepted(load: Load) -> None:
    options = sm.SessionOptions(
        inter_op_threads=2,
        gpu_memory_fraction=0.5,
        allow_growth=True,
        visible_gpus="",
        allow_soft_placement=True,
        log_device_placement=False,
        xla=False,
    )
    for name in ("mlp", "wide"):
        result = next(iter(load(name, session=options)(np.ones((2, 64), np.float32)).values()))
        expected = next(iter(load(name)(np.ones((2, 64), np.float32)).values()))
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_run_options_hold_for_the_load_itself(models: Path, tmp_path: Path) -> None:
    """A timeout of the restore that cannot be met is an error of the load, or is met."""
    with contextlib.suppress(sm.DeadlineExceededError):
        sm.load(models / "mlp", run=sm.RunOptions(timeout=0.001)).close()
    with sm.load(models / "mlp", run=sm.RunOptions(timeout=30)) as model:
        assert model(np.ones((1, 64), np.float32))["probs"].shape == (1, 10)


def test_loading_and_closing_many_times(models: Path) -> None:
    for _ in range(20):
        with sm.load(models / "mlp") as model:
            model(np.ones((1, 64), np.float32))
        assert model.closed


def test_variables_copied_halfway_are_refused_before_the_restore(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(models / "mlp", path)
    shard = next((path / "variables").glob("variables.data-*"))
    whole = shard.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        shard.write_bytes(whole[:size])
        with pytest.raises(sm.DataLossError, match=f"is {size} bytes long, and the index needs {len(whole)}"):
            sm.load(path)
    shard.write_bytes(whole)
    sm.load(path).close()


OP_SOURCE = """
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
using namespace tensorflow;
REGISTER_OP("SavedmodelTestAddSeven").Input("x: int32").Output("y: int32")
    .SetShapeFn(shape_inference::UnchangedShape);
struct AddSeven : OpKernel {
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(0).shape(), &y));
    y->flat<int32>() = context->input(0).flat<int32>() + 7;
  }
};
REGISTER_KERNEL_BUILDER(Name("SavedmodelTestAddSeven").Device(DEVICE_CPU), AddSeven);
"""

EXPORT = """
import sys
import tensorflow as tf
ops = tf.load_op_library(sys.argv[1])
class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])
    def f(self, x):
        return {"y": ops.savedmodel_test_add_seven(x=x)}
model = Model()
tf.saved_model.save(model, sys.argv[2], signatures=model.f)
"""


def test_custom_op_library(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    tensorflow = Path(next(iter(spec.submodule_search_locations)))
    source, library = tmp_path / "op.cc", tmp_path / "libop.so"
    source.write_text(OP_SOURCE)
    flags = [
        "-std=c++17",
        "-O1",
        "-w",
        "-fPIC",
        "-shared",
        "-D_GLIBCXX_USE_CXX11_ABI=1",
        "-DEIGEN_MAX_ALIGN_BYTES=64",
    ]
    framework = str(tensorflow / "libtensorflow_framework.so.2")
    subprocess.run(
        [
            compiler,
            *flags,
            f"-I{tensorflow / 'include'}",
            str(source),
            framework,
            "-o",
            str(library),
        ],
        check=True,
    )
    model = tmp_path / "model"
    subprocess.run([sys.executable, "-c", EXPORT, str(library), str(model)], check=True, capture_output=True)
    with pytest.raises(sm.NotFoundError, match="SavedmodelTestAddSeven"):
        sm.load(model).signatures["serving_default"](x=[1])
    for _ in range(2):  # a library that is open already is no error
        with sm.load(model, op_libraries=[library]) as loaded:
            assert loaded(x=[1, 2])["y"].tolist() == [8, 9]


def test_an_op_library_that_does_not_exist(load: Load, tmp_path: Path) -> None:
    with pytest.raises(sm.Error, match=r"op library '.*/none\.so'"):
        load("add", op_libraries=[tmp_path / "none.so"])
