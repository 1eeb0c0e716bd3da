# SPDX-License-Identifier: Apache-2.0
"""Names and locks in a model's folder.

A server treats folders whose names are integers as versions, and serves the highest. savedmodel's own names
begin with a dot. Locks are flocks of folders: they end with their process, need no file, and need no
permission to write.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from savedmodel._core import NotFoundError

NEW = ".new-"  # being published
REMOVED = ".removed-"  # being removed
SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")

_MAX_VERSION = 2**63 - 1


def version_of(name: str) -> int | None:
    """The version number of a folder of this name, as a server reads it."""
    if not (name.isascii() and name.isdigit()) or len(name) > 64:
        return None
    version = int(name)
    return version if version <= _MAX_VERSION else None


def list_versions(folder: Path) -> dict[int, Path]:
    """The version folders, whatever they contain, in ascending order. Raises NotFoundError."""
    found: dict[int, Path] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                version = version_of(entry.name)
                # "7" takes precedence over "007".
                if version is not None and entry.is_dir() and (version not in found or entry.name[0] != "0"):
                    found[version] = folder / entry.name
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"no such directory: {str(folder)!r}") from None
    return dict(sorted(found.items()))


def list_temporary(folder: Path) -> list[Path]:
    """The folders of unfinished and of active publications and removals."""
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if entry.name.startswith((NEW, REMOVED)))


def temporary_name(prefix: str) -> str:
    """A name that no server takes for a version."""
    return prefix + secrets.token_hex(8)


def is_saved_model(folder: Path) -> bool:
    """True if the file that every SavedModel has exists."""
    return any((folder / name).is_file() for name in SAVED_MODEL)


class FolderLock:
    """A flock of a folder, held until `close` or the end of the process."""

    def __init__(self, path: Path, *, shared: bool = False, wait: bool = True) -> None:
        """Raises BlockingIOError if it is locked and `wait` is false; OSError if it does not exist."""
        self._pid = os.getpid()
        self._file = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(self._file, kind if wait else kind | fcntl.LOCK_NB)
        except BaseException:
            self.close()
            raise

    def is_at(self, path: Path) -> bool:
        """True if the folder still has that path."""
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(path))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        file, self._file = self._file, -1
        if file < 0:
            return
        if self._pid == os.getpid():  # a process forked meanwhile still has the file open
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.close()


def hold(path: Path) -> FolderLock | None:
    """Keep a version from being removed by this host; None if it is gone, or being removed."""
    try:
        lock = FolderLock(path, shared=True, wait=False)
    except (BlockingIOError, FileNotFoundError, NotADirectoryError):
        return None
    if lock.is_at(path):
        return lock
    lock.close()
    return None
