"""The child process of the soak test: calls, load/close cycles or requests for batches.

It is asked for calls, cycles or requests, "count" -> {"rss_mb"}.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import numpy as np
from savedmodel._bench.runtime import Request
from savedmodel._bench.runtime_savedmodel import SavedModel
from savedmodel._process import serve

from .models import MODELS, SEED

CALLERS = 64


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cycle(folder: Path, features: np.ndarray) -> None:
    import savedmodel as sm

    with sm.load(folder, threads=1) as model:
        model.signatures["serving_default"](features=features)


def open_batches() -> Callable[[int], None]:
    import savedmodel as sm

    spec = MODELS["gru"]
    batcher = sm.batch(sm.load(spec.saved_model, threads=1))
    random = np.random.default_rng(SEED)
    rows = {name: one.values(random, (1, *one.row)) for name, one in spec.inputs.items()}

    async def caller(left: list[int]) -> None:
        while left[0] > 0:
            left[0] -= 1
            try:
                if left[0] % 97 == 0:
                    await asyncio.wait_for(batcher.run_async(rows), 0.001)
                else:
                    await batcher.run_async(rows, timeout=0.001 if left[0] % 101 == 0 else None)
            except (asyncio.TimeoutError, sm.DeadlineExceededError):
                pass

    async def callers(count: int) -> None:
        left = [count]
        await asyncio.gather(*(caller(left) for _ in range(CALLERS)))

    return lambda count: asyncio.run(callers(count))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["calls", "cycles", "requests"])
    arguments = parser.parse_args()
    if arguments.command == "requests":
        request = open_batches()

        def requests(count: int) -> dict[str, float]:
            request(count)
            return {"rss_mb": resident_mb()}

        serve({"requests": requests})
        return
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
