# SPDX-License-Identifier: Apache-2.0
"""A new version: copied to a temporary sibling, made durable, tried, and renamed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from savedmodel import _core
from savedmodel._core import (
    AbortedError,
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from savedmodel._inspect import file_system_path
from savedmodel._publish import files, inventory, layout, manifest
from savedmodel._publish.layout import FolderLock
from savedmodel._publish.manifest import Manifest
from savedmodel._publish.trial import try_load


@dataclass(frozen=True)
class Published:
    """A version that a server can take."""

    version: int
    path: str
    size_bytes: int
    fingerprint: str
    """SHA-256 of all names and contents."""
    seconds: float
    """From the call to the rename."""
    unusable: Mapping[str, str]
    """By signature, why it can't be run, if it can't."""
    withdrawn: tuple[int, ...]
    """The versions that a rollback replaced."""


@dataclass(frozen=True)
class _Order:
    source: Path
    folder: Path
    version: int | None
    verify: bool
    timeout: float
    load_options: dict[str, Any]
    rollback_from: int | None = None
    """The newest version, which must be so still when this one gets its number."""
    withdraws: tuple[int, ...] = ()


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A new temporary folder, locked while it is there; removed, unless it was renamed."""
    stage = folder / layout.temporary_name(layout.NEW)
    with FolderLock(folder):  # a sweep would remove it between the next two lines
        stage.mkdir()
        lock = FolderLock(stage, shared=True, wait=False)  # shared, for watchers take such a lock at once
    try:
        yield stage
    finally:
        files.remove(stage)
        lock.close()


def _fill(stage: Path, source: Path, take: Callable[[Path, Path], str]) -> dict[str, tuple[int, str]]:
    """Take the files over, with their checksums; all is on the disk afterwards."""
    before = files.list_files(source)
    if not any(name in before for name in layout.SAVED_MODEL):
        raise NotFoundError(f"{str(source)!r} is not a SavedModel: it has no {', '.join(layout.SAVED_MODEL)}")
    taken = {}
    for name, (size, _, _) in before.items():
        if name != manifest.NAME:  # of an earlier publication
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            taken[name] = size, take(source / name, stage / name)
    # Loaders take a folder without variables for one that was not copied to its end.
    for empty in ("variables", "assets"):
        if (source / empty).is_dir():
            (stage / empty).mkdir(exist_ok=True)
    if _names_and_times(files.list_files(source)) != _names_and_times(before):
        raise AbortedError(f"{str(source)!r} was changed while it was copied")
    (stage / manifest.NAME).parent.mkdir(exist_ok=True)
    files.sync_folders(stage)
    return taken


def _names_and_times(listed: dict[str, files.Stamp]) -> dict[str, tuple[int, int]]:
    return {name: (size, changed) for name, (size, changed, _) in listed.items()}


def _enter(stage: Path, order: _Order) -> int:
    """Give it a number, the next one unless one was asked for; from here on, servers see it."""
    with FolderLock(order.folder):
        while True:
            newest = max(layout.list_versions(order.folder), default=None)
            if order.rollback_from is not None and newest != order.rollback_from:
                raise AbortedError(
                    f"version {newest} was published during the rollback from {order.rollback_from}"
                )
            version = order.version if order.version is not None else 1 if newest is None else newest + 1
            try:
                files.rename_new(stage, order.folder / str(version))
            except FileExistsError:
                if order.version is not None:
                    raise _exists(order) from None
                continue  # another host's
            files.sync(order.folder)
            return version


def _exists(order: _Order) -> AlreadyExistsError:
    return AlreadyExistsError(f"version {order.version} of {str(order.folder)!r} exists already")


def _publish(order: _Order) -> Published:
    started = time.monotonic()
    files.make_folder(order.folder)
    with _staging(order.folder) as stage:
        take = files.copy if order.rollback_from is None else files.link
        listed = _fill(stage, order.source, take)
        if order.rollback_from is not None:
            _check_source(order.source, listed)
        unusable = _try(stage, order) if order.verify else {}
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
        unusable=unusable,
        withdrawn=order.withdraws,
    )


def _try(stage: Path, order: _Order) -> dict[str, str]:
    try:
        unusable: dict[str, str] = try_load(stage, order.load_options, order.timeout)["unusable"]
    except (_core.Error, ValueError) as error:  # the copy is gone when its name is read
        raise type(error)(str(error).replace(str(stage), str(order.source))) from None
    return unusable


