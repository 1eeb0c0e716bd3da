# SPDX-License-Identifier: Apache-2.0
"""Make SavedModels of Keras models, functions, checkpoints and frozen graphs, or piece by piece.

    import savedmodel as sm

    report = sm.export.keras("digits.keras", "models/digits")

This is the only part of the package that needs TensorFlow's Python. The first call imports it.
"""

from __future__ import annotations

from savedmodel.export._builder import Builder, simple_save
from savedmodel.export._checkpoint import checkpoint
from savedmodel.export._compare import Comparison
from savedmodel.export._conversion import Conversion
from savedmodel.export._frozen_graph import frozen_graph
from savedmodel.export._function import function
from savedmodel.export._keras import keras
from savedmodel.export._signatures import (
    CLASSES,
    CLASSIFY,
    DEFAULT_SIGNATURE,
    EVAL,
    GPU,
    INPUTS,
    OUTPUTS,
    PREDICT,
    REGRESS,
    SCORES,
    SERVING,
    TPU,
    TRAINING,
    GraphSignature,
    classify,
    predict,
    regress,
)

__all__ = [
    "CLASSES",
    "CLASSIFY",
    "DEFAULT_SIGNATURE",
    "EVAL",
    "GPU",
    "INPUTS",
    "OUTPUTS",
    "PREDICT",
    "REGRESS",
    "SCORES",
    "SERVING",
    "TPU",
    "TRAINING",
    "Builder",
    "Comparison",
    "Conversion",
    "GraphSignature",
    "checkpoint",
    "classify",
    "frozen_graph",
    "function",
    "keras",
    "predict",
    "regress",
    "simple_save",
]
