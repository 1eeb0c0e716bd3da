# SPDX-License-Identifier: Apache-2.0
"""Python modules in child processes: requests, replies, time limits and exit.

A request is a line of JSON on the child's stdin, {"command": NAME, ...}; a reply is one on its stdout.
{"error": text} replaces any reply. The end of stdin ends the child.
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

END_SECONDS = 10.0  # for a child to exit by itself, if nothing else limits it


class ProcessError(Exception):
    """The child reported an error, did not answer in time, or ended. The text says why."""


class NoAnswer(ProcessError):
    """The child is alive, but does not answer."""


class ProcessEnded(ProcessError):
    """The child ended instead of answering."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending))
        self.ending = ending


@dataclass(frozen=True)
class Ending:
    """How a process ended: negative numbers are signals. The lines are its stderr output."""

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
    """This process's environment and more, for a child that does not import from the working directory."""
    return {**os.environ, "PYTHONSAFEPATH": "1", **more}


class Process:
    """The parent's end. Close it, or use it in `with`, which kills the child after an exception.

    `timeout`, in seconds, applies to each reply. `noise` matches lines of stderr that don't say why a process
    ended.
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
        """Send a request, and wait for its reply. Raises ProcessError."""
        self.send(command, **values)
        return self.receive()

    def send(self, command: str, /, **values: Any) -> None:
        """Send a request. If the process has ended, `receive` reports it."""
        assert self._process.stdin is not None
        left = memoryview(json.dumps({"command": command, **values}).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):
            while left:
                left = left[self._process.stdin.write(left) :]

    def no_more(self) -> None:
        """Close stdin: the child ends after its last reply."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def receive(self, seconds: float | None = None) -> Answer:
        """The next reply, within this many seconds, or the timeout. Raises ProcessError."""
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
        """The next line; None if the child closed its output."""
        assert self._process.stdout is not None
        source, searched = self._process.stdout.fileno(), 0
        poll = select.poll()  # select() does not support descriptors beyond 1023
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
        """Wait for its exit. Raises NoAnswer if it takes longer than the seconds, or END_SECONDS."""
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
        """End it by closing its stdin, then by force."""
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
    """The child's end: answer each request by the handler of its command, until stdin ends.

    A handler takes the request's values by name, and returns a reply, or several. `hello` returns one before
    the first request. Errors in `catch` become replies, too; others end the process.
    """
    # Replies go to a private copy of stdout: libraries may write to file descriptor 1.
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
