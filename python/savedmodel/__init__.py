# SPDX-License-Identifier: Apache-2.0
"""Load TensorFlow SavedModels through TensorFlow's own C++ loader, and run them fast.

    import savedmodel as sm

    model = sm.load("path/to/saved_model")
    results = model(x)  # numpy in, a dict of numpy arrays out

TensorFlow's Python package is never imported; its shared libraries are opened at the first load.
"""

from __future__ import annotations

from savedmodel import _core
from savedmodel._arrays import empty
from savedmodel._composite import RaggedTensor, SparseTensor
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
from savedmodel._inspect import Inspection, MetaGraph, inspect
from savedmodel._model import Model, load
from savedmodel._options import RunOptions, SessionOptions
from savedmodel._scan import Finding, scan
from savedmodel._trace import Trace

__version__ = _core.__version__

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "CancelledError",
    "DataLossError",
    "DeadlineExceededError",
    "Error",
    "FailedPreconditionError",
    "Finding",
    "Inspection",
    "InternalError",
    "InvalidArgumentError",
    "MetaGraph",
    "Model",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "RaggedTensor",
    "ResourceExhaustedError",
    "RunOptions",
    "SessionOptions",
    "Signature",
    "SparseTensor",
    "TensorSpec",
    "Trace",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "__version__",
    "empty",
    "inspect",
    "load",
    "scan",
]
