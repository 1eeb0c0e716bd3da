# SPDX-License-Identifier: Apache-2.0
"""A file of requests, made of arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from savedmodel import _core
from savedmodel._constants import DEFAULT_SERVING_SIGNATURE_DEF_KEY
from savedmodel._core import NotFoundError, SignatureInfo, TensorSpec
from savedmodel._inspect import inspect, local_path
from savedmodel._numbers import refuse_masked

Array = np.ndarray[Any, np.dtype[Any]]


def record_warmup(
    path: str | os.PathLike[str],
    inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    *,
    signature: str | None = None,
    outputs: Iterable[str] = (),
    tags: Iterable[str] | None = None,
    append: bool = False,
) -> int:
    """Write the requests that a SavedModel is to be warmed up with, as TensorFlow Serving reads them.

    path: a SavedModel that was not published: publish it afterwards. Its file
        `assets.extra/tf_serving_warmup_requests` is replaced whole, or added to with `append`.
    inputs: arrays by input name, of the signature's dtypes; or several such requests.
    signature: None is "serving_default", or the only one. outputs: those to ask for; () is all.
    tags: of the MetaGraph that has the signature; None is {"serve"}, or the only one.

    Returns how many requests the file has now. Nothing is run: `load(path, warmup=True)` tries them.
    Raises TypeError, ValueError or KeyError for what is no request of the signature, ValueError for more than
    1,000 requests, FailedPreconditionError for a published version.
    """
    folder = local_path(path)
    name, spec = _find(folder, signature, tags)
    asked = list(outputs)
    for output in asked:
        if output not in spec.outputs:
            known = ", ".join(map(repr, spec.outputs))
            raise KeyError(f"signature {name!r} has no output {output!r}; there are: {known}")
    given = [inputs] if isinstance(inputs, Mapping) else list(inputs)
    requests = [(name, _tensors(name, spec, one), asked) for one in given]
    return _core.record_warmup(str(folder), requests, append)


def _find(folder: Path, signature: str | None, tags: Iterable[str] | None) -> tuple[str, SignatureInfo]:
    graphs = {graph.tags: graph for graph in inspect(folder).meta_graphs}
    wanted = frozenset({"serve"} if tags is None else tags)
    if tags is None and wanted not in graphs and len(graphs) == 1:
        wanted = next(iter(graphs))
    if wanted not in graphs:
        sets = ", ".join("{" + ", ".join(sorted(one)) + "}" for one in graphs)
        raise NotFoundError(
            f"{str(folder)!r} has no MetaGraph with the tags {sorted(wanted)}; its tag sets: {sets}"
        )
    known = graphs[wanted].signatures
    if signature is None:
        signature = next(iter(known)) if len(known) == 1 else DEFAULT_SERVING_SIGNATURE_DEF_KEY
    if signature not in known:
        raise KeyError(f"no signature {signature!r}; there are: {', '.join(map(repr, known)) or 'none'}")
    return signature, known[signature]


def _tensors(name: str, spec: SignatureInfo, given: Mapping[str, Any]) -> dict[str, tuple[TensorSpec, Array]]:
    """The inputs of a request, checked."""
    for key in given:
        if key not in spec.inputs:
            known = ", ".join(map(repr, spec.inputs)) or "none"
            raise TypeError(f"signature {name!r} has no input {key!r}; there are: {known}")
    missing = [key for key, one in spec.inputs.items() if key not in given and one.default is None]
    if missing:
        raise TypeError(f"signature {name!r}: missing input {', '.join(map(repr, missing))}")
    return {
        key: (one, _array(f"signature {name!r}, input {key!r}", one, given[key]))
        for key, one in spec.inputs.items()
        if key in given
    }


def _array(where: str, spec: TensorSpec, value: Any) -> Array:
    if spec.encoding != "dense":
        raise ValueError(f"{where} is {spec.encoding}, but a warm-up request takes dense tensors only")
    text = spec.dtype == np.dtype(object)
    try:
        refuse_masked(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    array = value if isinstance(value, np.ndarray) else np.asarray(value, spec.dtype)
    if text:
        array = array.astype(object)
        if not all(isinstance(one, str | bytes) for one in array.ravel().tolist()):
            raise TypeError(f"{where}: expected strings, as bytes or str")
    elif array.dtype.newbyteorder("=") != spec.dtype:
        raise TypeError(f"{where}: expected {spec.tf_dtype}, got {array.dtype}")
    shape = spec.shape
    fits = shape is None or (
        len(shape) == array.ndim
        and all(size is None or size == found for size, found in zip(shape, array.shape, strict=True))
    )
    if not fits:
        raise ValueError(f"{where}: expected the shape {shape}, got {array.shape}")
    return array
