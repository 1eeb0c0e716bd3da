# SPDX-License-Identifier: Apache-2.0
"""Lists versions, and compares them with their manifests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from savedmodel._core import FailedPreconditionError, NotFoundError
from savedmodel._inspect import local_path
from savedmodel._publish import files, layout, manifest
from savedmodel._publish.manifest import Manifest, ManifestError

State = Literal["good", "withdrawn", "no manifest", "broken manifest", "incomplete"]


@dataclass(frozen=True)
class Version:
    """One version of a published model."""

    version: int
    path: str
    state: State
    """"good": the manifest's files are there, with their sizes. "no manifest": not published by
    savedmodel. "withdrawn": either of these, but a rollback replaced it. "broken manifest"; "incomplete"."""
    problem: str
    """Why it is "incomplete" or has a "broken manifest"; else empty."""
    size_bytes: int
    published: datetime | None
    """UTC; this and the next two are None without a readable manifest."""
    source: str | None
    """The folder that was published."""
    fingerprint: str | None
    """SHA-256 of all names and contents: equal for equal files."""
    withdraws: tuple[int, ...] = ()
    """The versions that this one, made by a rollback, replaced."""


@dataclass(frozen=True)
class Problem:
    """A file that differs from the manifest."""

    file: str
    """Its relative name; "." is the version's folder."""
    what: str
    """"changed", "missing", "added", or why it, or the manifest, can't be read."""


def _size_problems(expected: Manifest, found: dict[str, files.Stamp]) -> Iterator[Problem]:
    for name in sorted({*expected.files, *found} - {manifest.NAME}):
        if name not in found:
            yield Problem(name, "missing")
        elif name not in expected.files:
            yield Problem(name, "added")
        elif expected.files[name][0] != found[name][0]:
            yield Problem(name, "changed")


def _look_at(version: int, path: Path) -> Version:
    """Describe one version. Only a later version records whether this one was withdrawn."""
    found: dict[str, files.Stamp] = {}
    expected = None
    state: State = "good"
    problem = ""
    try:
        expected = Manifest.read(path)
    except ManifestError as error:
        state, problem = "broken manifest", str(error)
    try:
        found = files.list_files(path)
    except (OSError, ValueError) as error:
        state, problem = "incomplete", str(error)
    if state == "good":
        if not any(name in found for name in layout.SAVED_MODEL):
            state, problem = "incomplete", "there is no saved_model.pb"
        elif expected is None:
            state = "no manifest"
        elif first := next(_size_problems(expected, found), None):
            state, problem = "incomplete", f"{first.file}: {first.what}"
    return Version(
        version=version,
        path=str(path),
        state=state,
        problem=problem,
        size_bytes=sum(size for size, _, _ in found.values()),
        published=expected.published if expected else None,
        source=expected.source if expected else None,
        fingerprint=expected.fingerprint if expected else None,
        withdraws=expected.withdraws if expected else (),
    )


def versions(directory: str | os.PathLike[str]) -> list[Version]:
    """List the versions of a model, in ascending order; a server takes the last one.

    Compares names and sizes with the manifests; `verify` compares every byte. Raises NotFoundError if there
    is no such directory.
    """
    found = layout.list_versions(local_path(directory))
    listed: list[Version] = []
    withdrawn: set[int] = set()
    for version, path in reversed(found.items()):
        one = _look_at(version, path)
        if not path.is_dir():  # removed meanwhile
            continue
        if version in withdrawn:
            if not one.problem:
                one = replace(one, state="withdrawn")
        else:  # a withdrawn version's own withdrawals no longer apply
            withdrawn.update(one.withdraws)
        listed.append(one)
    return listed[::-1]


def verify(path: str | os.PathLike[str]) -> list[Problem]:
    """Compare every byte of a published version with its manifest, and return the differences.

    path: the folder of a version. Raises NotFoundError if there is none, or it was removed meanwhile,
        FailedPreconditionError if it has no manifest.
    """
    folder = local_path(path)
    if not folder.is_dir():
        raise NotFoundError(f"no such directory: {str(folder)!r}")
    try:
        expected = Manifest.read(folder)
    except ManifestError as error:
        return [Problem(manifest.NAME, str(error))]
    if expected is None:
        raise FailedPreconditionError(f"{str(folder)!r} has no manifest: it was not published by savedmodel")
    problems = sorted(_differences(folder, expected), key=lambda problem: problem.file)
    if problems and not folder.is_dir():
        raise NotFoundError(f"no such directory: {str(folder)!r}")
    return problems


def _differences(folder: Path, expected: Manifest) -> Iterator[Problem]:
    try:
        found = files.list_files(folder)
    except (OSError, ValueError) as error:
        yield Problem(".", str(error))
        return
    wrong = list(_size_problems(expected, found))
    yield from wrong
    for name in expected.files.keys() - {problem.file for problem in wrong}:
        try:
            if files.sha256(folder / name) != expected.files[name][1]:
                yield Problem(name, "changed")
        except OSError as error:
            yield Problem(name, str(error))
