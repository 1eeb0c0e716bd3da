# SPDX-License-Identifier: Apache-2.0
"""Drops what native libraries write to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import click


@contextlib.contextmanager
def native_messages_dropped() -> Iterator[None]:
    """TensorFlow's libraries write to file descriptor 2 at startup, regardless of settings."""
    if click.get_current_context().find_root().meta.get("savedmodel.debug"):
        yield
        return
    sys.stderr.flush()
    kept, python = os.dup(2), sys.stderr
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        if python is sys.__stderr__:
            sys.stderr = open(kept, "w", buffering=1, closefd=False)  # noqa: SIM115 - Python's own stay
        os.dup2(null, 2)
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = python
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
