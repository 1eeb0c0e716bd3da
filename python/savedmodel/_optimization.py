# SPDX-License-Identifier: Apache-2.0
"""Reports of the optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from savedmodel import _core


_SHOWN_SECONDS = 1e-3  # from here on the text shows a pass that found nothing
_COUNTED_SECONDS = 5e-5  # from here on it shows its time


@dataclass(frozen=True)
class Pass:
    """One step of the optimizer."""

    name: str
    what: str
    count: int
    """The number of replacements; 0 for steps that do not count them."""
    seconds: float


@dataclass(frozen=True, repr=False)
class Optimization:
    """What was done to a function's graph, what was not, and why."""

    function: str
    """For example "signature 'serving_default'"."""
    optimized: bool
    why_not: str
    """Why the graph runs unchanged; empty if it was optimized."""
    executor: str
    """Its executor: "sequential" (a list of kernels), "control flow" (loops, branches) or "session"."""
    nodes_before: int
    nodes_after: int
    variables_frozen: int
    frozen_bytes: int
    seconds: float
    passes: tuple[Pass, ...]
    notes: tuple[str, ...]
    effects: tuple[str, ...] = ()
    """Ops whose calls have side effects or differ: they write variables, draw random numbers, print."""
    int8_layers: tuple[str, ...] = ()
    """Layers whose products are in int8, by the names of their nodes."""

    @classmethod
    def _of(cls, report: _core.OptimizationReport) -> Optimization:
        return cls(
            function=report.function,
            optimized=report.optimized,
            why_not=report.why_not,
            executor=report.executor,
            nodes_before=report.nodes_before,
            nodes_after=report.nodes_after,
            variables_frozen=report.variables_frozen,
            frozen_bytes=report.frozen_bytes,
            seconds=report.seconds,
            passes=tuple(Pass(p.name, p.what, p.count, p.seconds) for p in report.passes),
            notes=tuple(report.notes),
            effects=tuple(report.effects),
            int8_layers=tuple(report.int8_layers),
        )

    def __repr__(self) -> str:
        lines = [
            f"{self.function}: {self.executor} executor" if self.executor else f"{self.function}: not ready"
        ]
        if not self.optimized:
            lines[0] += f"; not optimized{': ' * bool(self.why_not)}{self.why_not}"
        else:
            frozen = f"{self.variables_frozen} variables ({self.frozen_bytes / 1e6:.1f} MB) frozen"
            nodes = f"{self.nodes_before} -> {self.nodes_after} nodes"
            lines[0] += f", {nodes}, {frozen}, {self.seconds:.2f} s"
            shown = [p for p in self.passes if p.count or p.seconds >= _SHOWN_SECONDS]
            width = max((len(p.name) for p in shown), default=0)
            for p in shown:
                count = f"{p.count}x" if p.count else ""
                time = f"{p.seconds * 1e3:7.1f} ms" if p.seconds >= _COUNTED_SECONDS else " " * 10
                lines.append(f"  {p.name:<{width}} {count:>5} {time}  {p.what}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)
