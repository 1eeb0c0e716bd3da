# SPDX-License-Identifier: Apache-2.0
"""Loads a model and calls its signatures or `__call__`, step by step; as a program, in a process with limits.

Its request is to check {"path", "tags", "level", "ops", "run", "memory"}; tags as --tag-set has them, or
null; memory in bytes. It reports the start and the outcome of each step, so that the last report shows where
a process crashed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from savedmodel._process import serve

Step = dict[str, Any]
"""{"at": "load"} or {"at": "run", "signature": its key, or the name of a trace of `__call__`}. Then the
outcome: {"done": text}, {"refused": text}, or, if no inputs could work, {"unusable": text}."""


def steps(request: dict[str, Any]) -> Iterator[Step]:
    """Run the steps; errors are outcomes, too."""
    import click

    import savedmodel as sm
    from savedmodel._callees import callees
    from savedmodel.cli._arguments import choose_tags
    from savedmodel.cli._random import random_inputs

    broken = (
        sm.DataLossError,
        sm.FailedPreconditionError,
        sm.InternalError,
        sm.PermissionDeniedError,
        sm.UnimplementedError,
    )
    expected = (sm.Error, OSError, MemoryError, TypeError, ValueError, click.UsageError)
    yield {"at": "load"}
    try:
        # Reading the file comes first, because a damaged file may crash it.
        tags = choose_tags(request["path"], request["tags"])
        model = sm.load(request["path"], tags=tags, optimize=request["level"], ops=request["ops"])
    except expected as error:
        yield {"refused": _text(error)}
        return
    yield {"done": "loads"}
    with model:
        for key, signature in callees(model).items() if request["run"] else ():
            yield {"at": "run", "signature": key}
            try:
                inputs = random_inputs(signature.inputs, batch=1, seed=0)
                signature.explain(**inputs)  # makes it ready to run
            except sm.Error as error:
                yield {"unusable": _text(error)}
                continue
            except expected as error:
                yield {"refused": _text(error)}
                continue
            try:
                signature.run(inputs)
            except broken as error:
                yield {"unusable": _text(error)}
            except sm.NotFoundError as error:
                # A generated string may be used as a name.
                strings = any(spec.tf_dtype == "string" for spec in signature.inputs.values())
                yield {"refused" if strings else "unusable": _text(error)}
            except expected as error:
                yield {"refused": _text(error)}
            else:
                yield {"done": "runs"}


def _text(error: Exception) -> str:
    """The text on one line. (A UsageError's str() is its message.)"""
    return " ".join(str(error).split()) or type(error).__name__


def _steps_within_memory(request: dict[str, Any]) -> Iterator[Step]:
    import resource

    # Limits the memory that is written to, not mapped files: TensorFlow's libraries take a gigabyte.
    resource.setrlimit(resource.RLIMIT_DATA, (request["memory"], request["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    yield from steps(request)


if __name__ == "__main__":
    serve({"check": _steps_within_memory}, catch=())
