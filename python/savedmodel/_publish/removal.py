# SPDX-License-Identifier: Apache-2.0
"""Removes old versions, and the remains of unfinished publications."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from savedmodel._core import NotFoundError
from savedmodel._inspect import local_path
from savedmodel._publish import files, inventory, layout
from savedmodel._publish.layout import FolderLock


@dataclass(frozen=True)
class Removal:
    """What was removed, or would be."""

    removed: tuple[int, ...]
    """Versions."""
    in_use: tuple[int, ...]
    """Versions kept because a watcher of this host holds them, or because they withdraw one of these."""
    temporary: tuple[str, ...]
    """Names of the remains of unfinished publications and removals."""
    size_bytes: int
    """Size of the versions; less is freed if a rollback shares their files."""


def _to_remove(listed: list[inventory.Version], keep: int) -> list[inventory.Version]:
    usable = [one for one in listed if one.state in ("good", "no manifest")]
    oldest_kept = usable[-keep:][0].version if usable else 0
    good = [one.version for one in listed if one.state == "good"]
    return [one for one in listed if one.version < oldest_kept and one.version not in good[-1:]]


def remove_old_versions(
    directory: str | os.PathLike[str], *, keep: int = 3, dry_run: bool = False
) -> Removal:
    """Remove the versions below the `keep` newest good ones, and the remains of unfinished publications.

    Versions without a manifest count as good. The newest one with all files of its manifest stays whatever
    its number. Versions that a process of this host publishes or watches stay, and with a withdrawn one the
    version that withdraws it. Other readers hold no lock: keep enough for a server that is still loading one.
    dry_run: only report what would be removed.

    Raises NotFoundError if there is no such directory.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}")
    folder = local_path(directory)
    if not folder.is_dir():
        raise NotFoundError(f"no such directory: {str(folder)!r}")
    removed: list[int] = []
    in_use: list[int] = []
    temporary: list[str] = []
    size_bytes = 0
    doomed: list[tuple[Path, FolderLock]] = []
    try:
        with FolderLock(folder):
            for path in layout.list_temporary(folder):
                if lock := _take(path):
                    temporary.append(path.name)
                    doomed.append((path, lock))
            listed = inventory.versions(folder)
            to_remove = _to_remove(listed, keep)
            staying = {one.version for one in listed} - {one.version for one in to_remove}
            for one in to_remove:
                path = Path(one.path)
                # Without the version that withdraws it, a known bad version would count as good again.
                needed = one.state != "withdrawn" and not staying.isdisjoint(one.withdraws)
                lock = None if needed else _take(path)
                if lock is None:
                    in_use.append(one.version)
                    staying.add(one.version)
                    continue
                removed.append(one.version)
                size_bytes += one.size_bytes
                # vanishes at once for all readers of the folder, even if this process ends now
                if not dry_run:
                    aside = folder / layout.temporary_name(f"{layout.REMOVED}{one.version}-")
                    os.rename(path, aside)
                    path = aside
                doomed.append((path, lock))
        if not dry_run:
            for path, _ in doomed:
                files.remove(path)
    finally:
        for _, lock in doomed:
            lock.close()
    return Removal(tuple(removed), tuple(in_use), tuple(temporary), size_bytes)


def _take(path: Path) -> FolderLock | None:
    """Lock it, unless someone else holds it."""
    try:
        return FolderLock(path, wait=False)
    except (BlockingIOError, FileNotFoundError, NotADirectoryError):
        return None
