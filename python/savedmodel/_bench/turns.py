# SPDX-License-Identifier: Apache-2.0
"""Contenders in child processes that take turns, so that a busy moment of the machine affects all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Generic, Protocol, TypeVar

# For all children. If only some of the runtimes found a GPU, the comparison would be meaningless.
CPU_ONLY = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


class _Closable(Protocol):
    def close(self) -> None: ...


Child = TypeVar("Child", bound=_Closable)
Key = TypeVar("Key")


class Contenders(Generic[Child]):
    """Children by name, each asleep except in its turn. Used in `with`, which ends them all.

    A contender that raises `failure` is left out from then on: `failed` is called with its name and the
    reason.
    """

    def __init__(self, seed: int, failure: type[Exception], failed: Callable[[str, Exception], None]) -> None:
        self.running: dict[str, Child] = {}
        self._order = random.Random(seed)
        self._failure, self._failed = failure, failed
        self._stack = ExitStack()

    def __enter__(self) -> Contenders[Child]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def start(
        self, name: str, make: Callable[[], Child], ready: Callable[[Child], None] | None = None
    ) -> bool:
        """Start a child and prepare it. Returns False if either fails."""
        try:
            child = make()
            self._stack.callback(child.close)
            if ready is not None:
                ready(child)
        except self._failure as error:
            self._failed(name, error)
            return False
        self.running[name] = child
        return True

    def turn(self, name: str, action: Callable[[Child], None]) -> bool:
        """One turn of a running contender. Returns False if it fails, or failed before."""
        if name not in self.running:
            return False
        try:
            action(self.running[name])
        except self._failure as error:
            del self.running[name]
            self._failed(name, error)
            return False
        return True

    def shuffled(self, keys: Iterable[Key]) -> Iterator[Key]:
        """The turns of a round, in a new random order."""
        turns = list(keys)
        self._order.shuffle(turns)
        return iter(turns)
