# SPDX-License-Identifier: Apache-2.0
"""Load TensorFlow SavedModels through TensorFlow's own C++ loader, and run them fast.

    import savedmodel as sm

    model = sm.load("path/to/saved_model")
    results = model(x)  # numpy in, a dict of numpy arrays out

TensorFlow's shared libraries are opened at the first load. Only `sm.export`, which makes SavedModels, imports
TensorFlow's Python package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from savedmodel import _core
from savedmodel._arrays import empty
from savedmodel._composite import RaggedTensor, SparseTensor
from savedmodel._constants import (
    ASSETS_DIRECTORY,
    ASSETS_KEY,
    CLASSIFY_INPUTS,
    CLASSIFY_METHOD_NAME,
    CLASSIFY_OUTPUT_CLASSES,
    CLASSIFY_OUTPUT_SCORES,
    DEBUG_DIRECTORY,
    DEBUG_INFO_FILENAME_PB,
    DEFAULT_SERVING_SIGNATURE_DEF_KEY,
    EVAL,
    GPU,
    LEGACY_INIT_OP_KEY,
    MAIN_OP_KEY,
    PREDICT_INPUTS,
    PREDICT_METHOD_NAME,
    PREDICT_OUTPUTS,
    REGRESS_INPUTS,
    REGRESS_METHOD_NAME,
    REGRESS_OUTPUTS,
    SAVED_MODEL_FILENAME_PB,
    SAVED_MODEL_FILENAME_PBTXT,
    SAVED_MODEL_SCHEMA_VERSION,
    SERVING,
    TPU,
    TRAINING,
    VARIABLES_DIRECTORY,
    VARIABLES_FILENAME,
)
from savedmodel._core import (
    AbortedError,
    AlreadyExistsError,
    CancelledError,
    DataLossError,
    DeadlineExceededError,
    Error,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    ResourceExhaustedError,
    Signature,
    TensorSpec,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    UnknownError,
)
from savedmodel._edit import Edit
from savedmodel._functions import Function
from savedmodel._inspect import Inspection, MetaGraph, inspect
from savedmodel._metrics import SignatureMetrics
from savedmodel._model import Model, load
from savedmodel._op_libraries import find_op_libraries
from savedmodel._options import RunOptions, SessionOptions
from savedmodel._scan import Finding, scan
from savedmodel._trace import Trace

if TYPE_CHECKING:
    from savedmodel import export as export
    from savedmodel._batch import Batcher, BatchStatistics, batch
    from savedmodel._batch.prometheus_text import prometheus_text
    from savedmodel._bundle import Bundle, bundle
    from savedmodel._examples import serialize_example
    from savedmodel._publish import (
        Problem,
        Published,
        Removal,
        Version,
        publish,
        remove_old_versions,
        rollback,
        verify,
        versions,
    )
    from savedmodel._quantize import Quantization, QuantizedLayer, quantize
    from savedmodel._warmup import record_warmup
    from savedmodel._watch import (
        VersionChange,
        Watched,
        WatchedFunction,
        WatchedSignature,
        WatchStatus,
        watch,
    )

__version__ = _core.__version__

__all__ = [
    "ASSETS_DIRECTORY",
    "ASSETS_KEY",
    "CLASSIFY_INPUTS",
    "CLASSIFY_METHOD_NAME",
    "CLASSIFY_OUTPUT_CLASSES",
    "CLASSIFY_OUTPUT_SCORES",
    "DEBUG_DIRECTORY",
    "DEBUG_INFO_FILENAME_PB",
    "DEFAULT_SERVING_SIGNATURE_DEF_KEY",
    "EVAL",
    "GPU",
    "LEGACY_INIT_OP_KEY",
    "MAIN_OP_KEY",
    "PREDICT_INPUTS",
    "PREDICT_METHOD_NAME",
    "PREDICT_OUTPUTS",
    "REGRESS_INPUTS",
    "REGRESS_METHOD_NAME",
    "REGRESS_OUTPUTS",
    "SAVED_MODEL_FILENAME_PB",
    "SAVED_MODEL_FILENAME_PBTXT",
    "SAVED_MODEL_SCHEMA_VERSION",
    "SERVING",
    "TPU",
    "TRAINING",
    "VARIABLES_DIRECTORY",
    "VARIABLES_FILENAME",
    "AbortedError",
    "AlreadyExistsError",
    "BatchStatistics",
    "Batcher",
    "Bundle",
    "CancelledError",
    "DataLossError",
    "DeadlineExceededError",
    "Edit",
    "Error",
    "FailedPreconditionError",
    "Finding",
    "Function",
    "Inspection",
    "InternalError",
    "InvalidArgumentError",
    "MetaGraph",
    "Model",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "Problem",
    "Published",
    "Quantization",
    "QuantizedLayer",
    "RaggedTensor",
    "Removal",
    "ResourceExhaustedError",
    "RunOptions",
    "SessionOptions",
    "Signature",
    "SignatureMetrics",
    "SparseTensor",
    "TensorSpec",
    "Trace",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "Version",
    "VersionChange",
    "WatchStatus",
    "Watched",
    "WatchedFunction",
    "WatchedSignature",
    "__version__",
    "batch",
    "bundle",
    "empty",
    "export",
    "find_op_libraries",
    "inspect",
    "load",
    "prometheus_text",
    "publish",
    "quantize",
    "record_warmup",
    "remove_old_versions",
    "rollback",
    "scan",
    "serialize_example",
    "verify",
    "versions",
    "watch",
]

# Not needed to load a model: these modules are imported on first use.
_LAZY = {
    **dict.fromkeys(("BatchStatistics", "Batcher", "batch"), "savedmodel._batch"),
    **dict.fromkeys(("Bundle", "bundle"), "savedmodel._bundle"),
    "prometheus_text": "savedmodel._batch.prometheus_text",
    "record_warmup": "savedmodel._warmup",
    "serialize_example": "savedmodel._examples",
    **dict.fromkeys(("Quantization", "QuantizedLayer", "quantize"), "savedmodel._quantize"),
    **dict.fromkeys(("Problem", "Published", "Removal", "Version"), "savedmodel._publish"),
    **dict.fromkeys(
        ("publish", "remove_old_versions", "rollback", "verify", "versions"), "savedmodel._publish"
    ),
    **dict.fromkeys(
        ("VersionChange", "WatchStatus", "Watched", "WatchedFunction", "WatchedSignature", "watch"),
        "savedmodel._watch",
    ),
}


def __getattr__(name: str) -> Any:
    if name == "export":
        return importlib.import_module("savedmodel.export")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
