# SPDX-License-Identifier: Apache-2.0
"""Measurements of a child process by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def peak_bytes() -> int:
    """Peak resident memory. getrusage's ru_maxrss would include the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def resident_bytes() -> tuple[int, int]:
    """Resident memory now, and the part of it that no other process shares."""
    sizes = {"Rss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in sizes:
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes["Rss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def together(
    works: Sequence[Callable[[], Result]], begun: Callable[[], None] = lambda: None
) -> tuple[list[Result], float]:
    """Run each in a thread, all starting at the same time. Return their results and the elapsed seconds.

    `begun` is called in this thread at the start.
    """
    barrier = threading.Barrier(len(works) + 1)

    def run(work: Callable[[], Result]) -> Result:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        running = [pool.submit(run, work) for work in works]
        barrier.wait()
        begin = time.perf_counter()
        begun()
        results = [one.result() for one in running]
    return results, time.perf_counter() - begin
