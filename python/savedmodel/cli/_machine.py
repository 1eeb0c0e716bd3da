# SPDX-License-Identifier: Apache-2.0
"""Describes the machine of a measurement, in reports."""

from __future__ import annotations

from typing import Any

from savedmodel._bench.machine import this_machine
from savedmodel.cli._text import plural, size


def describe() -> dict[str, Any]:
    """CPU, memory, system, date; the load average shows whether others used the machine."""
    machine = this_machine()
    return {
        "cpu": machine.cpu,
        "cpus": machine.cpus,
        "memory_bytes": machine.memory_bytes,
        "system": machine.system,
        "python": machine.python,
        "load_average": round(machine.load_averages[0], 2),
        "date": machine.date,
    }


def line(machine: dict[str, Any]) -> str:
    """The same in a sentence."""
    return (
        f"{machine['cpu']}, {plural(machine['cpus'], 'CPU')}, {size(machine['memory_bytes'])}, "
        f"{machine['system']}, Python {machine['python']}, "
        f"load average before {machine['load_average']}, {machine['date']}"
    )
