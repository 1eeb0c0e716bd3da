# SPDX-License-Identifier: Apache-2.0
"""Measures contenders, each in its own process, in interleaved rounds."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial

import numpy as np

from savedmodel._bench.progress import progress
from savedmodel._bench.turns import Contenders
from savedmodel.cli import _machine
from savedmodel.cli._array_files import read
from savedmodel.cli._bench_report import Case, Plan, Report
from savedmodel.cli._child import Child, ChildError
from savedmodel.cli._difference import Tolerance, difference
from savedmodel.cli._text import plural

_NEAR = Tolerance(relative=1e-2, absolute=1e-3)  # allows for bfloat16


def measure(plan: Plan, left_out: dict[str, str]) -> Report:
    """Run the plan. A contender that fails is left out from then on; savedmodel's failure is an error."""
    report = Report(plan, _machine.describe(), dict(left_out))
    onnx = _convert(plan, report) if "onnxruntime" in plan.contenders else None
    cases = len(plan.batches) * len(plan.concurrency)
    total = len(plan.threads) * len(plan.contenders) * (1 + cases * (plan.rounds + 1))

    def failed(name: str, error: Exception) -> None:
        if name == "savedmodel":
            raise type(error)(str(error).removeprefix(f"{name}: "))  # the command's name says it
        report.left_out[name] = str(error)

    with progress(total) as step:
        for threads in plan.threads:
            with Contenders[Child](plan.seed, ChildError, failed) as contenders:
                _start(plan, report, threads, onnx, contenders, step)
                for batch in plan.batches:
                    for concurrency in plan.concurrency:
                        _rounds(plan, report, contenders, (threads, int(batch), concurrency), step)
                for start in report.starts:
                    if start["threads"] == threads and start["contender"] in contenders.running:
                        child = contenders.running[start["contender"]]
                        start["peak_bytes"] = child.ask("memory")["peak_bytes"]
    report.cases = [case for case in report.cases if case.samples]
    return report


def _convert(plan: Plan, report: Report) -> str | None:
    if plan.onnx is not None:
        return plan.onnx
    from savedmodel._bench.runtime_onnx import convert

    try:
        convert(plan.path, plan.tags, plan.signature, plan.scratch / "model.onnx")
    except RuntimeError as error:
        report.left_out["onnxruntime"] = f"{error} (--onnx FILE gives a model)"
        return None
    return str(plan.scratch / "model.onnx")


def _start(
    plan: Plan,
    report: Report,
    threads: int,
    onnx: str | None,
    contenders: Contenders[Child],
    step: Callable[[str], None],
) -> None:
    for name in plan.contenders:
        step(f"starting {name}")
        if name in report.left_out:
            continue
        request = {
            "path": onnx if name == "onnxruntime" else plan.path,
            "tags": plan.tags,
            "signature": plan.signature,
            "threads": threads,
            "batches": plan.batches,
            "optimize": plan.optimize,
        }
        if contenders.start(name, partial(Child, name, request)):
            about = dict(contenders.running[name].about)
            report.versions[name] = about.pop("version")
            report.starts.append({"contender": name, "threads": threads, **about})
    if threads == plan.threads[0]:
        _check_results(plan, report, contenders.running)


def _check_results(plan: Plan, report: Report, children: dict[str, Child]) -> None:
    """Compare results: a runtime that computes something else is not faster."""
    batch = next(iter(plan.batches))
    results = {}
    for name, child in children.items():
        file = plan.scratch / f"results-{name}.npz"
        child.ask("outputs", batch=batch, file=str(file))
        results[name] = {key.removesuffix(":0"): value for key, value in read(file).items()}
    ours = results.pop("savedmodel")
    for name, theirs in results.items():
        if len(ours) == len(theirs) == 1:  # whatever its name
            theirs = dict(zip(ours, theirs.values(), strict=True))
        rows = [
            difference((plan.signature, int(batch), key), ours[key], theirs[key], _NEAR)
            for key in ours.keys() & theirs.keys()
        ]
        wrong = [row for row in rows if not row.same]
        if wrong:
            worst = max(row.max_abs_error or 0 for row in wrong)
            report.differ[name] = wrong[0].note or f"by up to {worst:.2g}"


def _rounds(
    plan: Plan,
    report: Report,
    contenders: Contenders[Child],
    setting: tuple[int, int, int],
    step: Callable[[str], None],
) -> None:
    threads, batch, concurrency = setting
    cases = {name: Case(name, threads, batch, concurrency) for name in contenders.running}
    report.cases += cases.values()
    label = f"batch {batch}, {plural(threads, 'thread')}, {plural(concurrency, 'caller')}"

    def measure_one(counted: bool, case: Case, child: Child) -> None:
        seconds = plan.seconds if counted else plan.warmup
        answer = child.ask("measure", batch=batch, concurrency=concurrency, seconds=seconds)
        if counted:
            case.samples.append(np.frombuffer(base64.b64decode(answer["latencies"]), np.float32))
            case.seconds += answer["seconds"]

    for number in range(plan.rounds + 1):
        for name in contenders.shuffled(contenders.running):
            step(f"{label}: {name}")
            if not contenders.turn(name, partial(measure_one, number > 0, cases[name])):
                cases[name].samples.clear()
