"""Graphs that contradict themselves are refused; `savedmodel check`, whatever becomes of its child.

What the checks compute is tested in tests/cpp/engine/files/. TensorFlow has an ordinary error for
every model here.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import savedmodel as sm
from savedmodel.cli import _check, main
from savedmodel.cli._isolated import isolated_steps

from .commands import savedmodel, visible, widest
from .graphs import CALL, STRINGS, function, node, save

Child = Callable[[str], None]
ENCODINGS = "".join(
    f'attr {{{{ key: "{way}_encoding" value {{{{ s: "{{}}" }}}} }}}}' for way in ("input", "output")
)

REFUSED = {
    "a choice that there is not": (
        node("i", "UnicodeTranscode", "x", attributes=ENCODINGS.format("UTF-8", "UTF-9")),
        "node 'i': its attribute 'output_encoding' has a value that UnicodeTranscode does not allow",
    ),
    "an attribute of another kind": (
        node("i", "Identity", "x", attributes='attr { key: "T" value { i: 1 } }'),
        "node 'i': its attribute 'T' is not of the type 'type'",
    ),
    "an attribute that is not there": (
        node("i", "Identity", "x"),
        "node 'i': its attribute 'T' is missing",
    ),
    "more inputs counted than there are": (
        node("i", "StringJoin", "x", attributes='attr { key: "N" value { i: 2 } }'),
        "node 'i': it has 1 inputs, but its attribute 'N' is 2",
    ),
    "an input too few": (
        node("i", "AddV2", "x", attributes=STRINGS),
        "node 'i': it has 1 inputs, and AddV2 takes 2",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_graph_that_contradicts_itself_is_refused(tmp_path: Path, kind: str) -> None:
    nodes, said = REFUSED[kind]
    path = save(tmp_path / "m", nodes, output="i:0")
    with pytest.raises(sm.InvalidArgumentError, match=said) as caught:
        sm.load(path)
    assert str(path) in str(caught.value)


def test_functions_are_looked_at_too(tmp_path: Path) -> None:
    library = function("f", node("c", "Identity", "a"), "c:output:0")
    call = node("i", "PartitionedCall", "x", attributes=CALL.format(name="f"))
    path = save(tmp_path / "m", call, output="i:0", library=library)
    with pytest.raises(sm.InvalidArgumentError, match="node 'c' of function 'f'"):
        sm.load(path)


def test_an_attribute_of_a_function_is_no_value(tmp_path: Path) -> None:
    """The function's caller says which of the choices it is."""
    placeholder = 'attr { key: "errors" value { placeholder: "errors" } }'
    encodings = "".join(
        f'attr {{ key: "{name}" value {{ s: "UTF-8" }} }}' for name in ("input_encoding", "output_encoding")
    )
    library = function(
        "f", node("t", "UnicodeTranscode", "a", attributes=encodings + placeholder), "t:output:0"
    ).replace("signature {", 'signature { attr { name: "errors" type: "string" }', 1)
    given = CALL.format(name="f").replace(
        'name: "f"', 'name: "f" attr { key: "errors" value { s: "ignore" } }'
    )
    call = node("i", "PartitionedCall", "x", attributes=given)
    with sm.load(save(tmp_path / "m", call, output="i:0", library=library)) as model:
        assert model.signatures["serving_default"].run({"x": b"a\xff"})["y"] == b"a"


# `savedmodel check`.


CHILD = """
import json, os, signal, sys, time
request = json.loads(sys.stdin.readline())["request"]
assert request["path"].startswith("/")
for step in {"at": "load"}, {"done": "loads"}, {"at": "run", "signature": "serving_default"}:
    print(json.dumps(step), flush=True)
"""
ABORTS = (
    CHILD
    + """
print("a last word", file=sys.stderr)
os.kill(os.getpid(), signal.SIGABRT)
"""
)
EXITS = CHILD + "sys.exit(3)"
SLEEPS = CHILD + "time.sleep(600)"


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    """Has `savedmodel check --isolated` start this program, which ends or sleeps by itself."""

    def start(program: str) -> None:
        steps = functools.partial(isolated_steps, child=(sys.executable, "-c", program))
        monkeypatch.setattr(_check, "isolated_steps", steps)

    return start


def test_a_sound_model_loads_and_runs(models: Path) -> None:
    for options in ((), ("--isolated",)):
        done = savedmodel("check", models / "mlp", *options, "--run")
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            done.stdout == f"{models / 'mlp'}: loads\n  serving_default: runs\n" or widest(done.stdout) <= 80
        )


def test_a_crash_is_told(models: Path, child: Child, capsys: pytest.CaptureFixture[str]) -> None:
    child(ABORTS)
    command = ["check", str(models / "mlp"), "--isolated", "--run"]
    assert main([*command, "--json"]) == 1
    load, call = json.loads(capsys.readouterr().out)["steps"]
    assert load["outcome"] == "done"
    assert (call["signature"], call["outcome"], call["text"], call["lines"]) == (
        "serving_default",
        "crashed",
        "signal 6, SIGABRT",
        ["a last word"],
    )
    assert main(command) == 1
    text = " ".join(visible(capsys.readouterr().out).split())
    assert "serving_default: crashed: signal 6, SIGABRT" in text
    assert "a last word" in text


def test_an_exit_is_told(models: Path, child: Child, capsys: pytest.CaptureFixture[str]) -> None:
    child(EXITS)
    assert main(["check", str(models / "mlp"), "--isolated"]) == 1
    assert "serving_default: crashed: exit status 3" in visible(capsys.readouterr().out)


def test_a_hang_is_told(models: Path, child: Child, capsys: pytest.CaptureFixture[str]) -> None:
    child(SLEEPS)
    assert main(["check", str(models / "mlp"), "--isolated", "--timeout", "1"]) == 1
    assert "hung: no answer for 1 s" in visible(capsys.readouterr().out)


@pytest.mark.parametrize("options", [(), ("--isolated",)])
def test_a_refusal_is_told(models: Path, options: tuple[str, ...]) -> None:
    done = savedmodel("check", models / "bad_truncated_pb", *options)
    assert done.returncode == 1
    assert "bad_truncated_pb: refused: " in " ".join(done.stdout.split())
    assert "corrupted" in " ".join(done.stdout.split())


def test_memory_is_limited(models: Path) -> None:
    done = savedmodel("check", models / "mlp", "--isolated", "--memory", "0.02")
    assert done.returncode == 1
    assert re.search(r"refused|crashed", done.stdout)


def test_mistakes_have_the_status_2(models: Path, tmp_path: Path) -> None:
    assert savedmodel("check", tmp_path / "none").returncode == 2
    assert savedmodel("check", models / "mlp", "--timeout", "0").returncode == 2
