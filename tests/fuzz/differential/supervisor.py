"""The child and its deaths: a crash or a hang costs one recipe."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path
from typing import Any

from .recipe import Recipe

LIMIT = 120.0
"""Seconds that a stage may take."""
LIFETIME = 150
"""Recipes after which a child is replaced: TensorFlow keeps what it has compiled."""
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TF_USE_LEGACY_KERAS": "0"}


class Supervisor:
    def __init__(self, log: Path | None = None) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._log = log

    def _child(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None or self._count >= LIFETIME:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "differential", "--child"],
                cwd=Path(__file__).resolve().parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log.open("a") if self._log else subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **ENVIRONMENT},
            )
            self._count = 0
        self._count += 1
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def _ask(self, recipe: Recipe, skip: list[str]) -> tuple[str, dict[str, Any] | None]:
        """The last stage, and the answer: none if the child died, or was killed in a "hang"."""
        child = self._child()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps({"recipe": recipe, "skip": skip}).encode() + b"\n")
        except BrokenPipeError:
            self.close()
            return "start", None
        stage, text = "start", b""
        with selectors.DefaultSelector() as ready:
            ready.register(child.stdout, selectors.EVENT_READ)
            while True:
                if not ready.select(LIMIT):
                    self.close()
                    return f"hang in {stage}", None
                read = os.read(child.stdout.fileno(), 1 << 16)
                if not read:
                    child.wait()
                    return stage, None
                *whole, text = (text + read).split(b"\n")
                for answer in map(json.loads, whole):
                    if "stage" not in answer:
                        return stage, answer
                    stage = answer["stage"]

    def judge(self, recipe: Recipe, skip: list[str] | None = None) -> dict[str, Any]:
        """As child.judge; deaths of savedmodel's are findings, those of TensorFlow's Python are named."""
        skip = list(skip or [])
        deaths: list[dict[str, Any]] = []
        while True:
            stage, answer = self._ask(recipe, skip)
            if answer is not None:
                break
            kind = "hang" if stage.startswith("hang in ") else "death"
            name = stage.removeprefix("hang in ").split(":")[0]
            deaths.append({"path": name, "kind": kind, "call": 0, "output": "", "what": f"{kind} in {name}"})
            if name in ("start", "build") or name in skip:
                answer = {"findings": []}
                break
            skip.append("float64" if name == "no float64" else name)
        theirs = [d for d in deaths if "/" not in d["path"]]
        if any(d["path"] == "tensorflow" for d in theirs):
            # What is not optimized ends as TensorFlow does.
            theirs += [d for d in deaths if d["path"].startswith("none/")]
        answer.setdefault("findings", []).extend(d for d in deaths if d not in theirs)
        answer["died"] = theirs
        return answer
