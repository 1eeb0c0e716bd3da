"""What a result must say about where it comes from."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .paths import cpu_flags, package_version

PACKAGES = ("savedmodel", "tensorflow", "keras", "numpy")
TOLD_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


def cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def usable_cores() -> int:
    """Cores that this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def build_of(package: str = "savedmodel") -> str | None:
    """A short hash of the installed code: between releases, its version says little."""
    script = (
        f"import hashlib, pathlib, {package} as p; h = hashlib.sha256()\n"
        "folders = {pathlib.Path(f).parent for f in (p.__file__, p._core.__file__)}\n"
        "files = {f for d in folders for k in ('*.py', '*.so') for f in d.rglob(k)}\n"
        "[h.update(f.read_bytes()) for f in sorted(files, key=lambda f: f.name)]\n"
        "print(h.hexdigest()[:8])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def describe(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Machine, date and versions. The load average tells whether others used the machine."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "instructions": [name for name in TOLD_FLAGS if name in cpu_flags()],
        "memory_gb": round(memory_gb(), 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: package_version(name) for name in packages},
    }


def lines(machine: dict[str, Any]) -> list[str]:
    """The same for people, as a Markdown list."""
    found = {name: text or "not installed" for name, text in machine["versions"].items()}
    packages = ", ".join(f"{name} {text}" for name, text in found.items())
    load = " ".join(f"{value:.2f}" for value in machine["load_average_before"])
    return [
        f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}; load average before: {load}",
        f"- Date: {machine['date']}",
        f"- Versions: Python {machine['python']}, {packages}",
    ]
