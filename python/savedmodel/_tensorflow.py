# SPDX-License-Identifier: Apache-2.0
"""Locates TensorFlow's shared libraries, without importing TensorFlow."""

from __future__ import annotations

import importlib.util
import logging

from savedmodel import _core

# A library prints nothing by default: TensorFlow's messages arrive as "savedmodel.tensorflow".
logging.getLogger("savedmodel").addHandler(logging.NullHandler())

_told = False


def locate() -> None:
    """Tell the core, once, where Python's import system finds the `tensorflow` package."""
    global _told
    if _told:
        return
    try:
        spec = importlib.util.find_spec("tensorflow")
    except (ImportError, ValueError):  # a partially imported or artificial module of that name
        spec = None
    if spec is not None and spec.submodule_search_locations:
        _core.set_tensorflow_directory(next(iter(spec.submodule_search_locations)))
        _told = True
