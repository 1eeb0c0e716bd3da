# SPDX-License-Identifier: Apache-2.0
"""Python modules in child processes: what is asked and answered, how long it may take, how they end.

A question is a line of JSON on the child's stdin, {"command": NAME, ...}; an answer is one on its stdout, and
{"error": text} takes the place of any. The end of stdin ends the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

Answer = dict[str, Any]
Self = TypeVar("Self", bound="Process")

END_SECONDS = 10.0  # for a child to end by itself, where nothing else limits it


class ProcessError(Exception):
    """The child reported an error, did not answer in time, or ended. The text says why."""


class NoAnswer(ProcessError):
    """It is alive, and says nothing."""


class ProcessEnded(ProcessError):
    """It ended in place of an answer."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending))
        self.ending = ending


@dataclass(frozen=True)
class Ending:
    """How a process ended: negative numbers are signals. The lines are what it wrote to stderr."""

    status: int
    lines: list[str]

    @property
    def how(self) -> str:
        return f"signal {-self.status}" if self.status < 0 else f"exit status {self.status}"

    def __str__(self) -> str:
        return ": ".join([self.how, *(line.strip() for line in self.lines[-1:])])


def module_command(module: str) -> list[str]:
    """The command line that runs a module as a program."""
    return [sys.executable, "-m", module]


def environment(**more: str) -> dict[str, str]:
    """That of this process and more, for a child that finds no modules in the working directory."""
    return {**os.environ, "PYTHONSAFEPATH": "1", **more}


class Process:
    """The parent's end. Close it, or use it in `with`, which kills it after an exception.

    `timeout`, in seconds, is that of each answer. `noise` is found in lines of stderr that don't say why a
    process ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float | None = None,
        noise: re.Pattern[str] | None = None,
    ) -> None:
        self._timeout, self._noise = timeout, noise
        self._unread = bytearray()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        try:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment(**(env or {})),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
            )
        except BaseException:
            self._stderr.close()
            raise

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self.kill()
        self.close()

    def ask(self, command: str, /, **values: Any) -> Answer:
        """Send a question, and wait for its answer. Raises ProcessError."""
        self.send(command, **values)
        return self.receive()

    def send(self, command: str, /, **values: Any) -> None:
        """Send a question. A process that is gone says so in place of the answer."""
        assert self._process.stdin is not None
        left = memoryview(json.dumps({"command": command, **values}).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):
            while left:
                left = left[self._process.stdin.write(left) :]

    def no_more(self) -> None:
        """No question follows: the child ends after its last answer."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def receive(self, seconds: float | None = None) -> Answer:
        """The next answer, within so many seconds, or the timeout. Raises ProcessError."""
        seconds = self._timeout if seconds is None else seconds
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            line = self._line(deadline)
            if line is None:
                raise ProcessEnded(self.ending(None if deadline is None else deadline - time.monotonic()))
        except NoAnswer:
            raise NoAnswer("no answer" if seconds is None else f"no answer within {seconds:g} s") from None
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise ProcessError(" ".join(str(answer["error"]).split()))
        return answer

    def _line(self, deadline: float | None) -> bytes | None:
        """None: it closed its output."""
        assert self._process.stdout is not None
        source, searched = self._process.stdout.fileno(), 0
        poll = select.poll()  # select() knows no descriptor beyond 1023
        poll.register(source, select.POLLIN)
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            left = None if deadline is None else deadline - time.monotonic()
            if not poll.poll(None if left is None else max(0.0, left * 1000)):
                raise NoAnswer("no answer in time")
            chunk = os.read(source, 1 << 20)
            if not chunk:
                return None
            self._unread += chunk
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line

    def ending(self, seconds: float | None = None) -> Ending:
        """Wait for its end. Raises NoAnswer if there is none within the seconds, or END_SECONDS."""
        try:
            status = self._process.wait(END_SECONDS if seconds is None else max(0.0, seconds))
        except subprocess.TimeoutExpired:
            raise NoAnswer("it does not end") from None
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        said = [line for line in lines if line.strip() and not (self._noise and self._noise.match(line))]
        return Ending(status, said)

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def close(self) -> None:
        """End it: by the end of its questions, then by force."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()


Handler = Callable[..., "Answer | Iterable[Answer]"]


def serve(
    handlers: Mapping[str, Handler],
    *,
    hello: Callable[[], Answer] | None = None,
    catch: tuple[type[Exception], ...] = (Exception,),
) -> None:
    """The child's end: answer each question by the handler of its command, until stdin ends.

    A handler takes the question's values by name, and returns an answer, or several. `hello` gives one before
    the first question. Errors to `catch` are answers, too; others end the process.
    """
    # Answers go to a private copy of stdout: libraries may write to file descriptor 1.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def write(answer: Answer) -> None:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        def tell(make: Callable[[], Answer | Iterable[Answer]]) -> bool:
            try:
                made = make()
                for answer in (made,) if isinstance(made, dict) else made:
                    write(answer)
            except catch as error:
                write({"error": f"{type(error).__name__}: {error}"})
                return False
            return True

        def answer(question: dict[str, Any]) -> Answer | Iterable[Answer]:
            command = question.pop("command")
            if command not in handlers:
                raise ValueError(f"unknown command {command!r}")
            return handlers[command](**question)

        if hello is not None and not tell(hello):
            return
        for line in sys.stdin:
            tell(partial(answer, json.loads(line)))
