# SPDX-License-Identifier: Apache-2.0
"""The manifest, `assets.extra/savedmodel_manifest.json`: the files of a version and its origin."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

NAME = "assets.extra/savedmodel_manifest.json"
_FORMAT = 1


class ManifestError(ValueError):
    """The manifest can't be read, or was changed."""


@dataclass(frozen=True)
class Manifest:
    files: Mapping[str, tuple[int, str]]
    """Size in bytes and SHA-256 by relative name, of all files except the manifest."""
    published: datetime
    source: str
    """The absolute path of the folder that was published."""
    host: str
    savedmodel: str
    """The version of savedmodel that published it."""
    verified: bool
    """Whether it was loaded, and warmed up, before it was published."""
    withdraws: tuple[int, ...]
    """The versions that a rollback replaced with it."""

    @property
    def fingerprint(self) -> str:
        """The digest of all names and contents: equal for equal files."""
        lines = "".join(f"{digest}  {json.dumps(name)}\n" for name, (_, digest) in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def to_json(self) -> bytes:
        body = {
            "format": _FORMAT,
            "published": self.published.isoformat(timespec="seconds"),
            "source": self.source,
            "host": self.host,
            "savedmodel": self.savedmodel,
            "verified": self.verified,
            "withdraws": list(self.withdraws),
            "fingerprint": self.fingerprint,
            "files": {
                name: {"size": size, "sha256": digest} for name, (size, digest) in sorted(self.files.items())
            },
        }
        return (json.dumps({**body, "sha256": _digest(body)}, indent=1) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of a version; None if it has none. Raises ManifestError."""
        try:
            if not stat.S_ISREG((folder / NAME).stat().st_mode):  # a read of a FIFO would block
                raise ManifestError("the manifest is not a file")
            body = json.loads((folder / NAME).read_bytes())
            digest = body.pop("sha256")
            if digest != _digest(body):
                raise ManifestError("the manifest was changed")
            if body["format"] != _FORMAT:
                raise ManifestError(f"the manifest has the unknown format {body['format']!r}")
            return cls(
                files={name: (file["size"], file["sha256"]) for name, file in body["files"].items()},
                published=datetime.fromisoformat(body["published"]),
                source=body["source"],
                host=body["host"],
                savedmodel=body["savedmodel"],
                verified=body["verified"],
                withdraws=tuple(body["withdraws"]),
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ManifestError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ManifestError(f"the manifest can't be read: {error!r}") from None


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
