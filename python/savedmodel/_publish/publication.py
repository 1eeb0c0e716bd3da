# SPDX-License-Identifier: Apache-2.0
"""The steps of a publication: copy to a temporary sibling, make durable, load once, rename."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from savedmodel import _core
from savedmodel._core import (
    AbortedError,
    AlreadyExistsError,
    DataLossError,
)
from savedmodel._load_arguments import PublishArguments
from savedmodel._publish import files, layout, manifest
from savedmodel._publish.layout import FolderLock
from savedmodel._publish.manifest import Manifest
from savedmodel._publish.trial import try_load
from savedmodel._rename import rename_new


@dataclass(frozen=True)
class Published:
    """A version that a server can take."""

    version: int
    path: str
    size_bytes: int
    fingerprint: str
    """SHA-256 of all names and contents."""
    seconds: float
    """From the call to the rename, in seconds."""
    warmup_requests: int
    """The number of replayed warm-up requests."""
    unusable: Mapping[str, str]
    """For each signature that can't be run, the reason."""
    withdrawn: tuple[int, ...]
    """The versions that a rollback replaced."""


@dataclass(frozen=True)
class Order:
    """A publication to carry out."""

    source: Path
    folder: Path
    version: int | None
    verify: bool
    timeout: float
    load_options: PublishArguments
    rollback_from: int | None = None
    """The newest version at the start; it must still be so when this one gets its number."""
    withdraws: tuple[int, ...] = ()


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make the model's folder; take it away again if the publication fails and nothing is in it."""
    made = files.make_folder(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for empty in made:
                empty.rmdir()
        raise


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A new temporary folder, locked while it exists; removed, unless it was renamed."""
    stage = folder / layout.temporary_name(layout.NEW)
    with FolderLock(folder):  # a sweep would remove it between the next two lines
        stage.mkdir()
        lock = FolderLock(stage, shared=True, wait=False)  # shared, because watchers take such a lock at once
    try:
        yield stage
    finally:
        files.remove(stage)
        lock.close()


def _fill(stage: Path, source: Path, take: Callable[[Path, Path], str]) -> dict[str, tuple[int, str]]:
    """Copy the files with their checksums, and flush them to disk."""
    before = files.list_files(source)
    taken = {}
    for name, (size, _, _) in before.items():
        if name != manifest.NAME:  # the manifest of an earlier publication is not copied
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            taken[name] = size, take(source / name, stage / name)
    # Loaders take a folder without variables for an incomplete copy.
    for empty in ("variables", "assets"):
        if (source / empty).is_dir():
            (stage / empty).mkdir(exist_ok=True)
    if _names_and_times(files.list_files(source)) != _names_and_times(before):
        raise AbortedError(f"{str(source)!r} was changed while it was copied")
    (stage / manifest.NAME).parent.mkdir(exist_ok=True)
    return taken


def _names_and_times(listed: dict[str, files.Stamp]) -> dict[str, tuple[int, int]]:
    return {name: (size, changed) for name, (size, changed, _) in listed.items()}


def _enter(stage: Path, order: Order) -> int:
    """Give it its number, by default the next one. From here on, servers see it."""
    with FolderLock(order.folder):
        newest = max(layout.list_versions(order.folder), default=0)
        if order.rollback_from is not None and newest != order.rollback_from:
            raise AbortedError(
                f"version {newest} was published during the rollback from {order.rollback_from}"
            )
        version = newest + 1 if order.version is None else order.version
        while True:
            try:
                rename_new(stage, order.folder / str(version))
            except FileExistsError:  # from another host, or a file
                if order.version is not None:
                    raise exists_already(order.folder, version) from None
                version += 1
                continue
            files.sync(order.folder)
            return version


def exists_already(folder: Path, version: int) -> AlreadyExistsError:
    return AlreadyExistsError(f"version {version} of {str(folder)!r} exists already")


def carry_out(order: Order) -> Published:
    """Publish it, or raise and leave nothing behind."""
    started = time.monotonic()
    with _folder(order.folder), _staging(order.folder) as stage:
        take = files.copy if order.rollback_from is None else files.link
        listed = _fill(stage, order.source, take)
        if order.rollback_from is not None:
            _check_source(order.source, listed)
        found: dict[str, Any] = _try(stage, order) if order.verify else {"warmed_up": 0, "unusable": {}}
        about = Manifest(
            files=listed,
            published=datetime.now(timezone.utc).replace(microsecond=0),
            source=str(order.source),
            host=socket.gethostname(),
            savedmodel=_core.__version__,
            verified=order.verify,
            withdraws=order.withdraws,
        )
        content = about.to_json()
        files.write(stage / manifest.NAME, content)
        files.sync_folders(stage)
        version = _enter(stage, order)
    return Published(
        version=version,
        path=str(order.folder / str(version)),
        size_bytes=sum(size for size, _ in listed.values()) + len(content),
        fingerprint=about.fingerprint,
        seconds=time.monotonic() - started,
        warmup_requests=found["warmed_up"],
        unusable=found["unusable"],
        withdrawn=order.withdraws,
    )


def _try(stage: Path, order: Order) -> dict[str, Any]:
    try:
        return try_load(stage, order.load_options, order.timeout)
    except (_core.Error, ValueError) as error:  # errors would name the copy, which no longer exists
        raise type(error)(str(error).replace(str(stage), str(order.source))) from None


def _check_source(source: Path, listed: dict[str, tuple[int, str]]) -> None:
    """Check that a version to be published again is undamaged."""
    expected = Manifest.read(source)
    if expected is not None and dict(expected.files) != listed:
        wrong = sorted({*expected.files.items()} ^ {*listed.items()})[0][0]
        raise DataLossError(f"{str(source)!r} is not what was published: {wrong} differs from the manifest")
