# SPDX-License-Identifier: Apache-2.0
"""Describes a SavedModel without making a session or reading weights."""

from __future__ import annotations

import os
from pathlib import Path

from savedmodel import _core, _tensorflow
from savedmodel._core import Inspection
from savedmodel._core import MetaGraphInfo as MetaGraph

__all__ = ["Inspection", "MetaGraph", "inspect"]


def file_system_path(path: str | os.PathLike[str]) -> str:
    """The path as an absolute str.

    Raises TypeError for what is no path, ValueError for a NUL, where parts of TensorFlow would truncate it,
    and for bytes that are not UTF-8.
    """
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"expected a path, a str or os.PathLike, got {type(path).__name__}") from None
    if "\0" in text:
        raise ValueError(f"embedded null character in the path {text!r}")
    # A model finds its files even after the working directory has changed.
    full = text if "://" in text or not text else os.path.abspath(text)
    try:
        full.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"the path {os.fsencode(full)!r} is not UTF-8; rename it, or use a symbolic link to it"
        ) from None
    return full


def local_path(path: str | os.PathLike[str]) -> Path:
    """The same for a path of this machine. Raises ValueError for another file system."""
    full = file_system_path(path)
    if "://" in full:
        raise ValueError(f"versions of models must be in a directory of this machine, got {full!r}")
    return Path(full)


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Read a SavedModel's tag sets, signatures, ops, fingerprint, assets and sizes.

    Signatures are shown as written in the file; a loaded model shows them as its graph defines them. Raises
    NotFoundError, DataLossError or OutOfRangeError if `path` holds no readable SavedModel.
    """
    _tensorflow.locate()
    return _core.inspect(file_system_path(path))