def _check_source(source: Path, listed: dict[str, tuple[int, str]]) -> None:
    """A version is not brought back damaged."""
    expected = Manifest.read(source)
    if expected is not None and dict(expected.files) != listed:
        wrong = sorted({*expected.files.items()} ^ {*listed.items()})[0][0]
        raise DataLossError(f"{str(source)!r} is not what was published: {wrong} differs from the manifest")


def _check_timeout(timeout: float) -> None:
    if not 0 < timeout < float("inf"):
        raise ValueError(f"timeout is a positive number of seconds: {timeout!r}")


def publish(
    source: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    version: int | None = None,
    verify: bool = True,
    timeout: float = 600.0,
    **load_options: Any,
) -> Published:
    """Publish a SavedModel as a new version of a model, in TensorFlow Serving's layout `directory/<integer>`.

    It is copied to a temporary sibling that no server takes for a version, written to the disk, loaded in a
    process of its own, given a manifest (`assets.extra/savedmodel_manifest.json`: a checksum of each file,
    when, from where) and renamed. Who lists the directory sees all of it or nothing, also after a crash.

    source: a SavedModel, which stays as it is; links are followed. directory: made if it does not exist.
    version: 0 or more; None is one more than the highest, or 1. An existing one is never overwritten.
    verify: load it first, and make its signatures ready, within `timeout` seconds. It fails if the default
        signature, or every one, can't be made ready; `Published.unusable` has the others.
    load_options: of that load, as `load` has them. Without `tags`, the MetaGraph is that of "serve", or the
        only one.

    Nothing is published where it raises: what the load raises; AlreadyExistsError (the version),
    NotFoundError (no SavedModel), AbortedError (the source was changed meanwhile), DeadlineExceededError,
    OSError (a full disk).
    """
    _check_timeout(timeout)
    if version is not None and not 0 <= version < 2**63:
        raise ValueError(f"version is 0 to 2**63 - 1: {version!r}")
    order = _Order(
        source=Path(file_system_path(source)),
        folder=Path(file_system_path(directory)),
        version=version,
        verify=verify,
        timeout=timeout,
        load_options=load_options,
    )
    if not order.source.is_dir():
        raise NotFoundError(f"no such directory: {str(order.source)!r}")
    if order.folder == order.source or order.source in order.folder.parents:
        raise InvalidArgumentError(f"{str(order.folder)!r} lies in the model to be published")
    if version is not None and (order.folder / str(version)).exists():
        raise _exists(order)
    return _publish(order)


def rollback(
    directory: str | os.PathLike[str],
    to: int | None = None,
    *,
    verify: bool = True,
    timeout: float = 600.0,
    **load_options: Any,
) -> Published:
    """Publish an older version again, under a new highest number.

    The number that is served only ever grows: servers and watchers switch as they do to any other version,
    and no number means two models. The files are hard links: they take no space. The versions above `to` are
    withdrawn: `versions` says so, and no later rollback chooses them by itself.

    to: the version to bring back; None is the newest good one whose files are neither those of the newest
    version nor of a withdrawn one. verify, timeout, load_options: as in `publish`.

    Raises NotFoundError (there is no such version, or none to go back to), FailedPreconditionError (it is
    incomplete), DataLossError (it is not what was published), AbortedError (another version was published
    meanwhile), and what `publish` raises.
    """
    _check_timeout(timeout)
    listed = inventory.versions(directory)
    if not listed:
        raise NotFoundError(f"{str(directory)!r} has no versions")
    newest = listed[-1]
    chosen = _target(listed, to)
    return _publish(
        _Order(
            source=Path(chosen.path),
            folder=Path(chosen.path).parent,
            version=None,
            verify=verify,
            timeout=timeout,
            load_options=load_options,
            rollback_from=newest.version,
            withdraws=tuple(one.version for one in listed if one.version > chosen.version),
        )
    )


def _target(listed: list[inventory.Version], to: int | None) -> inventory.Version:
    known = ", ".join(str(one.version) for one in listed)
    newest = listed[-1]
    if to is None:
        left = [one for one in listed if one.state == "withdrawn" or one is newest]
        bad = ({one.fingerprint for one in left} | {one.source for one in left}) - {None}
        for one in reversed(listed[:-1]):
            if one.state in ("good", "no manifest") and not {one.fingerprint, one.path} & bad:
                return one
        raise NotFoundError(f"there is no version to go back to from {newest.version}; there are: {known}")
    for one in listed:
        if one.version == to:
            if one.problem:
                raise FailedPreconditionError(f"version {to} is no version to go back to: {one.problem}")
            if one is newest:
                raise InvalidArgumentError(f"version {to} is the newest one already")
            return one
    raise NotFoundError(f"no version {to}; there are: {known}")
