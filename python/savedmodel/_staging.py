# SPDX-License-Identifier: Apache-2.0
"""Writes a folder so that it appears as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from savedmodel._core import AlreadyExistsError
from savedmodel._rename import exchange, rename_new

_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")


def check_destination(dst: Path, *, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Raise AlreadyExistsError or ValueError if nothing may be written there."""
    for source in sources:
        real, target = source.resolve(), dst.resolve()
        if target == real or (real.is_dir() and real in target.parents):
            raise ValueError(f"{dst} lies inside its source {source}")
        if overwrite and target in real.parents:
            raise ValueError(f"{dst} holds its source {source}: it is not replaced")
    if not os.path.lexists(dst):
        return
    if not overwrite:
        raise AlreadyExistsError(f"{dst} exists already; overwrite=True (--overwrite) replaces it")
    if dst.is_symlink():
        raise AlreadyExistsError(f"{dst} is a symbolic link: it is not replaced")
    if not (dst.is_dir() and any((dst / name).exists() for name in _MODEL_FILES)):
        raise AlreadyExistsError(f"{dst} exists and is not a SavedModel: it is not replaced")


@contextlib.contextmanager
def staged(dst: Path, *, overwrite: bool = False, sources: Iterable[Path] = ()) -> Iterator[Path]:
    """A folder to write to, renamed to `dst` when the block ends without an error.

    It is beside `dst`, under a name that begins with a dot; missing parents of `dst` are created. Its files
    are on disk before it is renamed. A killed process leaves that folder, and nothing at `dst`.
    """
    check_destination(dst, overwrite=overwrite, sources=sources)
    made = _make_parents(dst.parent)
    try:
        # Not mkdtemp, whose folder only its owner can read.
        folder = dst.parent / f".{_cut(dst.name)}.{secrets.token_hex(4)}.partial"
        folder.mkdir()
        try:
            yield folder
            _flush(folder)
            _rename(folder, dst, overwrite=overwrite)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except BaseException:
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _cut(name: str) -> str:
    """The beginning of a name, short enough for an addition: file systems allow 255 bytes."""
    return os.fsencode(name)[:200].decode(errors="ignore")


def _make_parents(folder: Path) -> list[Path]:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return list(reversed(missing))


def _flush(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _rename(folder: Path, dst: Path, *, overwrite: bool) -> None:
    try:
        rename_new(folder, dst)
    except FileExistsError:
        if not overwrite:
            raise AlreadyExistsError(f"{dst} was created in the meantime") from None
        check_destination(dst, overwrite=True)
        exchange(folder, dst)
        shutil.rmtree(folder, ignore_errors=True)  # the former contents of `dst`
    descriptor = os.open(dst.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
