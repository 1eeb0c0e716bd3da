# SPDX-License-Identifier: Apache-2.0
"""A load in a process of its own: whatever a model does to it, the caller's goes on."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from savedmodel import _core
from savedmodel._core import DeadlineExceededError, InternalError

CHILD = (sys.executable, "-m", "savedmodel._publish.trial_main")


def try_load(path: Path, options: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Load a model, warm it up, and call each signature with made-up inputs. timeout: seconds.

    Returns {"warmed_up": requests, "unusable": {signature: why}}. Raises what the load raises,
    DeadlineExceededError, or InternalError if the process dies.
    """
    try:
        done = subprocess.run(
            CHILD,
            input=pickle.dumps((str(path), options, timeout)),
            capture_output=True,
            timeout=timeout,
            # Modules are not looked for in the working directory, which -m would add.
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
    except subprocess.TimeoutExpired:
        raise DeadlineExceededError(f"the model was not loaded and warmed up within {timeout:g} s") from None
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0 or not lines:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        status = done.returncode
        end = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise InternalError(f"the process that loaded the model ended with {': '.join([end, *last])}")
    answer: dict[str, Any] = json.loads(lines[-1])
    if "error" in answer:
        kind = getattr(_core, answer["kind"], None) or getattr(builtins, answer["kind"], None)
        raise kind(answer["error"]) if kind is not None else InternalError(answer["error"])
    return answer
