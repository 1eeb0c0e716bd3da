# SPDX-License-Identifier: Apache-2.0
"""bundle(): a folder that runs a model on a machine where nothing is installed."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from savedmodel import _core, _tensorflow
from savedmodel._core import AlreadyExistsError, FailedPreconditionError, NotFoundError
from savedmodel._inspect import inspect, local_path
from savedmodel._staging import staged

PACKAGES = ("numpy", "ml_dtypes")
"""What the package itself imports."""
_DEVELOPMENT = {"tests", "include", "__pycache__"}  # folders that no run needs


@dataclass(frozen=True)
class Bundle:
    """What `bundle` wrote."""

    path: str
    size_bytes: int
    parts: dict[str, int]
    """Bytes by part: "model", "savedmodel", "tensorflow", and each package."""

    def __repr__(self) -> str:
        rows = [f"<Bundle {self.path!r}, {self.size_bytes / 1e6:.1f} MB"]
        rows += [f"  {name:<12} {size / 1e6:9.1f} MB" for name, size in self.parts.items()]
        return "\n".join(rows) + ">"


def _opened_libraries() -> list[Path]:
    """The files of TensorFlow that a process opens: those that this one has."""
    _tensorflow.locate()
    _core.open_tensorflow()
    lines = Path("/proc/self/maps").read_text().splitlines()
    found = {line.split(maxsplit=5)[5] for line in lines if "/libtensorflow_" in line}
    return sorted(map(Path, found))


def _own_files(native_only: bool) -> Iterator[tuple[Path, PurePath]]:
    root = Path(_core.__file__).resolve().parent
    if root != Path(__file__).resolve().parent:
        raise FailedPreconditionError("savedmodel is installed in editable mode; install it without -e first")
    for file in sorted((root / "lib").glob("*.so*")) if native_only else sorted(root.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file, PurePath("savedmodel", file.relative_to(root))


def _package_files(name: str) -> Iterator[tuple[Path, PurePath]]:
    try:
        listed = importlib.metadata.files(name)
    except importlib.metadata.PackageNotFoundError:
        listed = None
    if listed is None:
        raise NotFoundError(f"the package {name!r} is not installed, or its files are not on record")
    for file in listed:
        parts = set(file.parts)
        if ".." not in parts and not parts & _DEVELOPMENT and file.suffix not in (".pyi", ".pyc"):
            yield Path(str(file.locate())), PurePath(file)


def _linked(source: str, target: str) -> None:
    """Make a hard link, or a copy where the file system has none."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


def _put(files: Iterable[tuple[Path, PurePath]], folder: Path, copy: Callable[[str, str], object]) -> None:
    for file, name in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(str(file), str(target))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def bundle(
    source: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    python: bool = True,
    packages: Iterable[str] = (),
    link: bool = False,
) -> Bundle:
    """Write a folder with a SavedModel and all that runs it, but for Python itself and the C library.

    `directory/model` is the SavedModel. `directory/site` has savedmodel, the two libraries of TensorFlow that
    it opens, NumPy and ml_dtypes: run Python, of the same minor version, with it as PYTHONPATH. A C++ program
    finds `site/savedmodel/lib` by LD_LIBRARY_PATH or its run path. The folder may be moved. The machine needs
    a C library and a libstdc++ as new as this one's.

    directory: must not exist (AlreadyExistsError), nor lie in the model (ValueError); it appears whole or not
        at all.
    python: False leaves out everything but the shared libraries, for C++ programs.
    packages: more installed packages, without what these depend on, such as "click" and "rich".
    link: make hard links where the file system can. The files must not be changed then.

    Raises what `inspect` raises; NotFoundError for a package that is not installed; FailedPreconditionError
    for an editable install.
    """
    model, target = local_path(source), local_path(directory)
    inspect(model)
    if os.path.lexists(target):
        raise AlreadyExistsError(f"{str(target)!r} exists already")
    copy = _linked if link else shutil.copy2
    parts = {
        "savedmodel": _own_files(native_only=not python),
        "tensorflow": [(file, PurePath("tensorflow", file.name)) for file in _opened_libraries()],
        **({name: _package_files(name) for name in (*PACKAGES, *packages)} if python else {}),
    }
    with staged(target, sources=[model]) as stage:
        shutil.copytree(model, stage / "model", copy_function=copy)
        sizes = {"model": _size(stage)}
        for name, files in parts.items():
            _put(files, stage / "site", copy)
            sizes[name] = _size(stage) - sum(sizes.values())
    return Bundle(str(target), sum(sizes.values()), sizes)
