# SPDX-License-Identifier: Apache-2.0
"""Compares the optimized graph of each signature, or of `__call__`, with the graph as it was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from savedmodel._callees import callees, label
from savedmodel._core import Error, InternalError
from savedmodel._made_up import made_up_inputs
from savedmodel._options import RunOptions

if TYPE_CHECKING:
    from savedmodel._core import Signature
    from savedmodel._model import Model
    from savedmodel._optimization import Optimization

# TensorFlow's own options, whatever they say (inter_op_thread_pool: 0), need a session: the graph as loaded.
_IN_A_SESSION = RunOptions(proto=b"\x18\x00")
# Relative to the output's largest absolute value.
_TOLERANCE = {"default": 1e-4, "bf16": 0.1, "int8": 0.2}
# Where the graph as it was loaded rounds to float16 or bfloat16 after each op.
_WIDENED = 0.1


def _tolerance(report: Optimization, level: str) -> float:
    if any(one.name == "widen" and one.count for one in report.passes):
        return max(_WIDENED, _TOLERANCE[level])
    return _TOLERANCE["int8" if report.int8_layers else level]


def _compare(where: str, result: Any, expected: Any, level: str, tolerance: float) -> None:
    if result.dtype == object or np.issubdtype(result.dtype, np.integer) or result.dtype == np.dtype(bool):
        same = np.array_equal(result, expected)
        if not same and tolerance == _TOLERANCE["default"]:
            raise InternalError(f"{where}: optimize={level!r} changed the result; load with optimize='none'")
        return
    wide = np.complex128 if np.issubdtype(result.dtype, np.complexfloating) else np.float64
    a, b = result.astype(wide), expected.astype(wide)
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite):
        raise InternalError(
            f"{where}: optimize={level!r} changed which values are finite; load with optimize='none'"
        )
    scale = float(np.abs(b[finite]).max(initial=0))
    difference = float(np.abs(a[finite] - b[finite]).max(initial=0))
    if difference > tolerance * max(scale, np.finfo(np.float32).tiny):
        raise InternalError(
            f"{where}: optimize={level!r} changed the result by {difference:.2g}, where values reach "
            f"{scale:.2g}; the tolerance is {tolerance:g} of that. Load with optimize='none'"
        )


def _verify_signature(where: str, signature: Signature, level: str, tolerance: float) -> str:
    try:
        inputs = made_up_inputs(signature.inputs)
    except ValueError as error:
        return str(error)
    try:
        expected = signature.run(inputs, options=_IN_A_SESSION)
    except (Error, TypeError, ValueError) as error:
        return f"the graph as loaded fails on generated inputs: {error}"
    results = signature.run(inputs)
    for key, value in expected.items():
        if isinstance(value, np.ndarray | np.generic):
            _compare(
                f"{where}, output {key!r}",
                np.asarray(results[key]),
                np.asarray(value),
                level,
                tolerance,
            )
    return ""


def verify(model: Model, level: str) -> dict[str, str]:
    """For each signature, or trace of `__call__`, why it was not compared; empty if it was. Raises
    InternalError for results that differ.

    Runs only functions with an optimized graph, and none that writes a variable or draws random numbers.
    """
    functions = callees(model)
    if level == "none":
        return dict.fromkeys(functions, "optimize='none'")
    why_not = {}
    for (name, callee), report in zip(functions.items(), model.prepare(), strict=False):
        if not report.optimized:
            because = f": {report.why_not}" if report.why_not else ""
            why_not[name] = f"its graph is not optimized{because}"
        elif report.effects:
            why_not[name] = (
                f"its calls have side effects, or give results that differ: {', '.join(report.effects)}"
            )
        else:
            why_not[name] = _verify_signature(label(model, name), callee, level, _tolerance(report, level))
    return why_not
