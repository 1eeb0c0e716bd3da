"""What is refused: with which type, in which words; and that the model works on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from . import commands
from .helpers import Load

A = np.array([1, 2, 3], np.float32)
B = np.array([10, 20, 30], np.float32)
TAKES = r"signature 'sum_prod' takes a: float32 \[\?\], b: float32 \[\?\]"
Call = Callable[[sm.Signature], object]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f(), TypeError, rf"missing input 'a'; {TAKES}"),
        (lambda f: f(A), TypeError, rf"missing input 'b'; {TAKES}"),
        (lambda f: f(b=B), TypeError, rf"missing input 'a'; {TAKES}"),
        (lambda f: f.run(), TypeError, rf"missing input 'a'; {TAKES}"),
        (lambda f: f.run({}), TypeError, rf"missing input 'a'; {TAKES}"),
        (lambda f: f(A, B, A), TypeError, rf"got 3 positional inputs; {TAKES}"),
        (lambda f: f(A, B, c=A), TypeError, rf"unexpected input 'c'; {TAKES}"),
        (lambda f: f.run({"a": A, "c": B}), TypeError, rf"unexpected input 'c'; {TAKES}"),
        (lambda f: f({"a": A, "c": B}), TypeError, rf"unexpected input 'c'; {TAKES}"),
        (lambda f: f.run({"a": A, 1: B}), TypeError, rf"unexpected input 1; {TAKES}"),
        (lambda f: f.run({"a": A, b"b": B}), TypeError, rf"unexpected input b'b'; {TAKES}"),
        (lambda f: f(A, a=B), TypeError, r"input 'a' is given twice"),
        (lambda f: f.explain(A), TypeError, rf"missing input 'b'; {TAKES}"),
        (
            lambda f: f(A, B.astype(np.float64)),
            TypeError,
            r"input 'b': expected float32 \[\?\], got float64 \[3\]",
        ),
        (
            lambda f: f(A, np.array([1, 2, 3])),
            TypeError,
            r"input 'b': expected float32 \[\?\], got int64 \[3\]",
        ),
        (
            lambda f: f(A, None),
            TypeError,
            r"input 'b': expected float32 \[\?\], got NoneType$",
        ),
        (
            lambda f: f(A, "text"),
            TypeError,
            r"input 'b': expected float32 \[\?\], got str$",
        ),
        (
            lambda f: f(A, ["1", None]),
            TypeError,
            r"input 'b': expected float32 \[\?\], got list of NoneType and str \[2\]$",
        ),
        (
            lambda f: f(A, np.array(["x"])),
            TypeError,
            r"input 'b': expected float32 \[\?\], got <U1 \[1\]",
        ),
        (
            lambda f: f(A, sm.SparseTensor([[0]], [1.0], [1])),
            (TypeError, ValueError),
            r"input 'b': expected float32 \[\?\], got",
        ),
        (
            lambda f: f(A, B[None]),
            ValueError,
            r"input 'b': expected float32 \[\?\], got float32 \[1, 3\]",
        ),
        (
            lambda f: f(A, np.float32(1)),
            ValueError,
            r"input 'b': expected float32 \[\?\], got float32 \[\]",
        ),
        (
            lambda f: f(A, [[1.0], [2.0, 3.0]]),
            ValueError,
            r"input 'b': expected float32 \[\?\], got a list whose parts differ in length",
        ),
        (
            lambda f: f.run({"a": A, "b": B}, outputs=["sum", "difference"]),
            KeyError,
            r"no output 'difference'; its outputs: 'prod', 'sum'",
        ),
        (lambda f: f.run({"a": A, "b": B}, outputs="x"), KeyError, r"no output 'x'"),
        (lambda f: f.run({"a": A, "b": B}, outputs=[]), ValueError, r"outputs is empty"),
        (lambda f: f.run({"a": A, "b": B}, outputs=[1]), TypeError, r"outputs must be names, got 1"),
        (lambda f: f.run({"a": A, "b": B}, outputs=b"sum"), TypeError, r"outputs must be names"),
    ],
)
def test_misuse_of_a_signature(load: Load, call: Call, error: type[Exception], message: str) -> None:
    f = load("multi").signatures["sum_prod"]
    with pytest.raises(error, match=message) as caught:
        call(f)
    assert "signature 'sum_prod'" in str(caught.value)
    assert not isinstance(caught.value, sm.Error)
    np.testing.assert_array_equal(f(A, B)["sum"], A + B)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f.run(A),
        lambda f: f.run([("a", A), ("b", B)]),
        lambda f: f.run("ab"),
        lambda f: f.run({"a": A}, {"b": B}),
        lambda f: f.run(a=A, b=B),
        lambda f: f.run({"a": A, "b": B}, outputs=5),
        lambda f: f.run({"a": A, "b": B}, inputs={"a": A, "b": B}),
        lambda f: f.run({"a": A, "b": B}, timeout=[1]),
        lambda f: f(**{"a": A, "b": B, "outputs": ["sum"]}),
    ],
)
def test_misuse_of_run(load: Load, call: Call) -> None:
    f = load("multi").signatures["sum_prod"]
    with pytest.raises(TypeError):
        call(f)
    np.testing.assert_array_equal(f(A, B)["sum"], A + B)


def test_static_dimensions(load: Load) -> None:
    signatures = load("shapes").signatures
    for name, expected, shape in [
        ("static", r"\[2, 3\]", (3, 2)),
        ("static", r"\[2, 3\]", (2, 3, 1)),
        ("partial", r"\[\?, 3\]", (5, 4)),
        ("partial", r"\[\?, 3\]", (3,)),
    ]:
        with pytest.raises(ValueError, match=f"signature '{name}', input 'x': expected float32 {expected}"):
            signatures[name](np.zeros(shape, np.float32))
    assert signatures["static"](np.zeros((2, 3), np.float32))["y"].shape == (2, 3)


def test_unknown_signature(load: Load) -> None:
    with pytest.raises(KeyError, match="no signature 'nope'; there are: 'double', 'no_inputs'"):
        load("multi").signatures["nope"]
    assert "nope" not in load("multi").signatures
    assert "__saved_model_init_op" not in load("multi").signatures


def test_what_tensorflow_refuses_at_run_time(load: Load) -> None:
    f = load("add").signatures["serving_default"]
    with pytest.raises(sm.InvalidArgumentError, match=r"\[3\] vs\. \[2\]|Incompatible shapes"):
        f(A, A[:2])
    with pytest.raises(RuntimeError):
        f(A, A[:2])
    np.testing.assert_array_equal(f(A, A)["z"], 2 * A)


def test_a_message_that_is_not_utf8(load: Load) -> None:
    model = load("bad_not_utf8")
    with pytest.raises(sm.InvalidArgumentError, match=r"could not correctly convert string: \\xff\\xfe"):
        model([b"\xff\xfe"])
    np.testing.assert_array_equal(model([b"1.5"])["n"], [1.5])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dangling", r"'dangling', output 'y': the graph has no node 'no_such_node'"),
        ("dangling_in", r"'dangling_in', input 'x': the graph has no node 'no_such_input'"),
        ("bad_index", r"'bad_index', output 'y': node 'y' has no output 7; it has 1 outputs"),
    ],
)
def test_signatures_that_name_what_is_not_there(load: Load, name: str, message: str) -> None:
    signatures = load("bad_sig").signatures
    x = np.ones((2, 3), np.float32)
    for _ in range(2):
        with pytest.raises(sm.NotFoundError, match=message):
            signatures[name](x)
    np.testing.assert_array_equal(signatures["good"](x)["y"], 2 * x)


@pytest.mark.parametrize(("name", "output"), [("resource", "handle"), ("variant", "list")])
def test_results_that_no_array_can_hold(load: Load, name: str, output: str) -> None:
    signatures = load("resource_out").signatures
    inputs = {"x": A} if name == "resource" else {}
    with pytest.raises(sm.UnimplementedError, match=f"signature '{name}', output '{output}' is a {name}"):
        signatures[name].run(inputs)
    np.testing.assert_array_equal(signatures["good"](A)["y"], 2 * A)


DO_NOT_LOAD: list[tuple[str, Any, str]] = [
    ("bad_absolute_asset", sm.InvalidArgumentError, r"'/etc/passwd' lies outside"),
    ("bad_asset_traversal", sm.InvalidArgumentError, r"asset '\.\./\.\./.*' lies outside"),
    ("bad_corrupt_crc", sm.DataLossError, r"Checksum does not match"),
    ("bad_corrupt_index", sm.DataLossError, r"variables\.index': .*checksum mismatch"),
    ("bad_empty_pb", sm.DataLossError, r"saved_model\.pb' holds no MetaGraph"),
    ("bad_garbage_pb", sm.DataLossError, r"saved_model\.pb' can't be read as a SavedModel"),
    ("bad_missing_asset", sm.NotFoundError, r"assets/vocab\.txt"),
    ("bad_missing_index", sm.NotFoundError, r"variables\.index' is missing"),
    ("bad_missing_shard", sm.NotFoundError, r"data-00000-of-00001' is missing"),
    ("bad_missing_variables_dir", sm.NotFoundError, r"variables\.index' is missing"),
    ("bad_no_saved_model", sm.NotFoundError, r"no saved_model\.pb, \.pbtxt or \.cpb"),
    ("bad_remote_device", sm.InvalidArgumentError, r"/job:worker/replica:0/task:7"),
    ("bad_short_shard", sm.DataLossError, r"bytes long, and the index needs \d+"),
    ("bad_truncated_pb", (sm.DataLossError, sm.OutOfRangeError), r"may be truncated"),
    ("bad_unknown_op", sm.NotFoundError, r"'NoSuchOpEver' are custom ops"),
]


@pytest.mark.parametrize(("name", "error", "message"), DO_NOT_LOAD)
def test_models_that_do_not_load(models: Path, name: str, error: type[sm.Error], message: str) -> None:
    for _ in range(2):
        with pytest.raises(error, match=message) as caught:
            sm.load(models / name)
        assert str(models / name) in str(caught.value)


def test_an_unknown_op_in_a_function(load: Load) -> None:
    with pytest.raises(sm.NotFoundError, match="NoSuchOpEver"):
        load("bad_unknown_op_in_function")(np.ones((1, 64), np.float32))


def test_an_unknown_op_in_call(load: Load) -> None:
    with pytest.raises(sm.NotFoundError, match="NoSuchOpEver"):
        load("bad_unknown_op_in_call")(np.ones(2, np.float32))
    verified = load("bad_unknown_op_in_call", verify=True).verified
    assert verified is not None
    assert "NoSuchOpEver" in verified["__call__"]


@pytest.mark.parametrize("name", ["bad_unknown_op_in_function", "bad_unknown_op_in_call"])
@pytest.mark.parametrize("options", [(), ("--isolated",)])
def test_check_calls_what_there_is(models: Path, name: str, options: tuple[str]) -> None:
    done = commands.savedmodel("check", models / name, *options)
    assert done.returncode == 1
    assert "NoSuchOpEver" in done.stdout


def test_compare_names_what_is_missing(models: Path) -> None:
    text = commands.error("compare", models / "bad_unknown_op_in_function")
    assert "are custom ops: load the shared library" in text


def test_every_bad_model_is_tried_here(models: Path) -> None:
    tried = {name for name, _, _ in DO_NOT_LOAD}
    tried |= {"bad_not_utf8", "bad_sig", "bad_unknown_op_in_function", "bad_unknown_op_in_call"}
    tried |= {"bad_no_object_graph"}  # in test_objects.py
    assert tried == {path.name for path in models.glob("bad_*") if path.is_dir()}


@pytest.mark.parametrize("how", ["close", "with"])
def test_a_closed_model(models: Path, how: str) -> None:
    model = sm.load(models / "multi")
    f = model.signatures["double"]
    variables = model.variables
    f(A)
    if how == "close":
        model.close()
        model.close()
    else:
        with model:
            f(A)
    assert model.closed
    calls: list[Callable[[], Any]] = [
        lambda: model(A),
        lambda: f(A),
        lambda: f.run({"x": A}, outputs=["y"]),
        lambda: f.run({"x": A}, timeout=1),
        lambda: model.signatures["no_inputs"](),
        lambda: model.run("double_x", {"double_x": A}),
        lambda: model.devices,
        lambda: model.placement,
    ]
    for call in calls:
        with pytest.raises(sm.FailedPreconditionError, match="closed") as error:
            call()
        assert str(models / "multi") in str(error.value)
    assert list(variables) == []
    assert "closed" in repr(model)
    assert f.inputs["x"].shape == (None,)


def test_a_variable_of_a_closed_model(models: Path) -> None:
    with sm.load(models / "weights") as model:
        variables = model.variables
    with pytest.raises(sm.FailedPreconditionError, match="closed"):
        variables["w"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tags": "serve"}, TypeError, r"tags must be a set of strings.*got the string 'serve'"),
        ({"tags": 5}, TypeError, r"tags must be a set of strings, got 5"),
        ({"tags": [5]}, TypeError, r"tags must be a set of strings, got 5 in it"),
        ({"tags": ["gpu"]}, sm.NotFoundError, r"tags \{'gpu'\}; its tag sets: \{'serve'\}"),
        ({"tags": []}, sm.NotFoundError, r"tags \{\}; its tag sets: \{'serve'\}"),
        ({"tags": ["serve", "gpu"]}, sm.NotFoundError, r"\{'gpu', 'serve'\}; its tag sets"),
        ({"threads": 0}, ValueError, r"threads must be 1 to"),
        ({"threads": -2}, ValueError, r"threads must be 1 to"),
        ({"threads": 1.5}, TypeError, r"threads must be an int, or None.*, got 1.5"),
        ({"threads": "2"}, TypeError, r"threads must be an int, or None.*, got '2'"),
        ({"device": "gpu:99"}, sm.InvalidArgumentError, r"no device .*GPU:99.*there are: .*CPU:0"),
        ({"device": "/device:CPU:7"}, sm.InvalidArgumentError, r"no device '/device:CPU:7' on this machine"),
        ({"device": "tpu"}, sm.InvalidArgumentError, r"no device .*TPU:0.*there are: .*CPU:0"),
        ({"device": "/job:worker/device:CPU:0"}, sm.InvalidArgumentError, r"no device"),
        ({"device": "cpu:x"}, sm.InvalidArgumentError, r"'cpu:x' is not the name of a device"),
        ({"device": "a:b:c"}, sm.InvalidArgumentError, r"'a:b:c' is not the name of a device"),
        ({"device": 5}, TypeError, r"device must be a str or None, got 5"),
        (
            {"session": sm.SessionOptions(config=b"\xff\xff")},
            sm.InvalidArgumentError,
            r"not a serialized ConfigProto",
        ),
        ({"session": sm.SessionOptions(config="x")}, TypeError, r"SessionOptions\.config .* str"),
        ({"op_libraries": "/no/ops.so"}, sm.NotFoundError, r"op library '/no/ops\.so'"),
        ({"op_libraries": 1}, TypeError, r"op_libraries must be paths or names of packages"),
        ({"op_libraries": "no_such_package"}, ModuleNotFoundError, r"no package of this name is installed"),
        ({"op_libraries": "json"}, ValueError, r"has no libraries with ops"),
        ({"op_libraries": ["/no/ops.so"]}, sm.NotFoundError, r"op library '/no/ops\.so'"),
        ({"no_such_option": 1}, TypeError, r"no_such_option"),
    ],
)
def test_arguments_of_load(
    models: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        sm.load(models / "add", **options)
    assert caught.match(message or ".")
    assert "incompatible function arguments" not in str(caught.value)  # not in the caller's words


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"inter_op_threads": "2"}, TypeError),
        ({"inter_op_threads": True}, TypeError),
        ({"inter_op_threads": -3}, ValueError),
        ({"gpu_memory_fraction": 2.0}, ValueError),
        ({"allow_growth": 1}, TypeError),
    ],
)
def test_session_options_check_themselves(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"SessionOptions\.{next(iter(options))}"):
        sm.SessionOptions(**options)


def test_paths_of_load(models: Path) -> None:
    with pytest.raises(sm.InvalidArgumentError, match="path of a SavedModel is empty"):
        sm.load("")
    with pytest.raises(sm.NotFoundError, match="no such directory: '/no/such'"):
        sm.load("/no/such")
    with pytest.raises(sm.NotFoundError, match=r"is a file; a SavedModel is a directory; did you mean '"):
        sm.load(models / "add" / "saved_model.pb")
    with pytest.raises(sm.NotFoundError, match="is not a SavedModel"):
        sm.load(models)
    for path in None, 5:
        with pytest.raises(TypeError):
            sm.load(path)  # type: ignore[arg-type]
    # As open() has it: not the folder before the NUL.
    with pytest.raises(ValueError, match="null"):
        sm.load(f"{models / 'add'}\0.bak")


def test_the_folder_of_a_model_server(models: Path, tmp_path: Path) -> None:
    (tmp_path / "7").symlink_to(models / "add")
    with pytest.raises(sm.NotFoundError, match=r"did you mean '.*/7'\?"):
        sm.load(tmp_path)
    with sm.load(tmp_path / "7") as model:
        np.testing.assert_array_equal(model(A, B)["z"], A + B)
