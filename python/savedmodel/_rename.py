# SPDX-License-Identifier: Apache-2.0
"""Renames of folders that never overwrite: to a free name, or in exchange."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2


def rename_new(source: Path, target: Path) -> None:
    """Rename a folder. Raises FileExistsError if the target exists, even as an empty folder."""
    if _renameat2(source, target, _RENAME_NOREPLACE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        os.rename(source, target)  # this may replace an empty folder, but nothing else
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None


def exchange(a: Path, b: Path) -> None:
    """Swap two folders' names, in one step if the file system supports it."""
    if _renameat2(a, b, _RENAME_EXCHANGE):
        return
    old = a.with_name(a.name + ".old")
    os.rename(b, old)
    try:
        os.rename(a, b)
    except OSError:
        os.rename(old, b)
        raise
    os.rename(old, a)


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """Returns False if the system or the file system has no such call. Raises OSError."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # only on Linux
    if function is None:
        return False
    names = os.fsencode(source), os.fsencode(target)
    if function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(flags)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))
