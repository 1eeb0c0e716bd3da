"""`savedmodel show`: what it tells, beside saved_model_cli, in a pipe and in a terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import anchor
from .commands import error, in_terminal, many, output, savedmodel, visible, widest

_FIRST = "composite defaults dtypes keras_dense multi odd_names prefix quantized shapes stateful table"
GENERATED = [*_FIRST.split(), "v1_main_op", "v1_multi_tags", "v1_pbtxt", "v1_ref_counter"]
# TensorFlow's names of types, and ours.
DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16", "DT_INVALID": "invalid"}


def _dtype(name: str) -> str:
    name = name.removesuffix("_REF")
    return DTYPES.get(name, name.removeprefix("DT_").lower())


def _models(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield path


def _check(paths: list[Path]) -> int:
    """Assert that what is shown is what saved_model_cli shows. Returns how many signatures there are."""
    count = 0
    theirs = anchor.ask([("show", str(path)) for path in paths])
    ours = many([("show", "--dir", path, "--all", "--json") for path in paths])
    for path, (text, why), (status, out, err) in zip(paths, theirs, ours, strict=True):
        if why is not None and not text:
            assert (status, err.count("\n")) == (2, 1), f"{path}: saved_model_cli refuses it: {why}"
            continue
        assert (status, err) == (0, ""), path
        count += _check_model(json.loads(out), text)
    return count


def _check_model(shown: dict[str, Any], text: str) -> int:
    graphs = {frozenset(graph["tags"]): graph for graph in shown["meta_graphs"]}
    theirs = anchor.parse_show(text)
    assert graphs.keys() == theirs.keys()
    for tags, signatures in theirs.items():
        _check_init_op(graphs[tags], signatures)
        assert graphs[tags]["signatures"].keys() == signatures.keys()
        for name, expected in signatures.items():
            found = graphs[tags]["signatures"][name]
            assert found["method_name"] == expected["method_name"]
            for side in "inputs", "outputs":
                assert found[side].keys() == expected[side].keys()
                for key, (dtype, shape, tensor) in expected[side].items():
                    if "encoding" in found[side][key]:  # saved_model_cli shows no parts
                        continue
                    ours = found[side][key]
                    assert (ours["dtype"], ours["shape"], ours["tensor"]) == (_dtype(dtype), shape, tensor)
    _check_functions(shown, text)
    return sum(map(len, theirs.values()))


def _check_init_op(graph: dict[str, Any], signatures: dict[str, Any]) -> None:
    """saved_model_cli lists it as a signature."""
    if init := signatures.pop("__saved_model_init_op", None):
        assert graph["init_op"] == init["outputs"]["__saved_model_init_op"][2]


def _check_functions(shown: dict[str, Any], text: str) -> None:
    ours: dict[str, list[str]] = {}
    for graph in shown["meta_graphs"]:
        for function in graph["concrete_functions"]:
            ours.setdefault(function["attribute"], []).append(function["inputs"])
    for name, options in anchor.parse_functions(text).items():
        if not options:  # it lists none that take nothing
            continue
        for arguments in options:
            assert any(all(f"{key}: {dtype}" in one for key, _, dtype in arguments) for one in ours[name])


def test_generated_models_are_shown_as_saved_model_cli_does(models: Path) -> None:
    assert _check([models / name for name in GENERATED]) > 50


def test_third_party_models_are_shown_as_saved_model_cli_does(shared_models: Path) -> None:
    paths = list(_models(shared_models))
    assert len(paths) > 20
    assert _check(paths) > 50


def test_ops_include_those_of_functions(models: Path) -> None:
    (graph,) = json.loads(output("show", models / "mlp", "--json"))["meta_graphs"]
    assert {"MatMul", "Relu", "RestoreV2"} <= graph["ops"].keys()
    assert "MatMul" in output("show", models / "mlp", "--tag_set", "serve", "--list_ops")


@pytest.mark.parametrize("form", [["--dir"], []], ids=["--dir", "positional"])
def test_the_hierarchy_in_a_pipe(models: Path, form: list[str]) -> None:
    text = output("show", *form, models / "v1_multi_tags")
    assert [line for line in text.splitlines() if line.startswith("MetaGraph")] == [
        line for line in text.splitlines() if re.match(r"MetaGraph (no tags|gpu, serve|serve|train)  T", line)
    ]
    assert text.count("MetaGraph") == 4
    assert "serving_default" in text
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize("name", ["keras_lstm", "composite", "odd_names", "dtypes", "v1_multi_tags"])
def test_80_columns_everywhere(models: Path, name: str) -> None:
    text = output("show", models / name, "--all")
    status, sent = in_terminal("show", models / name, "--all")
    assert status == 0
    assert "\x1b[1m" in sent
    for shown in (text, visible(sent)):
        # The first line has the path, which could not be copied if it were folded.
        head, *lines = shown.splitlines()
        assert head.startswith(str(models / name))
        assert widest("\n".join(lines)) <= 80


@pytest.mark.parametrize("command", ["show", "scan", "check"])
def test_a_long_path_is_not_folded(models: Path, tmp_path: Path, command: str) -> None:
    path = tmp_path.joinpath(*(["a_long_directory_name"] * 5), "mlp")
    path.parent.mkdir(parents=True)
    path.symlink_to(models / "mlp")
    assert str(path) in output(command, path)
    _, sent = in_terminal(command, path)
    assert str(path) in visible(sent)


def test_all_of_it(models: Path) -> None:
    text = output("show", models / "v1_multi_tags", "--all")
    for word in ("written by", "producer", "init op", "vocab.txt", "saved_model.pb", "Fingerprint", "ops ("):
        assert word in text
    assert "concrete functions" in output("show", models / "keras_dense", "--all")
    fingerprint = json.loads(output("show", models / "mlp", "--json"))["fingerprint"]
    assert fingerprint["uuid"] in output("show", models / "mlp", "--all")


def test_sparse_inputs_are_shown_with_their_parts(models: Path) -> None:
    text = output("show", models / "composite", "--signature-def", "sparse")
    assert re.search(r"x +sparse float32", text)
    assert re.search(r"x#indices +int64", text)
    assert "ragged float32" not in text


def test_one_signature(models: Path) -> None:
    text = output("show", "--dir", models / "multi", "--tag_set", "serve", "--signature_def", "double")
    assert "double" in text
    assert "sum_prod" not in text


def test_the_empty_tag_set(models: Path) -> None:
    text = output("show", models / "v1_multi_tags", "--tag_set", "")
    assert text.count("MetaGraph") == 1
    assert "no tags" in text


def test_control_characters_of_a_model_do_not_reach_the_terminal(tmp_path: Path, models: Path) -> None:
    text = (models / "v1_pbtxt" / "saved_model.pbtxt").read_text()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "saved_model.pbtxt").write_text(
        text.replace('key: "serving_default"', r'key: "\033[31mred\007"')
    )
    shown = output("show", tmp_path / "odd")
    assert "\x1b" not in shown
    assert r"\x1b[31mred\x07" in shown


def test_errors_say_what_there_is(models: Path, tmp_path: Path) -> None:
    assert "gpu, serve" in error("show", models / "v1_multi_tags", "--tag_set", "serve,tpu")
    assert "'double'" in error("show", models / "multi", "--signature_def", "nothing")
    assert "which SavedModel" in error("show")
    assert "one directory, not two" in error("show", models / "mlp", "--dir", models / "mlp")
    assert str(tmp_path / "none") in error("show", tmp_path / "none")
    assert "truncated" in error("show", models / "bad_truncated_pb")
    assert "No such option" in error("show", models / "mlp", "--nonsense")
    assert "No such command" in error("shwo")


def test_a_reader_that_has_seen_enough(models: Path) -> None:
    import subprocess

    from .commands import PROGRAM

    done = subprocess.run(
        f"'{PROGRAM}' show '{models / 'dtypes'}' --all --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_without_a_command_there_is_help() -> None:
    done = savedmodel()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == output("--help")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("shwo",), "No such command 'shwo': did you mean 'show'?"),
        (("zzz",), "No such command 'zzz': `savedmodel --help` lists the commands"),
        (
            ("freeze_model", "--dir", "x"),
            "No such command 'freeze_model': `savedmodel optimize",
        ),
        (("aot_compile_cpu",), "No such command 'aot_compile_cpu': a C++ program loads"),
        (("convert", "--dir", "x", "tensorrt"), "there is no conversion to TensorRT; saved_model_cli"),
    ],
)
def test_what_is_no_command_has_a_hint(arguments: tuple[str, ...], hint: str) -> None:
    assert hint in error(*arguments)


def test_python_runs_the_commands(models: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "savedmodel", "show", models / "mlp"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == output("show", models / "mlp")


def test_help_has_an_example_of_each_command() -> None:
    text = output("--help")
    for name in ("show", "run", "scan", "bench", "compare", "profile", "optimize", "edit"):
        assert f"savedmodel {name} models/" in text
        assert f"example: savedmodel {name} models/" in output(name, "--help")
    assert widest(text) <= 80


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert "_SAVEDMODEL_COMPLETE" in output("completion", shell)


def test_commands_are_completed() -> None:
    done = savedmodel(COMP_WORDS="savedmodel pro", COMP_CWORD="1", _SAVEDMODEL_COMPLETE="bash_complete")
    assert done.stdout == "plain,profile\n"


def test_a_terminal_and_a_pipe_say_the_same(models: Path) -> None:
    _, sent = in_terminal("show", models / "multi")
    lines = [line.rstrip() for line in visible(sent).splitlines()]
    assert lines == output("show", models / "multi").splitlines()
