# SPDX-License-Identifier: Apache-2.0
"""Functions of the saved object that are not signatures, called as in Python."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from savedmodel import _core
from savedmodel._composite import RaggedTensor, SparseTensor
from savedmodel._core import Signature, TensorSpec
from savedmodel._mappings import Completed

_MISSING = object()


class _Parameters(NamedTuple):
    """The fields of Python's FullArgSpec that decide how arguments are passed."""

    names: list[str]
    defaults: list[Any]
    varargs: bool
    varkw: bool
    keyword_only: list[str]
    keyword_defaults: dict[str, Any]


class Function:
    """A function of the saved object, such as `model.functions["__call__"]`.

    Call it as in Python: with arrays for tensors, and with the Python values that it was traced with. As in
    TensorFlow, the first trace runs that matches the arguments' structure, dtypes, shapes and values. A list
    is not a tuple, and a named tuple has its name and fields. It returns what the Python function returned,
    with arrays for tensors.
    """

    def __init__(self, model: _core.Model, saved: _core.SavedFunction) -> None:
        self.path: str = saved.path
        """Its attribute path."""
        self._parameters = _parameters(saved.parameters)
        self._traces = list(saved.traces)
        self._describe = saved.describe
        self.concrete: tuple[Signature, ...] = tuple(
            Signature(model, saved.path, number) for number in range(len(self._traces))
        )
        """Its traces, each with its input and output tensors by name. Call them like signatures."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.run(args, kwargs)

    def run(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Call it with a timeout in seconds. Raises TypeError if no trace matches the arguments."""
        number, feeds = self._choose(tuple(args), dict(kwargs or {}))
        signature = self.concrete[number]
        results = signature(feeds) if timeout is None else signature.run(feeds, timeout=timeout)
        return _build(self._traces[number].results, list(results.values()))

    def choose(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> tuple[Signature, dict[str, Any]]:
        """The trace in `concrete` that such a call runs, and its inputs by name. Raises TypeError if none
        matches."""
        number, feeds = self._choose(tuple(args), dict(kwargs or {}))
        return self.concrete[number], feeds

    def _choose(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not self._traces:
            raise TypeError(f"function {self.path!r} was never traced, so there is nothing to run")
        given = self._canonical(args, kwargs)
        for convert in (False, True):
            for number, trace in enumerate(self._traces):
                values = [_MISSING] * len(self.concrete[number].inputs)
                specs = list(self.concrete[number].inputs.values())
                if _match(trace.arguments, given, specs, convert, values):
                    return number, dict(zip(self.concrete[number].inputs, values, strict=True))
        if len(self._traces) == 1:  # the run reports a mismatch of dtype or shape
            values = [_MISSING] * len(self.concrete[0].inputs)
            if _match(self._traces[0].arguments, given, None, True, values):
                return 0, dict(zip(self.concrete[0].inputs, values, strict=True))
        known = "\n  ".join(self._descriptions())
        raise TypeError(
            f"function {self.path!r} has no trace for ({_describe(given)}); it was traced for:\n  {known}"
        )

    def _canonical(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """All positional arguments, with defaults, and the named ones."""
        spec = self._parameters
        if spec is None:
            return args, kwargs
        positional = list(args)
        if len(args) > len(spec.names) and not spec.varargs:
            raise TypeError(
                f"function {self.path!r} takes {len(spec.names)} positional arguments "
                f"({', '.join(spec.names)}), got {len(args)}"
            )
        first_default = len(spec.names) - len(spec.defaults)
        for index in range(len(args), len(spec.names)):
            name = spec.names[index]
            if name in kwargs:
                positional.append(kwargs.pop(name))
            elif index >= first_default:
                positional.append(spec.defaults[index - first_default])
            else:
                raise TypeError(f"function {self.path!r}: missing argument {name!r}")
        by_name = {**spec.keyword_defaults, **kwargs}
        for name in kwargs:
            if name in spec.names[: len(args)]:
                raise TypeError(f"function {self.path!r}: argument {name!r} is given twice")
            if name not in spec.keyword_only and not spec.varkw:
                known = ", ".join([*spec.names, *spec.keyword_only]) or "none"
                raise TypeError(f"function {self.path!r}: unexpected argument {name!r}; it takes: {known}")
        for name in spec.keyword_only:
            if name not in by_name:
                raise TypeError(f"function {self.path!r}: missing argument {name!r}")
        return tuple(positional), by_name

    def __repr__(self) -> str:
        return "\n  ".join([f"<Function {self.path!r}", *self._descriptions()]) + ">"

    def _descriptions(self) -> list[str]:
        return [self._describe(number) for number in range(len(self._traces))]


class Functions(Completed[Function]):
    """The functions by path. Any attribute path finds one; the shortest is listed."""

    def __init__(self, model: _core.Model) -> None:
        self._model = model
        self._paths: list[str] | None = None
        self._made: dict[str, Function] = {}

    def __getitem__(self, path: str) -> Function:
        if not isinstance(path, str):
            raise KeyError(f"the path of a function must be a string, got {path!r}")
        if path not in self._made:
            saved = self._model.find_function(path)
            made = self._made.setdefault(saved.path, Function(self._model, saved))
            self._made[path] = made
        return self._made[path]

    def __contains__(self, path: object) -> bool:
        try:
            self[path]  # type: ignore[index]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._list())

    def __len__(self) -> int:
        return len(self._list())

    def __repr__(self) -> str:
        return "{" + ",\n ".join(f"{path!r}: {self[path]!r}" for path in self) + "}"

    def _list(self) -> list[str]:
        if self._paths is None:
            self._paths = list(self._model.functions())
        return self._paths


def _parameters(spec: _core.Structure) -> _Parameters | None:
    if spec.kind != "namedtuple":
        return None
    fields = dict(zip(spec.keys, (_constant(item) for item in spec.items), strict=True))
    return _Parameters(
        names=list(fields.get("args") or ()),
        defaults=list(fields.get("defaults") or ()),
        varargs=fields.get("varargs") is not None,
        varkw=fields.get("varkw") is not None,
        keyword_only=list(fields.get("kwonlyargs") or ()),
        keyword_defaults=dict(fields.get("kwonlydefaults") or {}),
    )


def _constant(value: _core.Structure) -> Any:
    return _build(value, [])


def _build(value: _core.Structure, tensors: list[Any]) -> Any:
    """Build the Python value, with `tensors` for its tensors."""
    kind = value.kind
    if kind == "tensor":
        return tensors[value.number]
    if kind == "none":
        return None
    if kind == "bool":
        return bool(value.number)
    if kind == "int":
        return value.number
    if kind == "float":
        return value.real
    if kind == "string":
        return value.text
    if kind == "dtype":
        return _DType(value.text)
    if kind == "other":
        return _Other(value.text)
    items = [_build(item, tensors) for item in value.items]
    if kind == "list":
        return items
    if kind == "tuple":
        return tuple(items)
    if kind == "dict":
        return dict(zip(value.keys, items, strict=True))
    return namedtuple(value.text or "Result", value.keys, rename=True)(*items)


class _DType(str):
    """The name of a dtype among the arguments, such as "float32"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Other(str):
    """A value in the file that this package can't represent; equal to no argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _match(
    expected: _core.Structure,
    given: Any,
    specs: list[TensorSpec] | None,
    convert: bool,
    values: list[Any],
) -> bool:
    """Match `given` with the trace's argument, and put its tensors into `values`. No `specs`: of any type."""
    kind = expected.kind
    if kind == "tensor":
        values[expected.number] = given
        return specs is None or _is_tensor(given, specs[expected.number], convert)
    if kind in ("list", "tuple"):
        same = isinstance(given, list) if kind == "list" else isinstance(given, tuple)
        if not same or hasattr(given, "_fields") or len(given) != len(expected.items):
            return False
        pairs = zip(expected.items, given, strict=True)
        return all(_match(one, item, specs, convert, values) for one, item in pairs)
    if kind == "dict":
        if not isinstance(given, Mapping) or set(given) != set(expected.keys):
            return False
        named = zip(expected.keys, expected.items, strict=True)
        return all(_match(one, given[key], specs, convert, values) for key, one in named)
    if kind == "namedtuple":
        fields = list(getattr(given, "_fields", ()))
        if fields != expected.keys or type(given).__name__ != expected.text:
            return False
        pairs = zip(expected.items, given, strict=True)
        return all(_match(one, item, specs, convert, values) for one, item in pairs)
    if kind == "other" or isinstance(given, np.ndarray):
        return False
    if kind == "dtype":
        return expected.text in (given, _dtype_name(given))
    constant = _constant(expected)
    return given is None if constant is None else bool(given == constant)


def _dtype_name(given: Any) -> str | None:
    """Of a dtype of numpy, or of TensorFlow's Python; None for any other value."""
    if isinstance(given, _DType):
        return str(given)
    if hasattr(given, "as_numpy_dtype"):
        return str(given.name)
    if not isinstance(given, np.dtype) and not (isinstance(given, type) and issubclass(given, np.generic)):
        return None
    dtype = np.dtype(given)
    return "string" if dtype.kind in "OSUT" else dtype.name


# kinds of Python's numbers -> kinds of dtypes
_KINDS = {"b": "b", "i": "iufcV", "u": "iufcV", "f": "fcV", "c": "c"}


def _is_tensor(given: Any, spec: TensorSpec, convert: bool) -> bool:
    """True if it is a tensor of the spec, or, with `convert`, can be converted to one."""
    if spec.encoding == "ragged":
        return hasattr(given, "flat_values") and hasattr(given, "nested_row_splits")
    if spec.encoding == "sparse":
        return isinstance(given, SparseTensor) or hasattr(given, "dense_shape")
    if spec.encoding != "dense" or given is None or isinstance(given, Mapping | RaggedTensor | SparseTensor):
        return False
    if hasattr(given, "dtype") and hasattr(given, "shape"):
        return _same_dtype(given.dtype, spec) and _fits(tuple(given.shape), spec)
    if not convert:
        return False
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        return False
    if array.dtype.kind in "USO":
        return spec.tf_dtype == "string" and _fits(array.shape, spec)
    if spec.tf_dtype == "string":
        return False
    kinds = "biufcV" if array.size == 0 else _KINDS.get(array.dtype.kind, "")
    return spec.dtype.kind in kinds and _fits(array.shape, spec)


def _same_dtype(dtype: Any, spec: TensorSpec) -> bool:
    try:
        given = np.dtype(dtype)
    except TypeError:  # another library's dtype
        return str(dtype).rsplit(".", 1)[-1] == spec.tf_dtype
    if spec.tf_dtype == "string":
        return given.kind in "OSUT"
    return bool(given.newbyteorder("=") == spec.dtype)


def _fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    if spec.shape is None:
        return True
    return len(shape) == len(spec.shape) and all(
        size is None or size == length for size, length in zip(spec.shape, shape, strict=True)
    )


def _describe(given: tuple[Any, Any]) -> str:
    positional, by_name = given
    return ", ".join([*map(_short, positional), *(f"{key}={_short(item)}" for key, item in by_name.items())])


def _short(value: Any) -> str:
    if (name := _dtype_name(value)) is not None:
        return name
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple) and len(value) <= 8:
        inside = ", ".join(map(_short, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return f"{value!r:.80}"
