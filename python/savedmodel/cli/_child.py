# SPDX-License-Identifier: Apache-2.0
"""A runtime in a child process: the parent's end. `_child_main` describes the protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import savedmodel as sm
from savedmodel._bench.turns import CPU_ONLY
from savedmodel._process import NoAnswer, Process, ProcessEnded, ProcessError, module_command

ENVIRONMENT = {**CPU_ONLY, "PYTHONWARNINGS": "ignore"}


class ChildError(sm.Error):
    """The process reported an error, or crashed. The text says why."""


class Child:
    """A process that works only between a request and its reply. Close it, or use it in `with`."""

    def __init__(self, runtime: str, request: Mapping[str, Any]) -> None:
        self.runtime = runtime
        started = time.clock_gettime(time.CLOCK_MONOTONIC)  # the same clock in every process
        self._process = Process(module_command("savedmodel.cli._child_main"), env=ENVIRONMENT)
        try:
            self.about = self.ask("open", started=started, request={"runtime": runtime, **request})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def ask(self, command: str, **values: Any) -> dict[str, Any]:
        """Send a request, and wait for the reply. Raises ChildError."""
        try:
            return self._process.ask(command, **values)
        except ProcessEnded as error:
            killed = "its process ended with " if error.ending.status < 0 else ""
            raise ChildError(f"{self.runtime}: {killed}{error}") from None
        except NoAnswer:
            raise ChildError(f"{self.runtime}: its process does not answer") from None
        except ProcessError as error:
            raise ChildError(f"{self.runtime}: {error}") from None

    def close(self) -> None:
        """End the process."""
        self._process.close()
