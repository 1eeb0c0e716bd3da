# SPDX-License-Identifier: Apache-2.0
"""Lists the ops of a SavedModel that reach files, network, processes, Python or memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from savedmodel._core import MetaGraphInfo, OpUse
from savedmodel._inspect import inspect
from savedmodel._ops import op_list

LOADER = "loader"
UNKNOWN = "unknown"
KNOWN = "known"


@dataclass(frozen=True)
class Finding:
    """An op that a MetaGraph, or a function of it, uses."""

    op: str
    category: str
    """A section of ops.ini ("files", "network", ...), "unknown", "loader" or "known"."""
    reason: str
    """What the op does."""
    tags: tuple[str, ...]
    """The MetaGraph's tags."""
    count: int
    """The number of nodes."""
    nodes: tuple[str, ...]
    """The first nodes: "node", or "function/node"."""
    denied: bool


def categories() -> dict[str, str]:
    """Categories that `deny` and `allow` of scan accept besides ops, with their descriptions."""
    what = {
        "files": "reads or writes files",
        "network": "talks to other processes or machines",
        "processes": "ends the process",
        "python": "calls Python functions of the process",
        "memory": "touches memory that is not its own",
        "code": "runs code that is not in the graph",
        UNKNOWN: "not in the list: a custom op, or one of another TensorFlow",
        LOADER: "the loader's own: the saver, tables made from the model's assets",
    }
    return {name: what.get(name, "") for name in (*op_list().categories, UNKNOWN, LOADER)}


def _check_names(names: Iterable[str], what: str) -> frozenset[str]:
    if isinstance(names, str):
        raise TypeError(f"{what} must be a sequence of ops or categories, got the string {names!r}")
    chosen = frozenset(names)
    for name in sorted(chosen):
        if name.islower() and name not in categories():  # ops are in CamelCase
            raise ValueError(f"{what}: no category {name!r}; there are: {', '.join(categories())}")
    return chosen


def _what_the_loader_does(op: str) -> str:
    if op.startswith("InitializeTable"):
        return "fills a table from an asset of the model"
    if op.startswith("Restore"):
        return "reads the model's own variables"
    return "the saver's; no load and no call runs it"


def _findings(
    graph: MetaGraphInfo, op: str, use: OpUse, deny: frozenset[str], allow: frozenset[str]
) -> Iterable[Finding]:
    listed = op_list()
    category, reason = listed.harmful.get(op, (KNOWN if op in listed.known else UNKNOWN, ""))

    def finding(category: str, reason: str, count: int) -> Finding:
        if op in deny or op in allow:  # an op's name takes precedence over its category
            denied = op in deny
        elif category in deny or category in allow:
            denied = category in deny
        else:
            denied = category not in (KNOWN, LOADER)
        nodes = () if category == LOADER else tuple(use.nodes)
        return Finding(op, category, reason, tuple(sorted(graph.tags)), count, nodes, denied)

    if use.loader_count and category != KNOWN:
        yield finding(LOADER, _what_the_loader_does(op), use.loader_count)
    rest = use.count - (use.loader_count if category != KNOWN else 0)
    if rest and (category != KNOWN or op in deny):
        yield finding(category, reason or categories().get(category, "only computes"), rest)


def scan(
    path: str | os.PathLike[str],
    *,
    tags: Iterable[str] | None = None,
    deny: Iterable[str] = (),
    allow: Iterable[str] = (),
) -> list[Finding]:
    """List the ops of a SavedModel, and of its functions, that do more than compute.

    Runs no part of the model. tags: of one MetaGraph, or None for all. deny, allow: ops or categories; an op
    takes precedence over its category, and `deny` over `allow`. By default, ops listed as harmful and unknown
    ops are denied, but not ops that only serve the loader.
    """
    denied, allowed = _check_names(deny, "deny"), _check_names(allow, "allow")
    wanted = None if tags is None else frozenset(tags)
    inspection = inspect(path)
    graphs = [graph for graph in inspection.meta_graphs if wanted is None or graph.tags == wanted]
    if not graphs:
        sets = ", ".join("{" + ", ".join(sorted(graph.tags)) + "}" for graph in inspection.meta_graphs)
        raise ValueError(
            f"no MetaGraph has the tags {{{', '.join(sorted(wanted or ()))}}}; there are: {sets}"
        )
    return [
        finding
        for graph in graphs
        for op, use in sorted(graph.op_uses.items())
        for finding in _findings(graph, op, use, denied, allowed)
    ]
