# SPDX-License-Identifier: Apache-2.0
"""The machine that numbers were measured on, without which they say nothing."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from savedmodel.cli._text import plural, size


def cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe() -> dict[str, Any]:
    """CPU, memory, system, date; the load average tells whether others used the machine."""
    return {
        "cpu": _cpu_model(),
        "cpus": cpus(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def line(machine: dict[str, Any]) -> str:
    """The same in a sentence."""
    return (
        f"{machine['cpu']}, {plural(machine['cpus'], 'CPU')}, {size(machine['memory_bytes'])}, "
        f"{machine['system']}, Python {machine['python']}, "
        f"load average before {machine['load_average']}, {machine['date']}"
    )
