"""The parent's end of a child process that is timed."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from savedmodel._bench.turns import CPU_ONLY
from savedmodel._process import Process

from .models import ROOT

LOG_RECORD = re.compile(r"[IWE]\d{4} |WARNING: All log messages")  # TensorFlow's: never why a process ended


class Worker(Process):
    """A child process that works only between a request and its answer."""

    def __init__(self, command: Sequence[str], timeout: float = 600.0) -> None:
        self.started = time.perf_counter()
        # Children are modules of this folder, too: the working directory is looked into.
        env = {**CPU_ONLY, "PYTHONSAFEPATH": ""}
        super().__init__(command, env=env, cwd=ROOT, timeout=timeout, noise=LOG_RECORD)

    def outputs(self) -> dict[str, NDArray[Any]]:
        """What it computed, flat. Python children leave it in a file, as it can be megabytes."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "outputs.npz"
            numbers = self.ask("outputs", file=str(file)).get("outputs")
            if numbers is not None:
                return {name: np.array(values, np.float64) for name, values in numbers.items()}
            with np.load(file) as stored:
                return {name: stored[name].ravel() for name in stored.files}
