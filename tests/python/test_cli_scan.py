"""`savedmodel scan`, `sm.scan` and `load(ops="safe")`: what is found, and what only serves the loader."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm
from savedmodel import _core
from savedmodel._ops import op_list

from .commands import error, in_terminal, output, savedmodel, widest
from .graphs import CALL, STRINGS, const, function, node, save
from .helpers import Load


def found(path: Path, **options: list[str]) -> dict[str, str]:
    return {one.op: one.category for one in sm.scan(path, **options) if one.denied}


# The list.


def test_every_registered_op_is_listed(models: Path) -> None:
    sm.inspect(models / "mlp")
    listed = op_list()
    registered = {op for op in _core.registered_ops() if not op.startswith("_Savedmodel")}  # ours
    assert len(registered) > 1500
    assert registered - listed.harmful.keys() - listed.known == set()
    assert listed.known <= registered, "ops that TensorFlow does not have"
    assert not listed.known & listed.harmful.keys()


def test_every_registered_op_was_looked_at() -> None:
    """What another TensorFlow adds counts as harmless, until ops.ini says otherwise."""
    names = Path(sm.__file__).with_name("tensorflow_ops.txt").read_bytes()
    digest = hashlib.sha256(names).hexdigest()
    looked_at = "2044d5e430e6b59a1d720e315e74bbeb75eb5b39d3e10222da57e0a67c9160cd"
    assert digest == looked_at, "compare tensorflow_ops.txt with that of the last build"


def test_every_reason_is_given() -> None:
    listed = op_list()
    assert listed.categories == ("files", "network", "processes", "python", "memory", "code")
    for op, (_, reason) in listed.harmful.items():
        assert len(reason) > 10, op
    for op, category in {
        "ReadFile": "files",
        "SaveV2": "files",
        "PyFunc": "python",
        "EagerPyFunc": "python",
        "_Send": "network",
        "RpcClient": "network",
        "Abort": "processes",
        "ImmutableConst": "memory",
        "XlaCustomCall": "code",
        "DatasetFromGraph": "code",
    }.items():
        assert listed.harmful[op][0] == category


# What is found.


def test_files_are_found(tmp_path: Path) -> None:
    path = save(tmp_path / "m", node("read", "ReadFile", "x"), output="read:0")
    assert found(path) == {"ReadFile": "files"}
    done = savedmodel("scan", path)
    assert done.returncode == 1
    assert "reads whole files" in done.stdout
    assert "at read" in done.stdout
    assert "1 op found" in done.stdout
    assert widest("\n".join(done.stdout.splitlines()[:-1])) <= 80


def test_ops_of_functions_are_found(tmp_path: Path) -> None:
    inner = function("inner", node("read", "ReadFile", "a"), "read:contents:0")
    outer = function(
        "outer", node("call", "PartitionedCall", "a", attributes=CALL.format(name="inner")), "call:output:0"
    )
    call = node("c", "PartitionedCall", "x", attributes=CALL.format(name="outer"))
    path = save(tmp_path / "m", call, output="c:0", library=inner + outer)
    assert found(path) == {"ReadFile": "files"}
    (one,) = json.loads(savedmodel("scan", path, "--json").stdout)["ops"]
    assert one["nodes"] == ["inner/read"]


def test_functions_that_nothing_calls_count(tmp_path: Path) -> None:
    library = function("f", node("read", "ReadFile", "a"), "read:contents:0")
    assert found(save(tmp_path / "m", "", library=library)) == {"ReadFile": "files"}


def test_a_function_can_not_hide_an_op_by_its_name(tmp_path: Path) -> None:
    library = function("ReadFile", node("i", "Identity", "a", attributes=STRINGS), "i:output:0")
    path = save(tmp_path / "m", node("read", "ReadFile", "x"), output="read:0", library=library)
    assert found(path) == {"ReadFile": "files"}


def test_custom_ops_are_unknown(models: Path) -> None:
    assert found(models / "bad_unknown_op") == {"NoSuchOpEver": "unknown"}
    done = savedmodel("scan", models / "bad_unknown_op_in_function")
    assert done.returncode == 1
    assert "NoSuchOpEver" in done.stdout
    assert savedmodel("scan", models / "bad_unknown_op", "--allow", "NoSuchOpEver").returncode == 0


def test_printing_is_harmless_unless_to_a_file(tmp_path: Path) -> None:
    def printing(stream: str) -> str:
        return node(
            "p", "PrintV2", "x", attributes=f'attr {{ key: "output_stream" value {{ s: "{stream}" }} }}'
        )

    assert found(save(tmp_path / "a", printing("stderr"))) == {}
    assert found(save(tmp_path / "b", printing("file:///tmp/x"))) == {"PrintV2:file": "files"}
    assert found(save(tmp_path / "c", node("p", "PrintV2", "x"))) == {}


def test_writing_into_other_memory_is_found(models: Path) -> None:
    assert found(models / "inplace") == {"InplaceUpdate": "memory"}


# What only serves the loader.


def test_no_harmless_model_is_accused(models: Path) -> None:
    for name in (
        "mlp",
        "table",
        "keras_dense",
        "stateful",
        "v1_main_op",
        "v1_multi_tags",
        "v1_pbtxt",
        "while_loop",
    ):
        assert found(models / name) == {}, name
    text = output("scan", models / "table")
    assert "RestoreV2" in text
    assert "nothing found" in text
    assert found(models / "mlp", deny=["loader"]) == {
        "MergeV2Checkpoints": "loader",
        "RestoreV2": "loader",
        "SaveV2": "loader",
    }


def test_third_party_models(shared_models: Path) -> None:
    accused = {}
    for path in sorted(shared_models.iterdir()):
        if path.is_dir() and path.name not in ("neg__garbage_pb", "neg__truncated_pb"):
            accused[path.name] = found(path)
    assert len(accused) > 20
    assert {name: ops for name, ops in accused.items() if ops} == {
        "neg__unknown_op": {"NoSuchOpEver": "unknown"}
    }


def test_assets_outside_of_the_model_are_found(models: Path) -> None:
    for name in "bad_absolute_asset", "bad_asset_traversal":
        assert found(models / name) == {"InitializeTableFromTextFileV2": "files"}


RESTORE = 'attr { key: "dtypes" value { list { type: DT_STRING } } }'
SAVER = 'saver_def { filename_tensor_name: "name:0" save_tensor_name: "x:0" restore_op_name: "restore" }'


@pytest.mark.parametrize(
    ("prefix", "signature", "expected"),
    [
        ("name", "x:0", {}),
        ("elsewhere", "x:0", {"RestoreV2": "files"}),
        ("x", "x:0", {"RestoreV2": "files"}),
        ("name", "restore:0", {"RestoreV2": "files"}),
    ],
    ids=["of the saver", "of another file", "of what is fed", "in a signature"],
)
def test_a_restore(tmp_path: Path, prefix: str, signature: str, expected: dict[str, str]) -> None:
    nodes = const("elsewhere", "/etc/other") + const("names", "v") + const("slices", "")
    nodes += node("name", "Placeholder", attributes='attr { key: "dtype" value { type: DT_STRING } }')
    nodes += node("restore", "RestoreV2", prefix, "names", "slices", attributes=RESTORE)
    assert found(save(tmp_path / "m", nodes, output=signature, more=SAVER)) == expected


def test_what_a_restore_does_beside_restoring(tmp_path: Path) -> None:
    nodes = const("elsewhere", "/etc/other") + const("names", "v") + const("slices", "")
    nodes += node("name", "Placeholder", attributes='attr { key: "dtype" value { type: DT_STRING } }')
    nodes += node("merge", "MergeV2Checkpoints", "names", "elsewhere")
    restore = node("restore", "RestoreV2", "name", "names", "slices", "^merge", attributes=RESTORE)
    alone = node("restore", "RestoreV2", "name", "names", "slices", attributes=RESTORE)
    assert found(save(tmp_path / "with", nodes + restore, more=SAVER)) == {"MergeV2Checkpoints": "files"}
    assert found(save(tmp_path / "without", nodes + alone, more=SAVER)) == {}


def test_a_table_from_a_file_that_is_no_asset(tmp_path: Path) -> None:
    types = "".join(
        f'attr {{ key: "{key}" value {{ type: {kind} }} }}'
        for key, kind in (("key_dtype", "DT_STRING"), ("value_dtype", "DT_INT64"))
    )
    index = "".join(
        f'attr {{ key: "{key}" value {{ i: {value} }} }}'
        for key, value in (("key_index", -2), ("value_index", -1))
    )
    nodes = const("passwd", "/etc/passwd") + node("table", "HashTableV2", attributes=types)
    nodes += node("init", "InitializeTableFromTextFileV2", "table", "passwd", attributes=index)
    path = save(tmp_path / "m", nodes, init="init")
    assert found(path) == {"InitializeTableFromTextFileV2": "files"}
    asset = 'asset_file_def {{ tensor_info {{ name: "passwd:0" }} filename: "{name}" }}'
    inside = save(tmp_path / "inside", nodes, init="init", more=asset.format(name="vocab.txt"))
    assert found(inside) == {}
    # A call feeds no asset's path: the constant would be read.
    nodes += node("after", "Identity", "x", "^init", attributes=STRINGS)
    called = save(tmp_path / "called", nodes, output="after:0", more=asset.format(name="vocab.txt"))
    assert found(called) == {"InitializeTableFromTextFileV2": "files"}
    outside = save(tmp_path / "outside", nodes, init="init", more=asset.format(name="../../etc/passwd"))
    assert found(outside) == {"InitializeTableFromTextFileV2": "files"}


# --deny, --allow.


def test_an_op_goes_before_its_category(tmp_path: Path, models: Path) -> None:
    nodes = node("read", "ReadFile", "x") + node("match", "MatchingFiles", "x")
    path = save(tmp_path / "m", nodes, output="read:0")
    assert found(path).keys() == {"ReadFile", "MatchingFiles"}
    assert found(path, allow=["ReadFile"]).keys() == {"MatchingFiles"}
    assert found(path, allow=["files"]).keys() == set()
    assert found(path, allow=["files"], deny=["ReadFile"]).keys() == {"ReadFile"}
    assert found(path, allow=["ReadFile"], deny=["files"]).keys() == {"MatchingFiles"}
    assert found(models / "mlp", deny=["MatMul"]) == {"MatMul": "known"}
    assert savedmodel("scan", path, "--allow", "ReadFile,MatchingFiles").returncode == 0
    assert savedmodel("scan", models / "mlp", "--deny", "MatMul").returncode == 1
    assert savedmodel("scan", path, "--op_denylist", "WriteFile").returncode == 0
    assert savedmodel("scan", path, "--op_denylist", "WriteFile,ReadFile").returncode == 1


def test_errors(models: Path, tmp_path: Path) -> None:
    assert "no category 'disk'; there are: files" in error("scan", models / "mlp", "--deny", "disk")
    assert "there are: {serve}" in error("scan", models / "mlp", "--tag_set", "gpu")
    assert "no such directory" in error("scan", tmp_path / "none")
    with pytest.raises(TypeError, match="a sequence of ops"):
        sm.scan(models / "mlp", deny="files")


def test_in_a_terminal(tmp_path: Path) -> None:
    status, sent = in_terminal("scan", save(tmp_path / "m", node("read", "ReadFile", "x"), output="read:0"))
    assert status == 1
    assert "\x1b[" in sent


# load(ops="safe").


def test_a_safe_load_runs_nothing_of_what_it_refuses(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    nodes = const("name", str(mark)) + const("text", "here") + node("write", "WriteFile", "name", "text")
    path = save(tmp_path / "m", nodes, init="write")
    with pytest.raises(sm.PermissionDeniedError, match="WriteFile at 'write' \\(files: writes a file"):
        sm.load(path, ops="safe")
    assert not mark.exists()
    sm.load(path).close()  # the init op does run
    assert mark.read_text() == "here"


def test_a_safe_load_refuses_the_unknown(models: Path) -> None:
    with pytest.raises(sm.PermissionDeniedError, match=r"NoSuchOpEver at .* \(unknown\)"):
        sm.load(models / "bad_unknown_op", ops="safe")


def test_a_safe_load_of_a_harmless_model(load: Load, tmp_path: Path, models: Path) -> None:
    x = np.ones((1, 64), np.float32)
    expected = load("mlp")(x)["probs"]
    np.testing.assert_array_equal(load("mlp", ops="safe")(x)["probs"], expected)
    assert load("table", ops="safe").signatures
    # Whoever made the model may have made its optimized graphs, which nobody scans.
    load("mlp").save_optimized(tmp_path / "copy")
    with sm.load(tmp_path / "copy", ops="safe") as model:
        np.testing.assert_array_equal(model(x)["probs"], expected)
        assert any("rules for ops" in str(report) for report in model.prepare())


def test_the_argument() -> None:
    with pytest.raises(ValueError, match="ops must be 'any' or 'safe'"):
        sm.load("x", ops="all")  # type: ignore[arg-type]
