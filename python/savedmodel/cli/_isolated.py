# SPDX-License-Identifier: Apache-2.0
"""The steps of a check in a child process, which may crash or hang."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

from savedmodel._process import Ending, NoAnswer, Process, ProcessEnded, module_command
from savedmodel.cli._check_steps import Step

LAST_LINES = 3
CHILD = tuple(module_command("savedmodel.cli._check_steps"))
STACK = re.compile(r"\s*@ ")  # TensorFlow's stack of some fifty lines follows the error


def isolated_steps(request: dict[str, Any], seconds: float, child: Sequence[str] = CHILD) -> Iterator[Step]:
    """The child's reports. If it crashes, {"crashed": text, "lines": last lines of stderr} follows; if it
    hangs, {"hung": text}."""
    deadline = time.monotonic() + seconds
    quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
    with Process(child, env=quiet, noise=STACK) as process:
        process.send("check", request=request)
        process.no_more()
        try:
            while True:
                yield process.receive(deadline - time.monotonic())
        except ProcessEnded as error:
            if error.ending.status != 0:
                yield {"crashed": _how(error.ending), "lines": error.ending.lines[-LAST_LINES:]}
        except NoAnswer:
            process.kill()
            yield {"hung": f"no answer for {seconds:g} s"}


def _how(ending: Ending) -> str:
    try:
        return f"{ending.how}, {signal.Signals(-ending.status).name}"
    except ValueError:
        return ending.how
