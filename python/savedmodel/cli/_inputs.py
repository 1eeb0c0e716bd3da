# SPDX-License-Identifier: Apache-2.0
"""Inputs from files, expressions and examples, by saved_model_cli's rules."""

from __future__ import annotations

import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

import savedmodel as sm
from savedmodel.cli import _arguments
from savedmodel.cli._expressions import ExpressionError, evaluate
from savedmodel.cli._fit import compose, parts_of
from savedmodel.cli._text import printable

Function = TypeVar("Function", bound=Callable[..., Any])

_FILE = re.compile(r"([^=]+)=([^\[\]]+?)(?:\[([^\[\]]+)\])?")
_NPY, _NPZ = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")


def warn(text: str) -> None:
    """Print a warning on stderr."""
    print(f"savedmodel: warning: {printable(text)}", file=sys.stderr)


@dataclass(frozen=True)
class Sources:
    """The values of the options for inputs."""

    files: str = ""
    expressions: str = ""
    examples: str = ""
    allow_pickle: bool = False
    seed: int = 0

    def any(self) -> bool:
        """True if there are some."""
        return bool(self.files or self.expressions or self.examples)

    def read(self) -> dict[str, Any]:
        """Values by key; a later option takes precedence over an earlier one, with a warning."""
        values: dict[str, Any] = {}
        for option, found in (
            ("--inputs", self._files()),
            ("--input-exprs", self._expressions()),
            ("--input-examples", self._examples()),
        ):
            for key, value in found:
                if key in values:
                    warn(f"input {key!r} is given more than once; {option} is used")
                values[key] = value
        return values

    def _files(self) -> Iterator[tuple[str, Any]]:
        for part in filter(None, self.files.split(";")):
            match = _FILE.fullmatch(part)
            if match is None:
                raise click.UsageError(f"--inputs {part!r}: write KEY=FILE or KEY=FILE[NAME]")
            key, file, name = match.groups()
            yield key.strip(), read_file(file, name, self.allow_pickle)

    def _expressions(self) -> Iterator[tuple[str, Any]]:
        for key, text in _split(self.expressions, "--input-exprs"):
            try:
                yield key, evaluate(text, seed=self.seed)
            except ExpressionError as error:
                raise ExpressionError(f"input {key!r}: {error}") from None

    def _examples(self) -> Iterator[tuple[str, Any]]:
        for key, text in _split(self.examples, "--input-examples"):
            try:
                examples = evaluate(text, dicts=True)
                if not isinstance(examples, list):
                    raise TypeError(
                        f"examples must be a list of dicts, such as [{{...}}], got {examples!r:.40}"
                    )
                yield key, np.array([sm.serialize_example(example) for example in examples], object)
            except (TypeError, ValueError) as error:
                raise type(error)(f"input {key!r}: {error}") from None


def _split(text: str, option: str) -> Iterator[tuple[str, str]]:
    """Split KEY=VALUE;KEY=VALUE, where a value may contain a semicolon in quotes."""
    pattern = r"""(?:[^;"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|["'])+"""
    for part in re.findall(pattern, text):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"{option} {part!r:.60}: write KEY=VALUE")
        yield key.strip(), value


def read_file(file: str, name: str | None, allow_pickle: bool) -> Any:
    """The array in a .npy, .npz or pickle file; `name` chooses one of several."""
    with Path(file).open("rb") as opened:
        magic = opened.read(6)
    if magic != _NPY and not magic.startswith(_NPZ):
        return _unpickle(file, name, allow_pickle)
    try:
        data = np.load(file, allow_pickle=allow_pickle)
        if isinstance(data, np.ndarray):
            if name is not None:
                warn(f"{file} holds one array; its name {name!r} is ignored")
            return data
        with data:
            if name is None:
                if len(data.files) != 1:
                    raise ValueError(f"{file} holds {len(data.files)} arrays: choose one, as in {file}[NAME]")
                name = data.files[0]
            if name not in data.files:
                raise ValueError(f"{file} has no array {name!r}; it has: {', '.join(data.files)}")
            return data[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise _refused(file, "has an array of Python objects, which is") from None
        if str(error).startswith(file):
            raise
        raise ValueError(f"{file} is damaged: {error}") from None
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{file} is damaged: {error}") from None


def _refused(file: str, what: str) -> ValueError:
    return ValueError(
        f"{file} {what} a pickle: reading one can run any code. If you trust it, add --allow-pickle"
    )


def _unpickle(file: str, name: str | None, allow_pickle: bool) -> Any:
    if not allow_pickle:
        raise _refused(file, "is neither .npy nor .npz, so perhaps")
    import pickle

    try:
        with Path(file).open("rb") as opened:
            data = pickle.load(opened)
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
        raise ValueError(f"{file} is neither .npy, .npz nor a pickle: {error}") from None
    if name is None:
        return data
    if isinstance(data, np.ndarray):
        warn(f"{file} holds one array; its name {name!r} is ignored")
        return data
    if not isinstance(data, Mapping) or name not in data:
        raise ValueError(f"{file} has no array {name!r}")
    return data[name]


def options(function: Function) -> Function:
    """--inputs and the like; the function gets `sources`."""
    import functools

    @functools.wraps(function)
    def wrapped(
        inputs: str, input_exprs: str, input_examples: str, allow_pickle: bool, seed: int, **rest: Any
    ) -> Any:
        sources = Sources(inputs, input_exprs, input_examples, allow_pickle, seed)
        return function(sources=sources, seed=seed, **rest)

    for option in (
        _arguments.seed,
        click.option("--allow-pickle", is_flag=True, help="Read pickles, which can run any code."),
        click.option(
            "--input-examples", default="", metavar="KEY=LIST", help="tf.train.Examples: KEY=[{'a': [1]}]"
        ),
        click.option(
            "--input-exprs", default="", metavar="KEY=EXPR", help="Literals and np.ones(...): KEY=EXPR;..."
        ),
        click.option(
            "--inputs", default="", metavar="KEY=FILE", help=".npy, .npz[name] or pickle: KEY=FILE;..."
        ),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def match(values: Mapping[str, Any], specs: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the values to a signature's inputs and their dtypes; sparse ones are composed of their
    components."""
    known = [name for key, spec in specs.items() for name in parts_of(key, spec)]
    for key in values:
        if key not in known and key not in specs:
            raise click.UsageError(f"no input {key!r}; there are: {', '.join(map(repr, known)) or 'none'}")
    return {key: value for key, spec in specs.items() if (value := compose(key, spec, values)) is not None}
