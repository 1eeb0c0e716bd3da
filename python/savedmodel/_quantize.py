# SPDX-License-Identifier: Apache-2.0
"""Makes a copy of a SavedModel with products in int8 that stays as close to float32 as asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from savedmodel._inspect import file_system_path
from savedmodel._model import Model, load

Array = np.ndarray[Any, np.dtype[Any]]
Samples = Iterable[Mapping[str, Any]] | Mapping[str, Any]


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer that could be in int8."""

    name: str
    int8: bool
    disagreement: float | None
    """Of the results, with this layer alone in int8; None if that was not measured."""


@dataclass(frozen=True, repr=False)
class Quantization:
    """What `quantize` did."""

    agreement: float
    """Of the copy's results with float32's, on the samples: see `quantize`."""
    tolerance: float
    layers: tuple[QuantizedLayer, ...]
    """Those with the largest disagreement first."""

    def __repr__(self) -> str:
        done = sum(layer.int8 for layer in self.layers)
        lines = [
            f"{done} of {len(self.layers)} layers in int8; agreement with float32 {self.agreement:.6f}, "
            f"asked for {1 - self.tolerance:g}"
        ]
        for layer in self.layers:
            if layer.disagreement is not None:
                what = "int8   " if layer.int8 else "float32"
                lines.append(f"  {what}  {layer.disagreement:9.2e} alone  {layer.name}")
        return "\n".join(lines)


def _as_list(samples: Samples) -> list[Mapping[str, Any]]:
    if not isinstance(samples, Iterable):
        raise TypeError(f"samples must be a mapping of inputs by name, or several, got {samples!r}")
    found = [samples] if isinstance(samples, Mapping) else list(samples)
    for sample in found:
        if not isinstance(sample, Mapping):
            raise TypeError(f"a sample must be a mapping of inputs by name, got {type(sample).__name__}")
    if not found:
        raise ValueError("there are no samples")
    return found


def _agreement_of(result: Array, exact: Array) -> float:
    if result.shape != exact.shape or exact.dtype.kind not in "fV":
        return float(np.mean(result == exact)) if result.shape == exact.shape and exact.size else 1.0
    a, b = result.astype(np.float64), exact.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return 0.0
    spread = float(((b[finite] - b[finite].mean()) ** 2).sum()) if finite.any() else 0.0
    error = float(((a[finite] - b[finite]) ** 2).sum())
    return 1.0 if error == 0 else 1.0 - error / spread if spread > 0 else 0.0


class _Trials:
    """Runs the samples through the model with some layers in float32."""

    def __init__(
        self,
        path: str,
        signature: str | None,
        samples: Sequence[Mapping[str, Any]],
        arguments: dict[str, Any],
    ) -> None:
        self.path = path
        self.samples = samples
        self.arguments = arguments
        self.layers: list[str] = []
        self.others: set[str] = set()  # of other signatures, which no sample reaches
        with self.load(()) as model:
            self.signature = signature or model._core.default_signature
            if not self.signature:
                names = ", ".join(map(repr, model.signatures))
                raise ValueError(f"signature= must be one of {names}")
            for name, report in zip(model.signatures, model.prepare(), strict=False):
                if name == self.signature:
                    self.layers = list(report.int8_layers)
                else:
                    self.others.update(report.int8_layers)
        self.others.difference_update(self.layers)
        # Not from a default load, which would run what an earlier call has written beside the model.
        with self.load(self.others.union(self.layers)) as model:
            self.exact = self._results(model)
        self._known: dict[frozenset[str], float] = {}

    def _results(self, model: Model) -> dict[str, Array]:
        function = model.signatures[self.signature]
        results: dict[str, list[Array]] = {}
        for sample in self.samples:
            for key, value in function.run(sample).items():
                if isinstance(value, np.ndarray):
                    results.setdefault(key, []).append(np.array(value).ravel())
        return {key: np.concatenate(values) for key, values in results.items()}

    def load(self, float32_layers: Iterable[str]) -> Model:
        return load(self.path, optimize="int8", float32_layers=float32_layers, **self.arguments)

    def agreement(self, float32_layers: Iterable[str]) -> float:
        chosen = frozenset(float32_layers)
        if chosen not in self._known:
            with self.load(chosen) as model:
                results = self._results(model)
            outputs = [_agreement_of(results[key], exact) for key, exact in self.exact.items()]
            self._known[chosen] = min(outputs, default=1.0)
        return self._known[chosen]


def quantize(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    samples: Samples,
    *,
    signature: str | None = None,
    tolerance: float = 0.01,
    tags: Iterable[str] = ("serve",),
    threads: int | None = None,
) -> Quantization:
    """Copy the SavedModel `src` to `dst`, and add optimized graphs with products in int8.

    `load(dst)` runs them; the copy is otherwise unchanged, for TensorFlow too. Dense layers and convolutions
    are in int8 where that is faster: weights are rounded per output column, inputs per row or window as they
    come. If the results on the samples are not close enough, layers go back to float32, those that
    disturb the results most first. Only the given signature is in int8.

    dst: a directory that must not exist (AlreadyExistsError), or `src`, to which the graphs are added.
    samples: inputs of the signature by name, or several of these; what the model gets in production.
    signature: None means the default one.
    tolerance: the agreement is at least 1 - tolerance. The agreement of an output is 1 minus the squared
        error over the variance of float32's results (the coefficient of determination); of integers and
        strings, the share that is equal. The worst output counts.
    tags, threads: see `load`.
    Raises ValueError without samples; errors of `load` and of calls.
    """
    path = file_system_path(src)
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise ValueError(f"tolerance must be at least 0 and below 1, got {tolerance!r}")
    trials = _Trials(path, signature, _as_list(samples), {"tags": tuple(tags), "threads": threads})
    layers, others = trials.layers, trials.others
    agreement = trials.agreement(others)
    alone: dict[str, float] = {}
    back: list[str] = []
    if agreement < 1 - tolerance:
        alone = {layer: 1 - trials.agreement(others.union(layers).difference([layer])) for layer in layers}
        layers.sort(key=lambda layer: -alone[layer])
        # The fewest that have to go back; few of the worst usually do.
        low, high = 0, len(layers)
        while low < high:
            middle = (low + high) // 2
            if trials.agreement(others.union(layers[:middle])) >= 1 - tolerance:
                high = middle
            else:
                low = middle + 1
        back = layers[:low]
        agreement = trials.agreement(others.union(back))
    with trials.load(others.union(back)) as model:
        model._core.save_optimized(file_system_path(dst), [], True)
    return Quantization(
        agreement,
        tolerance,
        tuple(QuantizedLayer(name, name not in back, alone.get(name)) for name in layers),
    )
