# SPDX-License-Identifier: Apache-2.0
"""Where TensorFlow's shared libraries are. TensorFlow is found, never imported."""

from __future__ import annotations

import importlib.util
import logging

from savedmodel import _core

# A library says nothing unless its user asks: TensorFlow's messages arrive as "savedmodel.tensorflow".
logging.getLogger("savedmodel").addHandler(logging.NullHandler())

_told = False


def locate() -> None:
    """Tell the core where Python's import system has the `tensorflow` package, once."""
    global _told
    if _told:
        return
    try:
        spec = importlib.util.find_spec("tensorflow")
    except (ImportError, ValueError):  # a half-imported or hand-made module of that name
        spec = None
    if spec is not None and spec.submodule_search_locations:
        _core.set_tensorflow_directory(next(iter(spec.submodule_search_locations)))
        _told = True
