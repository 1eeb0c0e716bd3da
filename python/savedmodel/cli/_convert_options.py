# SPDX-License-Identifier: Apache-2.0
"""Parses the options of `convert`: shapes, dtypes, tensor names, Python objects by name."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

import savedmodel as sm

Shape = tuple[int | None, ...] | None

_SPEC = re.compile(r"(\w+)\[(.*)\]")


def shape(text: str) -> Shape:
    """'?,224,224,3' as (None, 224, 224, 3), '' as (), '...' as None: an unknown rank."""
    if text.strip() == "...":
        return None
    try:
        return tuple(None if part == "?" else _size(part) for part in map(str.strip, text.split(",")) if part)
    except ValueError:
        raise click.UsageError(f"{text!r} is not a shape, such as ?,224,224,3") from None


def _size(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def pair(text: str, what: str) -> tuple[str, str]:
    """'a=b' as ('a', 'b')."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"{text!r} is not {what}")
    return key, value


def shapes(given: Sequence[str]) -> dict[str, Shape]:
    """--input-shape NAME=SHAPE."""
    pairs = (pair(each, "NAME=SHAPE, such as image=?,224,224,3") for each in given)
    return {key: shape(value) for key, value in pairs}


def specs(given: Sequence[str]) -> dict[str, tuple[Shape, str]] | None:
    """--input NAME=DTYPE[SHAPE]."""
    found = {}
    for each in given:
        key, value = pair(each, "NAME=DTYPE[SHAPE], such as x=float32[?,64]")
        match = _SPEC.fullmatch(value)
        if match is None:
            raise click.UsageError(f"{each!r} is not NAME=DTYPE[SHAPE], such as x=float32[?,64]")
        found[key] = shape(match[2]), match[1]
    return found or None


def tensors(given: Sequence[str]) -> dict[str, str] | list[str] | None:
    """--input [KEY=]TENSOR."""
    if not given:
        return None
    with_key = ["=" in each for each in given]
    if all(with_key):
        return dict(pair(each, "KEY=TENSOR") for each in given)
    if any(with_key):
        raise click.UsageError("write KEY= for all inputs (or all outputs), or for none of them")
    return list(given)


def graph_signatures(given: Sequence[str]) -> str | Mapping[str, sm.export.GraphSignature]:
    """--signature NAME, or several 'NAME: KEY=TENSOR, ... -> KEY=TENSOR, ...'."""
    if not given:
        return "serving_default"
    if len(given) == 1 and "->" not in given[0]:
        return given[0]
    found = {}
    for each in given:
        name, colon, rest = each.partition(":")
        left, arrow, right = rest.partition("->")
        sides = [[part.strip() for part in side.split(",") if part.strip()] for side in (left, right)]
        if not (colon and arrow and sides[1]):
            raise click.UsageError(f"{each!r} is not 'NAME: KEY=TENSOR, ... -> KEY=TENSOR, ...'")
        inputs, outputs = (tensors(side) or {} for side in sides)
        found[name.strip()] = sm.export.GraphSignature(_keyed(inputs), _keyed(outputs))
    return found


def _keyed(given: Mapping[str, str] | Sequence[str]) -> Mapping[str, str]:
    if isinstance(given, Mapping):
        return given
    raise click.UsageError("write each tensor of a --signature as KEY=TENSOR")


def named(given: Sequence[str]) -> str | dict[str, str | None]:
    """--signature NAME[=WHAT]."""
    if not given:
        return "serving_default"
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    found: dict[str, str | None] = {}
    for each in given:
        name, equals, what = each.partition("=")
        found[name] = what if equals else None
    return found


def imported(module: str) -> Any:
    """The module, found by Python or in the working directory."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"no module {error.name!r} in this directory or on Python's path") from error
    except Exception as error:
        raise ValueError(f"importing {module} failed: {type(error).__name__}: {error}") from error


def attribute(text: str) -> Any:
    """The object that 'module:name' names."""
    module, colon, names = text.partition(":")
    if not (colon and module and names):
        raise click.UsageError(f"{text!r} is not MODULE:NAME, such as train:predict")
    value = imported(module)
    for name in names.split("."):
        if not hasattr(value, name):
            raise ValueError(f"{text}: no attribute {name!r}")
        value = getattr(value, name)
    return value


def custom_objects(modules: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """The classes and functions that these modules define."""
    return {
        name: value
        for module in map(imported, modules)
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    }
