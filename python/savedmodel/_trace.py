# SPDX-License-Identifier: Apache-2.0
"""Measurements of a traced run."""

from __future__ import annotations

import json
import os
from typing import Any

from savedmodel import _core


class Trace(_core.Trace):
    """What a run did: `events`, one for each node of the graph that ran; `duration` of the whole run
    in seconds; and `run_metadata`, as serialized tensorflow.RunMetadata.

    The graph is the optimized one, if the function has one: an event's `origins` are the nodes of the graph
    as loaded that it computes. An event with `part` is what another thread did for one of the others.
    With options of TensorFlow's, or several devices, a session runs the graph as loaded: `session` is True.
    """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Chrome trace event file (JSON), with a lane for each thread. Perfetto and chrome://tracing
        open it."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._chrome(), file)

    def _chrome(self) -> dict[str, Any]:
        # https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (times in us)
        events = self.events
        process = {device: number for number, device in enumerate(sorted({e.device for e in events}), 1)}
        rows: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "pid": number, "args": {"name": device}}
            for device, number in process.items()
        ]
        callers = {(e.device, e.thread) for e in events if not e.part}
        workers = sorted({(e.device, e.thread) for e in events if e.part} - callers)
        if not self.session:
            lanes = [(lane, "caller") for lane in sorted(callers)] + [(lane, "worker") for lane in workers]
            rows += [
                {
                    "ph": "M",
                    "name": "thread_name",
                    "pid": process[device],
                    "tid": thread,
                    "args": {"name": name},
                }
                for (device, thread), name in lanes
            ]
        begin = min((e.start_ns for e in events), default=0)
        rows += [
            {
                "ph": "X",
                "name": event.op or event.node,
                "cat": "part" if event.part else "op",
                "pid": process[event.device],
                "tid": event.thread,
                "ts": (event.start_ns - begin) / 1000,
                "dur": event.duration_ns / 1000,
                "args": {"node": event.node}
                | ({"from": [f"{op} {node}" for node, op in event.origins]} if event.origins else {}),
            }
            for event in events
        ]
        return {"traceEvents": rows, "displayTimeUnit": "ns"}

    def __repr__(self) -> str:
        ops = sum(not event.part for event in self.events)
        devices = len({event.device for event in self.events})
        return f"<Trace of {ops} ops on {devices} devices, {self.duration * 1e6:.0f} us>"
