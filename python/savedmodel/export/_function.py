# SPDX-License-Identifier: Apache-2.0
"""Converts Python functions, tf.functions and tf.Modules."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from savedmodel.export import _specs
from savedmodel.export._conversion import Conversion, Options, convert
from savedmodel.export._endpoints import Endpoint, Endpoints
from savedmodel.export._names import flatten, near, output_names, unique
from savedmodel.export._samples import Values
from savedmodel.export._specs import Shape
from savedmodel.export._tensorflow import tensorflow


def function(
    src: Any,
    dst: str | os.PathLike[str],
    *,
    input_signature: Mapping[str, Any] | Sequence[Any] | None = None,
    signatures: str | Mapping[str, str | Callable[..., Any]] = "serving_default",
    batch: int | None = None,
    input_shapes: Mapping[str, Shape | None] | None = None,
    samples: Values | Sequence[Values] | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write a tf.function, a Python function of tensors, or a tf.Module as a SavedModel.

    input_signature: tf.TensorSpecs or (shape, dtype)s, by parameter or in their order; not needed for a
        tf.function that has one, or a concrete function.
    signatures: a name for `src` (for a tf.Module: its `__call__`), or functions by name; a string is the name
        of a method of `src`.
    Variables and tables are found in `src`, in the objects whose methods its functions are, and in their
    closures. The other keywords, and the errors, are those of `keras`.
    """

    options = Options(batch, input_shapes, samples, tolerance, overwrite)

    def opener() -> Endpoints:
        functions = _functions(src, signatures)
        roots = [root for each in (src, *functions.values()) for root in _roots(each)]
        endpoints = {name: _endpoint(each, input_signature, options) for name, each in functions.items()}
        return Endpoints(_describe(src), endpoints, roots)

    return convert(dst, options, opener)


def _describe(src: Any) -> str:
    tf = tensorflow()
    name = getattr(src, "__qualname__", None) or getattr(src, "__name__", None) or type(src).__qualname__
    return f"{name}, TensorFlow {tf.__version__}"


def _functions(
    src: Any, signatures: str | Mapping[str, str | Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    if isinstance(signatures, str):
        signatures = {signatures: src}
    if not signatures:
        raise ValueError("signatures is empty")
    found: dict[str, Callable[..., Any]] = {}
    each: Any
    for name, each in signatures.items():
        if isinstance(each, str):
            if not hasattr(src, each):
                methods = [key for key in dir(src) if key[0] != "_" and callable(getattr(src, key))]
                raise KeyError(f"{type(src).__name__} has no method {each!r}{near(each, methods)}")
            each = getattr(src, each)
        if isinstance(each, tensorflow().Module):
            each = each.__call__ if callable(each) else each
        if not callable(each):
            raise TypeError(f"signature {name!r}: {each!r} is not a function, and has no __call__")
        found[name] = each
    return found


def _endpoint(
    function: Any,
    input_signature: Mapping[str, Any] | Sequence[Any] | None,
    options: Options,
) -> Endpoint:
    tf = tensorflow()
    is_traced = hasattr(function, "structured_input_signature")
    called = function if is_traced or hasattr(function, "get_concrete_function") else tf.function(function)
    structure: tuple[Sequence[Any], Mapping[str, Any]]
    if input_signature is not None:
        structure = _given(input_signature)
    elif is_traced:
        structure = _without_defaults(called.structured_input_signature)
    elif called.input_signature is not None:
        structure = _without_defaults(called.get_concrete_function().structured_input_signature)
    else:
        raise ValueError("the function does not say what its inputs are; give input_signature= (--input)")
    leaves = [leaf for _, leaf in flatten(structure)]
    for leaf in leaves:
        if not isinstance(leaf, tf.TensorSpec):
            raise TypeError(f"inputs must be dense tensors, got {leaf!r}")
    names = unique(_names(called, structure))
    specs = dict(zip(names, leaves, strict=True))
    specs = _specs.fix(specs, options.batch, options.input_shapes)

    def call(tensors: Mapping[str, Any]) -> dict[str, Any]:
        args, kwargs = tf.nest.pack_sequence_as(structure, [tensors[name] for name in names])
        return output_names(called(*args, **kwargs))

    return Endpoint(specs, call)


def _given(input_signature: Mapping[str, Any] | Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    if isinstance(input_signature, Mapping):
        return (), {name: _specs.as_spec(spec) for name, spec in input_signature.items()}
    return tuple(_specs.as_spec(spec) for spec in input_signature), {}


def _without_defaults(structure: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """A traced signature also has the parameters that keep their defaults: `training=False`, a variable."""
    spec = tensorflow().TypeSpec

    def has_tensors(value: Any) -> bool:
        leaves = [leaf for _, leaf in flatten(value)]
        return any(isinstance(leaf, spec) and type(leaf).__name__ != "VariableSpec" for leaf in leaves)

    args, kwargs = structure
    while args and not has_tensors(args[-1]):
        args = args[:-1]
    return args, {name: value for name, value in kwargs.items() if has_tensors(value)}


def _names(function: Any, structure: Any) -> Iterator[str]:
    """A spec's own name, or that of the parameter that takes it."""
    python = getattr(function, "python_function", None)
    try:
        known = list(inspect.signature(python).parameters) if python is not None else []
    except (TypeError, ValueError):
        known = []
    args, kwargs = structure
    for index, arg in enumerate(args):
        parameter = known[index] if index < len(known) else f"input_{index}"
        for path, spec in flatten(arg, parameter):
            yield spec.name or path
    yield from (path for path, _ in flatten(kwargs))


def _roots(function: Any) -> Iterator[Any]:
    """Objects that may hold the tables that a function uses."""
    trackable = tensorflow().__internal__.tracking.Trackable
    python = getattr(function, "python_function", function)
    held = [function, getattr(python, "__self__", None)]
    try:
        variables = inspect.getclosurevars(inspect.unwrap(getattr(python, "__func__", python)))
        held += [*variables.nonlocals.values(), *variables.globals.values()]
    except TypeError:  # a function in C, or another callable object
        pass
    yield from (value for value in held if isinstance(value, trackable))
