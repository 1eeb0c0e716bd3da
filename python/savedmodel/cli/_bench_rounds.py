# SPDX-License-Identifier: Apache-2.0
"""Contenders in processes of their own, measured in interleaved rounds."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from savedmodel.cli import _machine
from savedmodel.cli._bench_report import Case, Plan, Report
from savedmodel.cli._child import Child, ChildError
from savedmodel.cli._difference import Tolerance, difference
from savedmodel.cli._runtimes import read
from savedmodel.cli._text import plural

_NEAR = Tolerance(relative=1e-2, absolute=1e-3)  # bfloat16 may take part


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr, in a terminal only. What it yields is told of each step."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from savedmodel.cli._console import console

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    out = console(stderr=True)
    # A bar that redraws itself would take time from what is measured.
    with Progress(
        *columns, console=out, transient=True, auto_refresh=False, disable=not out.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)

        def step(text: str) -> None:
            bar.update(task, advance=1, description=text, refresh=True)

        yield step


def measure(plan: Plan, left_out: dict[str, str]) -> Report:
    """Run the plan. A contender that fails is left out from then on, but for savedmodel itself."""
    report = Report(plan, _machine.describe(), dict(left_out))
    onnx = _convert(plan, report) if "onnxruntime" in plan.contenders else None
    cases = len(plan.batches) * len(plan.concurrency)
    total = len(plan.threads) * len(plan.contenders) * (1 + cases * (plan.rounds + 1))
    with _progress(total) as step:
        for threads in plan.threads:
            with ExitStack() as stack:
                children = _start(plan, report, threads, onnx, stack, step)
                for batch in plan.batches:
                    for concurrency in plan.concurrency:
                        _rounds(plan, report, children, (threads, int(batch), concurrency), step)
                for start in report.starts:
                    if start["threads"] == threads and start["contender"] in children:
                        child = children[start["contender"]]
                        start["peak_bytes"] = child.ask("memory")["peak_bytes"]
    report.cases = [case for case in report.cases if case.samples]
    return report


def _convert(plan: Plan, report: Report) -> str | None:
    if plan.onnx is not None:
        return plan.onnx
    from savedmodel.cli._runtime_onnx import convert

    try:
        convert(plan.path, plan.tags, plan.signature, plan.scratch / "model.onnx")
    except RuntimeError as error:
        report.left_out["onnxruntime"] = f"{error} (--onnx FILE gives a model)"
        return None
    return str(plan.scratch / "model.onnx")


def _leave_out(report: Report, name: str, error: Exception) -> None:
    if name == "savedmodel":
        raise error
    report.left_out[name] = str(error)


def _start(
    plan: Plan,
    report: Report,
    threads: int,
    onnx: str | None,
    stack: ExitStack,
    step: Callable[[str], None],
) -> dict[str, Child]:
    children: dict[str, Child] = {}
    for name in plan.contenders:
        step(f"starting {name}")
        if name in report.left_out:
            continue
        request = {
            "path": plan.path,
            "tags": plan.tags,
            "signature": plan.signature,
            "threads": threads,
            "batches": plan.batches,
            "optimize": plan.optimize,
            "onnx": onnx,
        }
        try:
            child = stack.enter_context(Child(name, request))
        except ChildError as error:
            _leave_out(report, name, error)
            continue
        children[name] = child
        report.versions[name] = child.about.pop("version")
        report.starts.append({"contender": name, "threads": threads, **child.about})
    if threads == plan.threads[0]:
        _check_results(plan, report, children)
    return children


def _check_results(plan: Plan, report: Report, children: dict[str, Child]) -> None:
    """A runtime that computes something else is not faster."""
    batch = next(iter(plan.batches))
    results = {}
    for name, child in children.items():
        file = plan.scratch / f"results-{name}.npz"
        child.ask("outputs", batch=batch, file=str(file))
        results[name] = {key.removesuffix(":0"): value for key, value in read(file).items()}
    ours = results.pop("savedmodel")
    for name, theirs in results.items():
        if len(ours) == len(theirs) == 1:  # whatever it is called
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
    children: dict[str, Child],
    setting: tuple[int, int, int],
    step: Callable[[str], None],
) -> None:
    threads, batch, concurrency = setting
    order = random.Random(plan.seed)
    cases = {name: Case(name, threads, batch, concurrency) for name in children}
    report.cases += cases.values()
    label = f"batch {batch}, {plural(threads, 'thread')}, {plural(concurrency, 'caller')}"
    for number in range(plan.rounds + 1):
        turn = list(children)
        order.shuffle(turn)
        for name in turn:
            step(f"{label}: {name}")
            seconds = plan.seconds if number else plan.warmup
            try:
                answer = children[name].ask("measure", batch=batch, concurrency=concurrency, seconds=seconds)
            except ChildError as error:
                _leave_out(report, name, error)
                del children[name]
                cases[name].samples.clear()
                continue
            if number:
                samples = np.frombuffer(base64.b64decode(answer["latencies"]), np.float32)
                cases[name].samples.append(samples)
                cases[name].seconds += answer["seconds"]
