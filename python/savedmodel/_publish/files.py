# SPDX-License-Identifier: Apache-2.0
"""Files of a folder: lists them, copies them with checksums, makes them durable, removes them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHUNK = 1 << 20  # bytes
_MAX_DEPTH = 32  # a link may form a cycle
_NO_LINKS = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)

Stamp = tuple[int, int, int]
"""Size in bytes, time of the last change in ns, inode."""


def list_files(folder: Path) -> dict[str, Stamp]:
    """The files below a folder by relative name; follows links. Raises ValueError for anything that is not
    a file."""
    return dict(sorted(_walk(folder, "", 0)))


def _walk(folder: Path, below: str, depth: int) -> Iterator[tuple[str, Stamp]]:
    if depth > _MAX_DEPTH:
        raise ValueError(f"{str(folder / below)!r} is {depth} folders deep; does a link lead back?")
    with os.scandir(folder / below) as entries:
        for entry in entries:
            name = below + entry.name
            about = entry.stat()
            if stat.S_ISDIR(about.st_mode):
                yield from _walk(folder, name + "/", depth + 1)
            elif stat.S_ISREG(about.st_mode):
                yield name, (about.st_size, about.st_mtime_ns, about.st_ino)
            else:
                raise ValueError(f"{str(folder / name)!r} is neither a file nor a folder")


def sha256(file: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in _read(file):
        digest.update(chunk)
    return digest.hexdigest()


def copy(source: Path, target: Path) -> str:
    """Copy a file to a new one on disk. Returns the checksum of the bytes that were read."""
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        for chunk in _read(source):
            digest.update(chunk)
            yield chunk

    _write(target, chunks())
    return digest.hexdigest()


def write(target: Path, content: bytes) -> None:
    """Write a new file to disk."""
    _write(target, [content])


def _read(source: Path) -> Iterator[bytes]:
    with open(source, "rb", buffering=0) as reader:
        while True:
            with _naming(source):
                chunk = reader.read(_CHUNK)
            if not chunk:
                return
            yield chunk


def _write(target: Path, chunks: Iterable[bytes]) -> None:
    with open(target, "xb", buffering=0) as writer:
        for chunk in chunks:
            left = memoryview(chunk)
            with _naming(target):
                while left:  # a write may be partial
                    left = left[writer.write(left) :]
        with _naming(target):
            os.fsync(writer.fileno())


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Add the file's name to errors of a read or a write, such as a full disk."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None


def link(source: Path, target: Path) -> str:
    """Link a file, or copy it if the file system has no links. Returns its checksum."""
    try:
        os.link(os.path.realpath(source), target)  # else the link itself would be linked
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return copy(source, target)
    sync(target)
    return sha256(target)


def sync(path: Path) -> None:
    """Flush a file, or a folder's names, to disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_folders(root: Path) -> None:
    """Flush a folder and all folders below it."""
    for folder, _, _ in os.walk(root, topdown=False):
        sync(Path(folder))


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and its parents durably, so that they survive a crash. Returns those made, inner ones
    first."""
    missing = []
    above = folder
    while not above.exists():
        missing.append(above)
        above = above.parent
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync(made.parent)
    return missing


def remove(folder: Path) -> None:
    """Remove a folder as far as possible; for a link to a folder, only the link."""
    if folder.is_symlink():
        with contextlib.suppress(OSError):
            folder.unlink()
        return
    for current, folders, files in os.walk(folder, topdown=False):
        for name in files:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(current, name))
        for name in folders:
            path = os.path.join(current, name)
            with contextlib.suppress(OSError):
                os.unlink(path) if os.path.islink(path) else os.rmdir(path)
    with contextlib.suppress(OSError):
        os.rmdir(folder)
