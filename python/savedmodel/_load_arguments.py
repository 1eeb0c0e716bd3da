# SPDX-License-Identifier: Apache-2.0
"""The keyword arguments of `load`, defined only here."""

from __future__ import annotations

import inspect
import operator
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, get_type_hints

from savedmodel import _op_libraries
from savedmodel._op_libraries import OpLibraries
from savedmodel._options import RunOptions, SessionOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack
else:

    class Unpack:
        """typing's Unpack, which Python 3.10 lacks."""

        def __class_getitem__(cls, arguments: type) -> type:
            return arguments


_MAX_THREADS = 4096

Function = TypeVar("Function", bound=Callable[..., Any])


class _Arguments(TypedDict, total=False):
    tags: Iterable[str]
    device: str | None
    threads: int | None
    optimize: Literal["none", "default", "bf16", "int8"]
    float32_layers: Iterable[str]
    session: SessionOptions | None
    run: RunOptions | None
    op_libraries: OpLibraries
    ops: Literal["any", "safe"]
    cache: bool | str | os.PathLike[str] | None
    metrics: bool


class PublishArguments(_Arguments, total=False):
    """The arguments for `publish`, which has its own `verify`."""

    warmup: bool


class WatchArguments(_Arguments, total=False):
    """The arguments for `watch`, which has its own `warmup`."""

    verify: bool


class LoadArguments(PublishArguments, WatchArguments, total=False):
    """All arguments."""


DEFAULTS: LoadArguments = {
    "tags": ("serve",),
    "device": None,
    "threads": None,
    "optimize": "default",
    "float32_layers": (),
    "verify": False,
    "session": None,
    "run": None,
    "op_libraries": (),
    "ops": "any",
    "cache": None,
    "metrics": False,
    "warmup": False,
}


def show_load_arguments(function: Function) -> Function:
    """Make `help` and `inspect` show the arguments in place of `**arguments`."""
    signature = inspect.signature(function)
    shown = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    types = get_type_hints(LoadArguments)
    for name, default in DEFAULTS.items():
        kind = inspect.Parameter.KEYWORD_ONLY
        shown.append(inspect.Parameter(name, kind, default=default, annotation=types[name]))
        function.__annotations__[name] = types[name]
    del function.__annotations__["arguments"]
    function.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return function


def check_type(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__} or None, got {value!r}")


def complete(given: LoadArguments) -> LoadArguments:
    """Add the defaults; make tags a frozenset and libraries a tuple. Raises TypeError or ValueError."""
    for name in given:
        if name not in DEFAULTS:
            raise TypeError(f"load() got an unexpected keyword argument {name!r}")
    arguments: LoadArguments = {**DEFAULTS, **given}
    tags, threads = arguments["tags"], arguments["threads"]
    if isinstance(tags, str):
        raise TypeError(f"tags must be a set of strings, such as {{{tags!r}}}, got the string {tags!r}")
    if not isinstance(tags, Iterable):
        raise TypeError(f"tags must be a set of strings, got {tags!r}")
    if threads is not None and not hasattr(threads, "__index__"):
        raise TypeError(f"threads must be an int, or None for one per CPU, got {threads!r}")
    if threads is not None and not 1 <= operator.index(threads) <= _MAX_THREADS:
        raise ValueError(f"threads must be 1 to {_MAX_THREADS}, or None for one per CPU, got {threads}")
    check_type("verify", arguments["verify"], bool)
    check_type("warmup", arguments["warmup"], bool)
    check_type("metrics", arguments["metrics"], bool)
    if arguments["optimize"] not in ("none", "default", "bf16", "int8"):
        level = arguments["optimize"]
        raise ValueError(f"optimize must be 'none', 'default', 'bf16' or 'int8', got {level!r}")
    if arguments["ops"] not in ("any", "safe"):
        raise ValueError(f"ops must be 'any' or 'safe', got {arguments['ops']!r}")
    layers = arguments["float32_layers"]
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        raise TypeError(f"float32_layers must be a list of names, got {layers!r}")
    arguments["float32_layers"] = tuple(layers)
    for layer in arguments["float32_layers"]:
        if not isinstance(layer, str):
            raise TypeError(f"float32_layers must be a list of names, got {layer!r} in it")
    check_type("device", arguments["device"], str)
    if not isinstance(arguments["cache"], bool | str | os.PathLike | None):
        raise TypeError(f"cache is a directory, True for the user's, or False: {arguments['cache']!r}")
    check_type("session", arguments["session"], SessionOptions)
    check_type("run", arguments["run"], RunOptions)
    arguments["tags"] = frozenset(tags)
    for tag in arguments["tags"]:
        if not isinstance(tag, str):
            raise TypeError(f"tags must be a set of strings, got {tag!r} in it")
    arguments["op_libraries"] = _op_libraries.as_tuple(arguments["op_libraries"])
    return arguments
