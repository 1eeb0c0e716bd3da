"""The child process of the soak test: calls and load/close cycles on request.

Same protocol as child.py: {"command": "calls" or "cycles", "count": n} -> {"rss_mb": m}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import repeat
from pathlib import Path

import numpy as np

from .models import MODELS
from .runners import SIGNATURE, Request, open_savedmodel


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cycle(folder: Path, features: np.ndarray) -> None:
    import savedmodel as sm

    with sm.load(folder, threads=1) as model:
        model.signatures[SIGNATURE](features=features)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["calls", "cycles"])
    arguments = parser.parse_args()
    if arguments.command == "calls":
        rows = {"x": np.ones((1, 4), np.float32), "y": np.ones((1, 4), np.float32)}
        call = open_savedmodel(Request(MODELS["xy"].saved_model, rows, 1, 1), "aligned").make_call()
    else:
        features = np.ones((1, 64), np.float32)

        def call() -> object:
            cycle(MODELS["mlp"].saved_model, features)
            return None

    for line in sys.stdin:
        for _ in repeat(None, json.loads(line)["count"]):
            call()
        print(json.dumps({"rss_mb": resident_mb()}), flush=True)


if __name__ == "__main__":
    main()
