# SPDX-License-Identifier: Apache-2.0
"""The list of ops that do more than compute: ops.ini."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("ops.ini")
_KNOWN = "known"


@dataclass(frozen=True)
class OpList:
    """What ops.ini says."""

    harmful: dict[str, tuple[str, str]]
    """By op: its category, and what it does."""
    known: frozenset[str]
    """Ops that only compute, or keep state in the process."""

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories, in the file's order."""
        return tuple(dict.fromkeys(category for category, _ in self.harmful.values()))


@functools.cache
def op_list() -> OpList:
    """Read the list, once."""
    import configparser  # most loads need no list

    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#",), allow_no_value=True, interpolation=None
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    with _FILE.open(encoding="utf-8") as file:
        parser.read_file(file)
    harmful = {
        op: (category, reason or "")
        for category in parser.sections()
        if category != _KNOWN
        for op, reason in parser.items(category)
    }
    return OpList(harmful, frozenset(parser.options(_KNOWN)))
