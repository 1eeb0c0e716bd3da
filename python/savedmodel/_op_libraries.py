# SPDX-License-Identifier: Apache-2.0
"""`op_libraries=`: files, or names of installed packages whose files are found."""

from __future__ import annotations

import importlib.util
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from savedmodel import _core

OpLibraries = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A shared library, the name of an installed package, or several of them."""

_PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# Symbols used by libraries that register an op or a kernel, and one that only an extension module defines.
_REGISTERS = (b"OpDefBuilder", b"OpKernelRegistrar")
_MODULE = b"PyInit_"


def as_tuple(libraries: OpLibraries) -> tuple[str, ...]:
    """The given library or libraries as strings. Raises TypeError."""
    given = [libraries] if isinstance(libraries, str | os.PathLike) else libraries
    if not isinstance(given, Iterable):
        raise TypeError(f"op_libraries must be paths or names of packages, got {libraries!r}")
    return tuple(os.fspath(library) for library in given)


def find_op_libraries(libraries: OpLibraries) -> list[str]:
    """The files that `load(..., op_libraries=libraries)` opens, for example for a C++ program.

    libraries: a path, the name of an installed package ("tensorflow_text"), or several of them.
    Raises ModuleNotFoundError for a package that is not installed, ValueError for one without op libraries.
    """
    return [file for library in as_tuple(libraries) for file in _files(library)]


def _files(library: str) -> list[str]:
    if not _PACKAGE.fullmatch(library) or ".so" in library or os.path.isfile(library):
        return [library]
    name = library.replace("-", "_")
    spec = importlib.util.find_spec(name) if "." not in name else None
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(
            f"op library {library!r}: no package of this name is installed here; {_install(library)}",
            name=name,
        )
    folders = list(spec.submodule_search_locations)
    found = sorted(str(file) for folder in folders for file in _shared_libraries(folder) if _registers(file))
    if not found:
        raise ValueError(f"op library {library!r}: the package in {folders[0]!r} has no libraries with ops")
    return found


def _install(library: str) -> str:
    distribution = library.replace("_", "-")
    version = f"=={_core.REQUIRED_TENSORFLOW}.*" if distribution == "tensorflow-text" else ""
    return f"pip install '{distribution}{version}'"


def _shared_libraries(folder: str) -> Iterator[Path]:
    return (file for file in Path(folder).rglob("*.so*") if file.is_file() and file.stat().st_size)


def _registers(file: Path) -> bool:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_MODULE) < 0 and any(content.find(name) >= 0 for name in _REGISTERS)
