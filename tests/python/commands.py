"""Running the installed command `savedmodel`, in a pipe and in a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterable, Sequence
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("savedmodel")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What a user's shell may have set must not change what is tested.
_UNSET = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TERM")


def _environment(**env: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _UNSET} | env


def savedmodel(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command with its output in pipes."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=_environment(**env),
    )


def output(*arguments: str | Path, **env: str) -> str:
    """Its stdout; it must succeed, and say nothing else."""
    done = savedmodel(*arguments, **env)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def error(*arguments: str | Path) -> str:
    """Its one line on stderr; it must fail with the status 2."""
    done = savedmodel(*arguments)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


_MANY = """
import contextlib, io, json, sys
from savedmodel.cli import main
results = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    results.append([status, out.getvalue(), err.getvalue()])
json.dump(results, sys.stdout)
"""


def many(commands: Iterable[Sequence[str | Path]]) -> list[tuple[int, str, str]]:
    """Status, stdout and stderr of each command. One process runs them all: opening TensorFlow takes time."""
    done = subprocess.run(
        [sys.executable, "-c", _MANY],
        input=json.dumps([list(map(str, arguments)) for arguments in commands]),
        capture_output=True,
        text=True,
        timeout=300,
        env=_environment(),
    )
    assert done.returncode == 0, done.stderr
    return [(status, out, err) for status, out, err in json.loads(done.stdout)]


def in_terminal(*arguments: str | Path, columns: int = 80) -> tuple[int, str]:
    """Its exit status and all that a terminal of so many columns was sent."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=_environment(TERM="xterm-256color"),
    )
    os.close(slave)
    chunks = []
    while True:
        try:
            chunk = os.read(master, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(master)
    return process.wait(60), b"".join(chunks).decode()


def visible(text: str) -> str:
    """Without colours and cursor movements."""
    return _ESCAPES.sub("", text).replace("\r\n", "\n")


def widest(text: str) -> int:
    return max(map(len, visible(text).splitlines()), default=0)
