"""What LoadSavedModel promises: tag sets, file formats, init ops, assets, options."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .commands import savedmodel
from .graphs import CALL, STRINGS, function, node, save
from .helpers import Load, run_python

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
    with pytest.raises(sm.NotFoundError, match=r"did you mean '.*/add'\?"):
        sm.load(models / "add" / "saved_model.pb")


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("s3://bucket/m", sm.UnimplementedError, "no file system for 's3://'"),
        ("hdfs://host/m", sm.UnimplementedError, "no file system for 'hdfs://'"),
        ("file:///no/such/folder", sm.NotFoundError, "can't be reached"),
        ("/no/such/folder", sm.NotFoundError, "no such directory"),
        ("/dev/null/m", sm.NotFoundError, "Not a directory"),
        ("/" + "a" * 300, sm.InvalidArgumentError, "File name too long"),
        (b"/no/\xff", ValueError, r"b'/no/\\xff' is not UTF-8"),
    ],
)
def test_why_a_path_can_not_be_reached(path: str, error: type[Exception], says: str) -> None:
    for read in sm.load, sm.inspect:
        with pytest.raises(error, match=says):
            read(path)


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "lost").symlink_to("nothing")
    with pytest.raises(sm.NotFoundError, match="the target of this symbolic link does not exist"):
        sm.load(tmp_path / "lost")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(sm.InvalidArgumentError, match="Too many levels of symbolic links"):
        sm.load(tmp_path / "loop")


def test_what_is_no_file(models: Path, tmp_path: Path) -> None:
    for name in "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001":
        copy = tmp_path / name.replace("/", "_")
        shutil.copytree(models / "mlp", copy)
        (copy / name).unlink()
        (copy / name).mkdir()
        with pytest.raises(sm.NotFoundError, match=f"{name}' is a directory, where a file is expected"):
            sm.load(copy)
        (copy / name).rmdir()
        os.mkfifo(copy / name)
        for cache in (False, str(tmp_path / "cache")):
            with pytest.raises(sm.NotFoundError, match=f"{name}' is not a regular file"):
                sm.load(copy, cache=cache)


def test_folders_and_files_that_may_not_be_read(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "mlp", tmp_path / "m")
    (tmp_path / "m" / "saved_model.pb").chmod(0)
    (tmp_path / "closed").mkdir(mode=0)
    code = f"""
        import os, savedmodel as sm
        sm.inspect({str(models / "mlp")!r})
        if os.getuid() == 0:
            os.setuid(65534)
        for name in "m", "closed":
            try:
                sm.load({str(tmp_path)!r} + "/" + name)
            except sm.PermissionDeniedError as error:
                print(error)
    """
    for folder in tmp_path, *tmp_path.parents[:2]:  # which pytest keeps to itself
        folder.chmod(0o755)
    one, other = run_python(code)[0].splitlines()
    assert "saved_model.pb' can't be read: " in one
    assert "/closed' can't be reached: Permission denied" in other


@pytest.mark.parametrize("name", ["a[b]", "a\\b", "a*b", "[!a]"])
def test_paths_that_look_like_patterns(models: Path, tmp_path: Path, name: str) -> None:
    """TensorFlow takes the path of a checkpoint for one."""
    x = np.ones((1, 64), np.float32)
    shutil.copytree(models / "mlp", tmp_path / name)
    with sm.load(tmp_path / name) as model, sm.load(models / "mlp") as original:
        np.testing.assert_array_equal(model(x)["probs"], original(x)["probs"])
        assert model.path == str(tmp_path / name)
    shutil.copytree(models / "table", tmp_path / "tables" / name)
    with sm.load(tmp_path / "tables" / name) as model, sm.load(models / "table") as original:
        assert model(["one"])["id"] == original(["one"])["id"]


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


@pytest.fixture(scope="module")
def custom_op(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A library with an op, in a package, and a model that uses it inside of a function."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    spec = importlib.util.find_spec("tensorflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    tensorflow = Path(next(iter(spec.submodule_search_locations)))
    folder = tmp_path_factory.mktemp("custom_op")
    package = folder / "savedmodel_test_ops"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_module.so").write_bytes(b"PyInit__module OpDefBuilder")  # no library of ops
    source, library = folder / "op.cc", package / "libop.so"
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
    model = folder / "model"
    subprocess.run([sys.executable, "-c", EXPORT, str(library), str(model)], check=True, capture_output=True)
    return library, model


def test_custom_op_library(custom_op: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    library, model = custom_op
    with pytest.raises(sm.NotFoundError, match=r"'SavedmodelTestAddSeven' are custom ops: .*op_libraries="):
        sm.load(model).signatures["serving_default"](x=[1])
    for _ in range(2):  # a library that is open already is no error
        with sm.load(model, op_libraries=[library]) as loaded:
            assert loaded(x=[1, 2])["y"].tolist() == [8, 9]
    monkeypatch.syspath_prepend(str(library.parent.parent))
    assert sm.find_op_libraries("savedmodel_test_ops") == [str(library)]
    for name in "savedmodel_test_ops", ["savedmodel-test-ops"]:
        with sm.load(model, op_libraries=name) as loaded:
            assert loaded(x=[1, 2])["y"].tolist() == [8, 9]
            assert pickle.loads(pickle.dumps(loaded))(x=[3])["y"].tolist() == [10]


def test_ops_of_a_library_stay_unknown(custom_op: tuple[Path, Path]) -> None:
    library, model = custom_op
    for _ in range(2):
        assert {one.op: one.category for one in sm.scan(model)}["SavedmodelTestAddSeven"] == "unknown"
        with pytest.raises(sm.PermissionDeniedError, match=r"SavedmodelTestAddSeven .*\(unknown\)"):
            sm.load(model, op_libraries=[library], ops="safe")


def test_op_libraries_of_commands(custom_op: tuple[Path, Path]) -> None:
    library, model = custom_op
    done = savedmodel("check", model, "--run")
    assert done.returncode == 1
    assert "unusable: signature 'serving_default' needs ops" in " ".join(done.stdout.split())
    for isolated in (), ("--isolated",):
        assert savedmodel("check", model, "--run", "--op-library", library, *isolated).returncode == 0
    run = savedmodel(
        "run",
        model,
        "--input-exprs",
        "x=[1]",
        "--op-library",
        "savedmodel_test_ops",
        PYTHONPATH=str(library.parent.parent),
    )
    assert (run.returncode, "8" in run.stdout) == (0, True), run.stderr
    for command in "run", "check", "bench", "compare", "profile", "optimize", "publish", "warmup", "edit":
        assert "--op-library" in savedmodel(command, "--help").stdout
    wrong = savedmodel("run", model, "--op-library", "no_such_package")
    assert (wrong.returncode, "pip install 'no-such-package'" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (
            "CaseFoldUTF8",
            r"tensorflow-text: pip install 'tensorflow-text==.*op_libraries=\"tensorflow_text\"",
        ),
        ("TFText>SomethingNew", 'op_libraries="tensorflow_text"'),
        ("SentencepieceEncodeSparse", 'op_libraries="tf_sentencepiece"'),
        ("IO>FileRead", 'op_libraries="tensorflow_io"'),
        ("SimpleMLInferenceOp", 'op_libraries="tensorflow_decision_forests"'),
        ("Addons>Blend", 'op_libraries="tensorflow_addons"'),
        ("NobodyKnowsIt", "load the shared library that registers them"),
    ],
)
def test_the_package_of_a_missing_op_is_named(tmp_path: Path, op: str, says: str) -> None:
    there = save(tmp_path / "graph", node("n", op, "x"), output="n:0")
    with pytest.raises(sm.NotFoundError, match=f"'{re.escape(op)}'.*{says}"):
        sm.load(there)
    # In a function, only who calls it needs it.
    library = function("f", node("n", op, "a"), "n:output:0")
    call = node("c", "PartitionedCall", "x", attributes=CALL.format(name="f"))
    inside = save(
        tmp_path / "inside",
        call + node("i", "Identity", "x", attributes=STRINGS),
        output="c:0",
        library=library,
    )
    with sm.load(inside) as model:
        assert model.run("i", {"x": b"1"}) == b"1"
        with pytest.raises(sm.NotFoundError, match=f"signature 'serving_default' needs .*{says}"):
            model(b"1")


def test_python_functions_are_named(tmp_path: Path) -> None:
    attributes = (
        'attr { key: "token" value { s: "pyfunc_0" } } attr { key: "Tin" value { list { type: DT_STRING } } }'
        'attr { key: "Tout" value { list { type: DT_STRING } } }'
    )
    there = save(tmp_path / "graph", node("n", "PyFunc", "x", attributes=attributes), output="n:0")
    with pytest.raises(sm.UnimplementedError, match=r"/graph' calls Python functions \('PyFunc'"):
        sm.load(there)
    library = function("f", node("n", "PyFunc", "a", attributes=attributes), "n:output:0")
    call = node("c", "PartitionedCall", "x", attributes=CALL.format(name="f"))
    inside = save(tmp_path / "inside", call, output="c:0", library=library)
    with sm.load(inside) as model, pytest.raises(sm.UnimplementedError, match="calls Python functions"):
        model(b"1")


def test_an_op_library_that_does_not_exist(load: Load, tmp_path: Path) -> None:
    with pytest.raises(sm.Error, match=r"op library '.*/none\.so'"):
        load("add", op_libraries=[tmp_path / "none.so"])


def test_a_copy_is_the_same_model(models: Path) -> None:
    with sm.load(models / "add") as model:
        assert copy.copy(model) is model
        assert copy.deepcopy({"model": model})["model"] is model


def test_names_are_completed(load: Load) -> None:
    model = load("functions")
    mappings: list[Any] = [model.signatures, model.functions, model.variables]
    for named in mappings:
        assert named._ipython_key_completions_() == list(named)
    assert "functions: '__call__'" in repr(model)
    assert set(sm.__all__) <= set(dir(sm))
    assert [name for name in dir(sm) if name.startswith("_") and not name.startswith("__")] == []


def test_a_path_is_text(models: Path) -> None:
    with pytest.raises(TypeError, match=r"expected a path, a str or os\.PathLike, got NoneType"):
        sm.load(None)  # type: ignore[arg-type]
