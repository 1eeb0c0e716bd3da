# SPDX-License-Identifier: Apache-2.0
"""Generates inputs of a signature, and calls it with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from savedmodel._core import (
    DataLossError,
    Error,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    PermissionDeniedError,
    UnimplementedError,
)

if TYPE_CHECKING:
    from savedmodel._core import Signature, TensorSpec

_UNKNOWN_SIZE = 2
_UNKNOWN_RANK = 1
_SEED = 0


def _example(spec: TensorSpec, generator: np.random.Generator) -> Any:
    shape = [_UNKNOWN_SIZE] * _UNKNOWN_RANK if spec.shape is None else spec.shape
    sizes = [_UNKNOWN_SIZE if size is None else size for size in shape]
    dtype = spec.dtype
    if dtype == np.dtype(object):
        return np.full(sizes, b"1", object)
    if np.issubdtype(dtype, np.complexfloating):
        values: Any = generator.normal(size=sizes) + 1j * generator.normal(size=sizes)
    elif np.issubdtype(dtype, np.integer) or dtype == np.dtype(bool):
        values = generator.integers(0, 2, sizes)  # small, because inputs may be indices
    else:
        values = generator.normal(size=sizes)
    return np.asarray(values).astype(dtype)


def made_up_inputs(specs: Mapping[str, TensorSpec]) -> dict[str, Any]:
    """Generate seeded inputs; unknown sizes are 2. Raises ValueError for an input that can't be generated."""
    generator = np.random.default_rng(_SEED)
    inputs = {}
    for key, spec in specs.items():
        try:
            inputs[key] = _example(spec, generator)
        except (TypeError, ValueError, AttributeError):
            raise ValueError(f"input {key!r}: no value can be generated") from None
    return inputs


def why_not_callable(signature: Signature) -> str:
    """Call with generated inputs. Returns why no call can succeed; "" on success or if the inputs may be
    the cause."""
    try:
        signature.run(made_up_inputs(signature.inputs))
    except (
        DataLossError,
        FailedPreconditionError,
        InternalError,
        PermissionDeniedError,
        UnimplementedError,
    ) as error:
        return str(error)
    except NotFoundError as error:
        # A generated string may be used as a name.
        strings = any(spec.tf_dtype == "string" for spec in signature.inputs.values())
        return "" if strings else str(error)
    except (Error, TypeError, ValueError):
        pass
    return ""
