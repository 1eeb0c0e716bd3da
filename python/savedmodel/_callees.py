# SPDX-License-Identifier: Apache-2.0
"""What can be called of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from savedmodel._core import Signature
    from savedmodel._model import Model


def callees(model: Model) -> dict[str, Signature]:
    """The signatures by name, or the traces of `__call__` where there are none, in the order of `prepare`.

    Names of traces are "__call__", or "__call__, trace 0" and so on if there are several.
    """
    if model.signatures or "__call__" not in model.functions:
        return dict(model.signatures)
    traces = model.functions["__call__"].concrete
    several = len(traces) > 1
    names = [f"__call__, trace {number}" if several else "__call__" for number in range(len(traces))]
    return dict(zip(names, traces, strict=True))


def label(model: Model, name: str) -> str:
    """As in reports and errors: "signature 'x'" or "function '__call__', trace 0"."""
    if model.signatures:
        return f"signature {name!r}"
    path, *trace = name.split(",", 1)
    return ",".join([f"function {path!r}", *trace])
