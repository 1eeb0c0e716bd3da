# SPDX-License-Identifier: Apache-2.0
"""Names of inputs, outputs and tensors."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def near(name: str, known: Iterable[str], count: int = 5) -> str:
    """'; did you mean ...?' or '; there are: ...', the end of a message that `name` does not exist."""
    names = list(known)
    folded = {each.lower(): each for each in names}
    matches = [folded[each] for each in difflib.get_close_matches(name.lower(), folded, count, 0.5)]
    matches += [each for each in names if name in each and each not in matches][: count - len(matches)]
    if matches:
        *others, last = map(repr, matches)
        return f"; did you mean {', '.join(others)}{' or ' * bool(others)}{last}?"
    if not names:
        return "; there are none"
    return f"; there are: {', '.join(map(repr, names[:count]))}" + ", ..." * (len(names) > count)


def one_line(error: object, limit: int = 400) -> str:
    """An error's text, without the colours that Keras puts into it."""
    text = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(error)).split())
    return text[:limit] + "..." * (len(text) > limit)


def flatten(structure: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves in the order of tf.nest (dicts by sorted key), and their paths: `probs`, `head_box`, `0`."""

    def below(key: object) -> str:
        return f"{name}_{key}" if name else str(key)

    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from flatten(structure[key], below(key))
    elif isinstance(structure, tuple) and hasattr(structure, "_fields"):
        for key in structure._fields:
            yield from flatten(getattr(structure, key), below(key))
    elif isinstance(structure, list | tuple):
        for index, value in enumerate(structure):
            yield from flatten(value, below(index))
    else:
        yield name, structure


def output_names(results: Any) -> dict[str, Any]:
    """The leaves of a function's results by name: a dict's keys, or output_0, output_1."""
    leaves = list(flatten(results))
    names = [f"output_{path or 0}" if not path or path[0].isdigit() else path for path, _ in leaves]
    return dict(zip(unique(names), (leaf for _, leaf in leaves), strict=True))


def parameters(names: Iterable[str]) -> dict[str, str]:
    """For each name a valid parameter name of a function in TensorFlow: the name itself, if possible.

    Parameter names are compared without regard to case.
    """
    names = list(names)
    used: dict[str, str] = {}
    for name in filter(_is_parameter, names):
        used.setdefault(name.lower(), name)
    made = {}
    for name in names:
        candidate = name
        if used.get(name.lower()) != name:
            stem = "arg_" + re.sub(r"\W", "_", name, flags=re.ASCII)
            candidate, number = stem, 1
            while candidate.lower() in used:
                candidate, number = f"{stem}_{number}", number + 1
            used[candidate.lower()] = candidate
        made[name] = candidate
    return made


def _is_parameter(name: str) -> bool:
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and name[0] != "_"


def unique(names: Iterable[str]) -> list[str]:
    """The names, made unique by numbers."""
    result: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in result:
            candidate, number = f"{name}_{number}", number + 1
        result.append(candidate)
    return result
