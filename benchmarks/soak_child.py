"""The child process of the soak test: calls and load/close cycles on request.

It is asked for calls or cycles, "count" -> {"rss_mb"}.
"""

from __future__ import annotations

import argparse
import os
from itertools import repeat
from pathlib import Path

import numpy as np
from savedmodel._bench.runtime import Request
from savedmodel._bench.runtime_savedmodel import SavedModel
from savedmodel._process import serve

from .models import MODELS


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cycle(folder: Path, features: np.ndarray) -> None:
    import savedmodel as sm

    with sm.load(folder, threads=1) as model:
        model.signatures["serving_default"](features=features)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["calls", "cycles"])
    arguments = parser.parse_args()
    if arguments.command == "calls":
        rows = {"x": np.ones((1, 4), np.float32), "y": np.ones((1, 4), np.float32)}
        call = SavedModel(Request(str(MODELS["xy"].saved_model), threads=1)).call(rows)
    else:
        features = np.ones((1, 64), np.float32)

        def call() -> object:
            cycle(MODELS["mlp"].saved_model, features)
            return None

    def work(count: int) -> dict[str, float]:
        for _ in repeat(None, count):
            call()
        return {"rss_mb": resident_mb()}

    serve({arguments.command: work})


if __name__ == "__main__":
    main()
