# SPDX-License-Identifier: Apache-2.0
"""The process that `trial` starts. Its request is to load a pickled (path, options) within a time limit."""

from __future__ import annotations

import base64
import pickle
import signal
from typing import Any

import savedmodel as sm
from savedmodel._callees import callees
from savedmodel._made_up import why_not_callable
from savedmodel._process import serve


def _unusable(model: sm.Model) -> dict[str, str]:
    """For each unusable signature, or trace of `__call__`, the reason. Raises FailedPreconditionError for the
    default one, or if all are."""
    functions = callees(model)
    ready = dict(zip(functions, model.prepare(), strict=False))
    unusable = {
        name: report.why_not
        for name, report in ready.items()
        if not report.executor and report.why_not  # a signature that returns its inputs needs no executor
    }
    for name, signature in functions.items():
        if name not in unusable and (why := why_not_callable(signature)):
            unusable[name] = why
    if unusable and ("serving_default" in unusable or len(unusable) == len(ready)):
        raise sm.FailedPreconditionError(unusable.get("serving_default") or next(iter(unusable.values())))
    return unusable


def load(pickled: str, timeout: float) -> dict[str, Any]:
    """{"warmed_up", "unusable"}, or, if the load raised an error, {"raised": its type, "text"}."""
    path, options = pickle.loads(base64.b64decode(pickled))
    # A limit, in case the parent has ended by then.
    signal.setitimer(signal.ITIMER_REAL, timeout + 5)
    try:
        if "tags" not in options:
            sets = [graph.tags for graph in sm.inspect(path).meta_graphs]
            if len(sets) == 1:
                options["tags"] = sets[0]
        with sm.load(path, **{"warmup": True, **options}) as model:
            return {"warmed_up": model.warmed_up, "unusable": _unusable(model)}
    except (sm.Error, OSError, TypeError, ValueError, KeyError, MemoryError) as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return {"raised": type(error).__name__, "text": text}


if __name__ == "__main__":
    serve({"load": load}, catch=())
