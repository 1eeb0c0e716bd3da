"""What a result must say about where it comes from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from savedmodel._bench.machine import this_machine

from .paths import cpu_flags, package_version

PACKAGES = ("savedmodel", "tensorflow", "keras", "numpy")
TOLD_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


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
    machine = this_machine()
    return {
        "date": machine.date,
        "cpu": machine.cpu,
        "cores": machine.cpus,
        "instructions": [name for name in TOLD_FLAGS if name in cpu_flags()],
        "memory_gb": round(machine.memory_bytes / 1e9, 1),
        "system": machine.system,
        "load_average_before": [round(value, 2) for value in machine.load_averages],
        "python": machine.python,
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
