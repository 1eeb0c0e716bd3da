# SPDX-License-Identifier: Apache-2.0
"""Signatures and variables of a model by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from savedmodel import _core

Array = np.ndarray[Any, np.dtype[Any]]
_Value = TypeVar("_Value")


class Completed(Mapping[str, _Value]):
    """A mapping whose keys IPython completes."""

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)


class Named(Completed[_Value]):
    """A read-only mapping whose KeyError lists the existing names."""

    def __init__(self, what: str, values: Mapping[str, _Value]) -> None:
        self._what = what
        self._values = values

    def __getitem__(self, name: str) -> _Value:
        try:
            return self._values[name]
        except KeyError:
            known = ", ".join(map(repr, self._values)) or "none"
            raise KeyError(f"no {self._what} {name!r}; there are: {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return "{" + ",\n ".join(f"{name!r}: {value!r}" for name, value in self.items()) + "}"


class Variables(Completed[Array]):
    """Variables by name, each read on access."""

    def __init__(self, model: _core.Model) -> None:
        self._model = model
        self._specs = model.variables

    def __getitem__(self, name: str) -> Array:
        if name not in self._specs:
            raise KeyError(f"no variable {name!r}; there are: {', '.join(self._specs) or 'none'}")
        return self._model.read_variable(name)

    def __contains__(self, name: object) -> bool:
        return name in self._specs  # does not read it

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __repr__(self) -> str:
        return "{" + ",\n ".join(f"{name!r}: {spec}" for name, spec in self._specs.items()) + "}"
