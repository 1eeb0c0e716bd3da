# SPDX-License-Identifier: Apache-2.0
"""Compares a conversion's results with those of its source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np

import savedmodel as sm
from savedmodel.export import _samples
from savedmodel.export._samples import Run, Values

# Relative to the output's largest absolute value.
_TOLERANCE = 1e-4
LOW_PRECISION = 2e-2
"""For computations in 16-bit floats."""
_LOW = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


@dataclass(frozen=True)
class Comparison:
    """One output of a signature: the conversion's results and the source's."""

    signature: str
    output: str
    dtype: str
    samples: int
    """The number of compared calls."""
    made_up: bool
    """Whether the inputs were generated, not given."""
    difference: float
    """The largest absolute difference; 0 or infinite for values that can't be subtracted (strings, NaN)."""
    scale: float
    """The source's largest absolute value."""


class Source(Protocol):
    """The source that a conversion is compared with."""

    notes: list[str]

    @property
    def runs(self) -> Mapping[str, Run]:
        """By signature: the source's own results."""
        ...

    @property
    def other_runs(self) -> Mapping[str, tuple[str, Run]]:
        """By signature, if another way to run it also counts: a note, the results."""
        ...


def compare(
    folder: Path,
    source: Source,
    *,
    samples: Values | Sequence[Values] | None,
    tolerance: float | None,
    tags: Sequence[str] = ("serve",),
) -> list[Comparison]:
    """Load the SavedModel, call each signature like its source, and compare.

    Raises InternalError for results that differ by more than `tolerance` of the output's largest value.
    """
    expected: list[tuple[str, bool, list[tuple[Values, Values]]]] = []
    done: list[Comparison] = []
    with sm.load(folder, tags=tags) as model:
        used = 0
        for name, run in source.runs.items():
            inputs = model.signatures[name].inputs
            chosen = _samples.given(samples, inputs) if inputs else []
            used += len(chosen)
            calls = [(one, run(one)) for one in chosen] or _samples.made_up(name, inputs, run)
            expected.append((name, not chosen, calls))
        if samples is not None and not used:
            known = {name: list(model.signatures[name].inputs) for name in source.runs}
            raise ValueError(f"no signature has all its inputs in the samples; inputs by signature: {known}")
        for name, generated, calls in expected:
            signature = model.signatures[name]
            ours = [_run(signature, values) for values, _ in calls]
            theirs = [results for _, results in calls]
            try:
                done += list(_compared(signature, ours, theirs, generated, tolerance))
            except sm.InternalError as error:
                other = source.other_runs.get(name)
                if other is None:
                    raise
                theirs = [other[1](values) for values, _ in calls]
                try:
                    done += list(_compared(signature, ours, theirs, generated, tolerance))
                except sm.InternalError:
                    raise error from None
                source.notes.append(f"{other[0]}: {error}")
    return done


def _compared(
    signature: sm.Signature,
    ours: Sequence[Values],
    theirs: Sequence[Values],
    made_up: bool,
    tolerance: float | None,
) -> Iterator[Comparison]:
    """The comparison of each output. Raises InternalError as `compare` does."""
    for output, spec in signature.outputs.items():
        near = tolerance
        if near is None:
            near = LOW_PRECISION if spec.dtype in _LOW else _TOLERANCE
        difference = scale = 0.0
        for one, other in zip(ours, theirs, strict=True):
            where = f"signature {signature.name!r}, output {output!r}"
            away, size = _difference(where, one[output], other[output])
            if not away <= near * max(size, float(np.finfo(np.float32).tiny)) and near != math.inf:
                raise sm.InternalError(
                    f"{where}: the conversion differs from its source by {away:.2g}, where values reach "
                    f"{size:.2g}; the tolerance (--tolerance) is {near:g} of that"
                )
            difference, scale = max(difference, away), max(scale, size)
        yield Comparison(signature.name, output, spec.tf_dtype, len(ours), made_up, difference, scale)


def _run(signature: sm.Signature, values: Values) -> Values:
    try:
        results: Values = signature.run(values)
    except sm.Error as error:
        shapes = {key: list(np.shape(value)) for key, value in values.items()}
        raise type(error)(
            f"signature {signature.name!r}: the conversion fails on inputs of the shapes {shapes}, "
            f"which its source takes: {error}"
        ) from error
    return results


def _difference(where: str, ours: Any, theirs: Any) -> tuple[float, float]:
    # A scalar string stays as it is: NumPy's own strings end before a NUL.
    a, b = (np.array(x, object) if isinstance(x, bytes | str) else np.asarray(x) for x in (ours, theirs))
    if a.dtype.kind in "OSU" or b.dtype.kind in "OSU":
        a, b = a.astype(object), b.astype(object)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise sm.InternalError(
            f"{where}: the conversion gives {a.dtype} {list(a.shape)}, and its source "
            f"{b.dtype} {list(b.shape)}"
        )
    if a.dtype == object:
        return (0.0 if np.array_equal(a, b) else math.inf), 0.0
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    a, b = a.astype(wide), b.astype(wide)
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite) or not np.array_equal(
        a[~finite], b[~finite], equal_nan=True
    ):
        return math.inf, 0.0
    return float(np.abs(a[finite] - b[finite]).max(initial=0)), float(np.abs(b[finite]).max(initial=0))
