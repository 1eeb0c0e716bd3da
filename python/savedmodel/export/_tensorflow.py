# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's Python and the two generations of Keras, imported on first use."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import savedmodel as sm

KERAS2_EXTRA = f"pip install 'tf_keras=={sm._core.REQUIRED_TENSORFLOW}.*'"


def tensorflow() -> Any:
    """The `tensorflow` module. Raises ImportError that says what to install."""
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ImportError(
            "savedmodel.export needs TensorFlow's Python: pip install "
            f"'tensorflow=={sm._core.REQUIRED_TENSORFLOW}.*'",
            name="tensorflow",
        ) from None
    return tensorflow


def keras3() -> Any:
    """The `keras` module, which must run on TensorFlow."""
    tensorflow()
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        # keras.json may select another backend.
        os.environ["KERAS_BACKEND"] = "tensorflow"
        try:
            import keras
        finally:
            del os.environ["KERAS_BACKEND"]
    else:
        import keras
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"Keras runs on {backend!r} in this process; set KERAS_BACKEND=tensorflow to make a SavedModel"
        )
    return keras


def keras2(why: str) -> Any:
    """The `tf_keras` module. `why` begins the error if it is not installed."""
    try:
        import tf_keras
    except ModuleNotFoundError as error:
        if error.name != "tf_keras":
            raise
        raise ImportError(f"{why}; for Keras 2: {KERAS2_EXTRA}", name="tf_keras") from None
    return tf_keras


@contextlib.contextmanager
def typed_errors(what: str) -> Iterator[None]:
    """Raise TensorFlow's exceptions as the package's own, with the same status code."""
    tf = tensorflow()
    try:
        yield
    except tf.errors.OpError as error:
        kind = getattr(sm, type(error).__name__, sm.Error)
        raise kind(f"{what}: {error.message}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of TensorFlow's Python, for example that a function is TensorFlow 1's."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
