# SPDX-License-Identifier: Apache-2.0
"""Measurements of a traced run."""

from __future__ import annotations

import json
import os
from typing import Any

from savedmodel import _core


class Trace(_core.Trace):
    """Per-node timings of one run: `events`, and `run_metadata` as serialized tensorflow.RunMetadata."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Chrome trace event file (JSON), which Perfetto and chrome://tracing open."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._chrome(), file)

    def _chrome(self) -> dict[str, Any]:
        # https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (times in us)
        devices = sorted({event.device for event in self.events})
        process = {device: number for number, device in enumerate(devices, 1)}
        rows: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "pid": process[device], "args": {"name": device}}
            for device in devices
        ]
        start = min((event.start_ns for event in self.events), default=0)
        rows += [
            {
                "ph": "X",
                "name": event.op or event.node,
                "cat": "op",
                "pid": process[event.device],
                "tid": event.thread,
                "ts": (event.start_ns - start) / 1000,
                "dur": event.duration_ns / 1000,
                "args": {"node": event.node},
            }
            for event in self.events
        ]
        return {"traceEvents": rows, "displayTimeUnit": "ns"}

    def __repr__(self) -> str:
        start = min((event.start_ns for event in self.events), default=0)
        end = max((event.start_ns + event.duration_ns for event in self.events), default=0)
        devices = len({event.device for event in self.events})
        return f"<Trace of {len(self.events)} ops on {devices} devices, {(end - start) / 1000:.0f} us>"
