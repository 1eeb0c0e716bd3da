# SPDX-License-Identifier: Apache-2.0
"""publish() and rollback(): check the arguments and preconditions."""

from __future__ import annotations

import os
from pathlib import Path

from savedmodel._core import AbortedError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from savedmodel._inspect import local_path
from savedmodel._load_arguments import PublishArguments, Unpack
from savedmodel._publish import inventory, layout
from savedmodel._publish.publication import Order, Published, carry_out, exists_already


def _check_timeout(timeout: float) -> None:
    if not 0 < timeout < float("inf"):
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout!r}")


def publish(
    source: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    version: int | None = None,
    verify: bool = True,
    timeout: float = 600.0,
    **load_options: Unpack[PublishArguments],
) -> Published:
    """Publish a SavedModel as a new version of a model, in TensorFlow Serving's layout `directory/<integer>`.

    It is copied to a temporary sibling that no server takes for a version, flushed to disk, loaded in a
    separate process, given a manifest (`assets.extra/savedmodel_manifest.json`: a checksum of each file, the
    time, the source) and renamed. Readers of the directory see all of it or nothing, even after a crash.

    source: a SavedModel, which stays unchanged; links are followed.
    directory: created if it does not exist.
    version: 0 or more; None is one more than the highest, or 1. An existing one is never overwritten.
    verify: load it first, replay its warm-up requests, and make its signatures ready, within `timeout`
        seconds. This fails if a request fails, or if the default signature, or every one, can't be made
        ready; `Published.unusable` lists the others.
    load_options: of that load, as in `load`. Without `tags`, the MetaGraph is "serve", or the only one.

    If it raises, nothing is published. It raises what the load raises; AlreadyExistsError (the version),
    NotFoundError (no SavedModel), AbortedError (the source was changed meanwhile), DeadlineExceededError,
    OSError (a full disk). One exception: if not even a folder's names can be written to disk any more (EIO),
    the version may be there, and be lost with a power failure.
    """
    _check_timeout(timeout)
    if version is not None and not 0 <= version < 2**63:
        raise ValueError(f"version must be 0 to 2**63 - 1, got {version!r}")
    order = Order(
        source=local_path(source),
        folder=local_path(directory),
        version=version,
        verify=verify,
        timeout=timeout,
        load_options=load_options,
    )
    if not order.source.is_dir():
        raise NotFoundError(f"no such directory: {str(order.source)!r}")
    if not layout.is_saved_model(order.source):
        names = ", ".join(layout.SAVED_MODEL)
        inner = layout.list_versions(order.source)
        hint = f"; did you mean {str(order.source / str(max(inner)))!r}?" if inner else ""
        raise NotFoundError(f"{str(order.source)!r} is not a SavedModel: it has no {names}{hint}")
    if order.folder == order.source or order.source in order.folder.parents:
        raise InvalidArgumentError(f"{str(order.folder)!r} lies in the model to be published")
    if version is not None and (order.folder / str(version)).exists():
        raise exists_already(order.folder, version)
    return carry_out(order)


def rollback(
    directory: str | os.PathLike[str],
    to: int | None = None,
    *,
    verify: bool = True,
    timeout: float = 600.0,
    **load_options: Unpack[PublishArguments],
) -> Published:
    """Publish an older version again, under a new highest number.

    The served number only increases: servers and watchers switch to it as to any other version, and no number
    means two models. The files are hard links, which take no space. The versions above `to` are withdrawn:
    `versions` shows it, and no later rollback chooses them by default.

    to: the version to bring back. None is the newest good one whose files are neither those of the newest
        version nor of a withdrawn one.
    verify, timeout, load_options: as in `publish`.

    Raises NotFoundError (there is no such version, or none to go back to), FailedPreconditionError (it is
    incomplete), DataLossError (it is not what was published), AbortedError (meanwhile another version was
    published, or this one removed), and what `publish` raises.
    """
    _check_timeout(timeout)
    listed = inventory.versions(directory)
    if not listed:
        raise NotFoundError(f"{str(directory)!r} has no versions")
    newest = listed[-1]
    chosen = _target(listed, to)
    order = Order(
        source=Path(chosen.path),
        folder=Path(chosen.path).parent,
        version=None,
        verify=verify,
        timeout=timeout,
        load_options=load_options,
        rollback_from=newest.version,
        withdraws=tuple(one.version for one in listed if one.version > chosen.version),
    )
    lock = layout.hold(order.source)  # held because its files are linked until the last one is
    if lock is None:
        raise AbortedError(f"version {chosen.version} was removed meanwhile")
    with lock:
        return carry_out(order)


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
