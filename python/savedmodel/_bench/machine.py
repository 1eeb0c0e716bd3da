# SPDX-License-Identifier: Apache-2.0
"""Describes the machine of a measurement."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """CPU, memory, system, date. The load averages show whether others used the machine."""

    cpu: str
    cpus: int
    """CPUs that this process may use, which can be fewer than the machine has."""
    memory_bytes: int
    system: str
    python: str
    load_averages: tuple[float, float, float]
    date: str


def cpus() -> int:
    """The number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def this_machine() -> Machine:
    """Describe this machine now."""
    return Machine(
        cpu=_cpu_model(),
        cpus=cpus(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        load_averages=os.getloadavg(),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
