"""A process that runs recipes, one a line, and says what differs.

A request is {"recipe": ..., "skip": [...]}. Before each stage its name is written, so that the parent knows
in which one a process died; the answer comes last.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .recipe import Outcome, Recipe


def judge(recipe: Recipe, skip: list[str], say: Callable[[str], None]) -> dict[str, Any]:
    """{"findings": [...]}, or {"invalid": why} for a recipe of which TensorFlow makes no graph."""
    from . import paths
    from .build import save
    from .compare import Finding, compare

    folder = Path(tempfile.mkdtemp(prefix="fuzz", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        say("build")
        try:
            names = save(recipe, folder / "model")
        except Exception as error:
            return {"invalid": f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]}
        ours = {}
        for optimize, threads in paths.OURS:
            path = f"{optimize}/{threads}"
            if path not in skip:
                say(path)
                ours[path] = paths.savedmodel(recipe, folder / "model", names, optimize, threads)
        theirs = None
        if "tensorflow" not in skip:
            say("tensorflow")
            theirs = paths.tensorflow(recipe, folder / "model", names)
        if theirs is None:
            theirs = next(iter(ours.values()), [])
        exact, shaken, plain, raw = None, [], None, None
        nudged: list[tuple[list[Outcome], list[Outcome]]] = []
        if "float64" not in skip:
            say("float64")
            try:
                exact = paths.exact(recipe, names)
                shaken = [paths.exact(recipe, names, shaken=1)]
            except Exception as error:
                say(f"no float64: {type(error).__name__}: {error}"[:200])

        def differences() -> list[Finding]:
            return [
                finding
                for path, outcomes in ours.items()
                for finding in compare(path, outcomes, theirs, exact, shaken, recipe, plain, nudged, raw)
            ]

        findings = differences()
        if exact is not None and findings:
            # A closer look at what rounding alone can do, how far off TensorFlow's ops are for inputs like
            # these, and what they refuse one by one.
            say("float64")
            shaken += [paths.exact(recipe, names, shaken=seed) for seed in (2, 3, 4)]
            plain = paths.op_by_op(recipe, names)
            if "tensorflow" not in skip:
                raw = paths.unoptimized(recipe, folder / "model", names)
            nudged = [paths.nudged(recipe, names, seed) for seed in range(1, 9)]
            cancels = paths.cancels(recipe, names)
            findings = [
                f for f in differences() if f["kind"] not in ("values", "places") or not cancels[f["call"]]
            ]
        refused = sum(isinstance(outcome, str) for outcome in theirs)
        return {"findings": findings, "refused": refused, "exact": exact is not None}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    from .paths import quiet

    def say(stage: str) -> None:
        print(json.dumps({"stage": stage}), file=answers, flush=True)

    for count, line in enumerate(sys.stdin, 1):
        request = json.loads(line)
        with quiet():
            answer = judge(request["recipe"], request["skip"], say)
        print(json.dumps(answer), file=answers, flush=True)
        # Collecting garbage takes longer than most recipes.
        tf.keras.backend.clear_session(free_memory=count % 25 == 0)
