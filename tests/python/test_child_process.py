"""Child processes that are asked and answer: errors, deadlines, how they end."""

from __future__ import annotations

import re
import sys
import time

import pytest
from savedmodel._process import END_SECONDS, NoAnswer, Process, ProcessEnded, ProcessError

SERVES = """
import os, signal, sys, time
from savedmodel._process import serve

def several(count):
    for number in range(count):
        yield {"number": number}

def end(by):
    print("a last word", file=sys.stderr)
    print("  @ a stack", file=sys.stderr, flush=True)
    os.kill(os.getpid(), by) if by else sys.exit(3)

def fail():
    raise ValueError("a\\nmistake")

def echo(**values):
    os.write(1, b"printed\\n")
    return values

handlers = {"echo": echo, "several": several, "end": end, "fail": fail, "sleep": lambda: time.sleep(600)}
"""
HELLO = SERVES + 'serve(handlers, hello=lambda: {"ready": True})'
STRICT = SERVES + "serve(handlers, catch=())"


def start(program: str = SERVES + "serve(handlers)", timeout: float | None = 60) -> Process:
    return Process([sys.executable, "-c", program], timeout=timeout, noise=re.compile(r"\s*@ "))


def test_questions_are_answered() -> None:
    with start() as process:
        large = "\u00e4" * 300_000  # more than a pipe holds
        assert process.ask("echo", text=large, number=1.5) == {"text": large, "number": 1.5}
        process.send("several", count=3)
        assert [process.receive()["number"] for _ in range(3)] == [0, 1, 2]
        process.no_more()
        # What is written to stdout is no answer.
        with pytest.raises(ProcessEnded, match=r"^exit status 0: printed$") as caught:
            process.receive()
        assert caught.value.ending.status == 0


def test_an_answer_before_the_first_question() -> None:
    with start(HELLO) as process:
        assert process.receive() == {"ready": True}
        assert process.ask("echo") == {}
    with start(HELLO.replace('{"ready": True}', "1 // 0")) as process:
        with pytest.raises(ProcessError, match=r"^ZeroDivisionError: "):
            process.receive()
        with pytest.raises(ProcessEnded, match="exit status 0"):
            process.ask("echo")


def test_errors_are_answers() -> None:
    with start() as process:
        for _ in range(2):
            with pytest.raises(ProcessError, match=r"^ValueError: a mistake$"):
                process.ask("fail")
        with pytest.raises(ProcessError, match="unknown command 'none'"):
            process.ask("none")
        assert process.ask("echo", x=1) == {"x": 1}
    with start(STRICT) as process, pytest.raises(ProcessEnded, match=r"exit status 1: mistake"):
        process.ask("fail")


@pytest.mark.parametrize(("by", "how"), [(0, "exit status 3"), (6, "signal 6"), (9, "signal 9")])
def test_ends_are_told(by: int, how: str) -> None:
    with start() as process:
        with pytest.raises(ProcessEnded, match=rf"^{how}: a last word$") as caught:
            process.ask("end", by=by)
        assert (caught.value.ending.how, caught.value.ending.lines) == (how, ["a last word"])
        with pytest.raises(ProcessEnded, match=how):  # however often it is asked
            process.ask("echo")


def test_deadlines() -> None:
    with start(timeout=0.3) as process:
        with pytest.raises(NoAnswer, match=r"^no answer within 0.3 s$"):
            process.ask("sleep")
        with pytest.raises(NoAnswer):
            process.receive(-1.0)
        process.kill()
        with pytest.raises(ProcessEnded, match="signal 9"):
            process.receive(60)


def test_an_exception_ends_a_child_that_hangs() -> None:
    def interrupted() -> None:
        with start() as process:
            process.send("sleep")
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begun < END_SECONDS


def test_no_modules_of_the_working_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "json.py").write_text("raise ValueError('not mine')")
    with Process([sys.executable, "-m", "savedmodel._publish.trial_main"], cwd=folder) as process:
        process.no_more()
        with pytest.raises(ProcessEnded, match="exit status 0"):
            process.receive(60)
