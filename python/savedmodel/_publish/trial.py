# SPDX-License-Identifier: Apache-2.0
"""Loads a model in a separate process, so that the caller survives a crash."""

from __future__ import annotations

import base64
import builtins
import pickle
import time
from pathlib import Path
from typing import Any

from savedmodel import _core
from savedmodel._core import DeadlineExceededError, InternalError
from savedmodel._load_arguments import PublishArguments
from savedmodel._process import NoAnswer, Process, ProcessEnded, module_command

CHILD = tuple(module_command("savedmodel._publish.trial_main"))


def try_load(path: Path, options: PublishArguments, timeout: float) -> dict[str, Any]:
    """Load a model, warm it up, and call each signature with generated inputs. timeout: seconds.

    Returns {"warmed_up": requests, "unusable": {signature: why}}. Raises what the load raises,
    DeadlineExceededError, or InternalError if the process crashes.
    """
    pickled = base64.b64encode(pickle.dumps((str(path), options))).decode()
    deadline = time.monotonic() + timeout
    try:
        with Process(CHILD) as process:
            process.send("load", pickled=pickled, timeout=timeout)
            process.no_more()
            answer = process.receive(deadline - time.monotonic())
            ending = process.ending(deadline - time.monotonic())
            if ending.status != 0:
                raise ProcessEnded(ending)
    except NoAnswer:
        raise DeadlineExceededError(f"the model was not loaded and warmed up within {timeout:g} s") from None
    except ProcessEnded as error:
        raise InternalError(f"the process that loaded the model ended with {error}") from None
    if "raised" in answer:
        kind = getattr(_core, answer["raised"], None) or getattr(builtins, answer["raised"], None)
        raise kind(answer["text"]) if kind is not None else InternalError(answer["text"])
    return answer
