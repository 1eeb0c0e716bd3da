# SPDX-License-Identifier: Apache-2.0
"""The steps of a check in a child process, which may die or hang."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from savedmodel.cli._check_steps import Step

LAST_LINES = 3
CHILD = (sys.executable, "-m", "savedmodel.cli._check_steps")


def isolated_steps(request: dict[str, Any], seconds: float, child: Sequence[str] = CHILD) -> Iterator[Step]:
    """What the child says. If it dies, {"crashed": text, "lines": its last words} or {"hung": text} comes."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [*child, json.dumps(request)],
            # No modules from the working directory, which -m would add.
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        hung = threading.Event()

        def end() -> None:
            hung.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        if hung.is_set():
            yield {"hung": f"no answer for {seconds:g} s"}
        elif status != 0:
            stderr.seek(0)
            lines = stderr.read().decode(errors="replace").splitlines()
            # TensorFlow's stack, some fifty lines, comes after what was wrong.
            said = [line for line in lines if line.strip() and not line.lstrip().startswith("@ ")]
            yield {"crashed": _ending(status), "lines": said[-LAST_LINES:]}


def _ending(status: int) -> str:
    if status > 0:
        return f"exit status {status}"
    try:
        return f"signal {-status}, {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
