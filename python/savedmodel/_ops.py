# SPDX-License-Identifier: Apache-2.0
"""Ops that do more than compute, listed in ops.ini, and all other ops of TensorFlow."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

_HARMFUL = Path(__file__).with_name("ops.ini")
_ALL = Path(__file__).with_name("tensorflow_ops.txt")  # made by the build: cmake/list_ops.py


@dataclass(frozen=True)
class OpList:
    """The contents of the files."""

    harmful: dict[str, tuple[str, str]]
    """The category and description of each op."""
    known: frozenset[str]
    """TensorFlow's other ops: they only compute, or keep state in the process."""

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories, in the file's order."""
        return tuple(dict.fromkeys(category for category, _ in self.harmful.values()))


@functools.cache
def op_list() -> OpList:
    """Read the files, once."""
    import configparser  # most loads need no list

    parser = configparser.ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    with _HARMFUL.open(encoding="utf-8") as file:
        parser.read_file(file)
    harmful = {
        op: (category, reason) for category in parser.sections() for op, reason in parser.items(category)
    }
    return OpList(harmful, frozenset(_ALL.read_text(encoding="utf-8").split()) - harmful.keys())
