# SPDX-License-Identifier: Apache-2.0
"""Steps common to all conversions, and their report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import savedmodel as sm
from savedmodel._staging import staged
from savedmodel.export import _compare
from savedmodel.export._compare import Comparison
from savedmodel.export._samples import Values
from savedmodel.export._specs import Shape
from savedmodel.export._tensorflow import quiet, typed_errors


@dataclass(frozen=True, repr=False)
class Conversion:
    """The written SavedModel, and its differences from the source's results."""

    path: str
    source: str
    """For example "digits.keras, Keras 3.15.1"."""
    inspection: sm.Inspection
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    @property
    def signatures(self) -> Mapping[str, Any]:
        """The signatures by name, with their inputs and outputs."""
        return self.inspection.meta_graphs[0].signatures

    @property
    def size_bytes(self) -> int:
        return self.inspection.size_bytes

    def __repr__(self) -> str:
        rows = [repr(self.inspection).removesuffix(">"), f"  made from {self.source}"]
        rows.append("  compared with it, through savedmodel")
        width = max((len(f"{c.signature}: {c.output}") for c in self.comparisons), default=0)
        for c in self.comparisons:
            calls = f"{c.samples} {'generated ' * c.made_up}sample{'s' * (c.samples != 1)}"
            rows.append(f"    {f'{c.signature}: {c.output}':<{width}}  {_text(c)} ({calls})")
        rows += [f"  note: {note}" for note in self.notes]
        return "\n".join(rows) + ">"


def _text(c: Comparison) -> str:
    if c.difference == 0:
        return "the same"
    if math.isinf(c.difference):
        return "differs"
    return f"at most {c.difference:.1e} off, of values up to {c.scale:.2g}"


class Source(_compare.Source, Protocol):
    """A model to convert to a SavedModel."""

    name: str
    tolerance: float | None
    """The tolerance for this source, if the caller names none."""

    def write(self, folder: Path) -> None: ...

    def close(self) -> None: ...


@dataclass
class Options:
    """The keywords of all conversions."""

    batch: int | None
    input_shapes: Mapping[str, Shape | None] | None
    samples: Values | Sequence[Values] | None
    tolerance: float | None
    overwrite: bool
    sources: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.tolerance is not None and not self.tolerance >= 0:
            raise ValueError(f"tolerance must be 0 or more, got {self.tolerance}")


class Opener(Protocol):
    def __call__(self) -> Source: ...


def convert(dst: Any, options: Options, opener: Opener) -> Conversion:
    """Open the source, write the SavedModel, compare, and then rename it."""
    path = destination(dst)
    with staged(path, overwrite=options.overwrite, sources=options.sources) as folder, quiet():
        with typed_errors("the source"):
            source = opener()
        try:
            with typed_errors(source.name):
                source.write(folder)
            _check_portable(folder, source.name)
            tolerance = source.tolerance if options.tolerance is None else options.tolerance
            comparisons = _compare.compare(folder, source, samples=options.samples, tolerance=tolerance)
        finally:
            source.close()
    return Conversion(str(path), source.name, sm.inspect(path), tuple(comparisons), tuple(source.notes))


def _check_portable(folder: Path, name: str) -> None:
    """Raise ValueError for a model that only this process can run."""
    for finding in sm.scan(folder):
        if finding.category == "python":
            raise ValueError(
                f"{name}: {finding.nodes[0]!r} ({finding.op}) calls a Python function of this process, "
                "which is not part of the graph"
            )


def destination(dst: Any) -> Path:
    """The absolute path."""
    path = Path(dst)
    if "://" in str(dst):
        raise ValueError(f"{dst}: the destination must be a folder of this machine")
    if path.name in ("", ".."):
        raise ValueError(f"{str(dst)!r} names no folder to write")
    path = path.absolute()
    if set("*?[\\") & set(str(path)):
        raise ValueError(
            f"{path}: TensorFlow reads *, ?, [ and \\ in a path as a pattern, and would find no variables"
        )
    return path
