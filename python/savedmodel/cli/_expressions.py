# SPDX-License-Identifier: Apache-2.0
"""Values of expressions on the command line: literals, arithmetic and some of NumPy's constructors.

Nothing is passed to eval. Everything that is not listed here is refused, and so are large results.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from savedmodel.cli._numpy_calls import CALLS, CONSTANTS, DTYPES, MAX_BYTES, METHODS

MAX_LENGTH = 100_000
MAX_DEPTH = 50
MAX_BITS = 1024

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_BUILTIN_DTYPES = {"float": np.float64, "int": np.int64, "bool": np.bool_, "complex": np.complex128}
_NAMES = {
    ast.Attribute: "an attribute",
    ast.Call: "a call",
    ast.JoinedStr: "an f-string",
    ast.Lambda: "a lambda",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Subscript: "an index",
    ast.NamedExpr: "an assignment",
    ast.IfExp: "a condition",
    ast.Compare: "a comparison",
    ast.BoolOp: "a condition",
    ast.Starred: "a star",
    ast.Set: "a set",
}


class ExpressionError(ValueError):
    """The expression is wrong, or not allowed. The message names the part."""


def evaluate(text: str, *, seed: int = 0, dicts: bool = False) -> Any:
    """The value of an expression. `dicts` allows {key: value}; `seed` is that of np.random.

    Raises ExpressionError.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression is longer than {MAX_LENGTH} characters: use a file")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ExpressionError(f"{_short(text)} is not a valid expression: {reason}") from None
    except (RecursionError, MemoryError):
        raise ExpressionError(f"{_short(text)} is nested too deeply") from None
    try:
        return _Evaluator(seed, dicts).value(tree.body, 0)
    except ExpressionError as error:
        raise ExpressionError(f"{_short(text)}: {error}") from None
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ExpressionError(f"{_short(text)}: {error}") from None


def _short(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 60 else text[:57] + "...")


class _Evaluator:
    def __init__(self, seed: int, dicts: bool) -> None:
        self.bytes = 0
        self.random = np.random.RandomState(seed)
        self.dicts = dicts

    def value(self, node: ast.expr, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool | int | float | complex | str | bytes):
                if isinstance(node.value, int) and node.value.bit_length() > MAX_BITS:
                    raise ExpressionError("a number has too many digits")
                return node.value
            raise ExpressionError(f"{node.value!r} can't be a tensor's value")
        if isinstance(node, ast.List | ast.Tuple):
            items = [self.value(item, depth + 1) for item in node.elts]
            return items if isinstance(node, ast.List) else tuple(items)
        if isinstance(node, ast.Dict) and self.dicts:
            return self._dict(node, depth)
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            return self._keep(_UNARY[type(node.op)](self._number(node.operand, depth)))
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._binary(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Attribute):
            name = _numpy_name(node)
            if name in CONSTANTS:
                return CONSTANTS[name]
            raise ExpressionError(f"{ast.unparse(node)} is not allowed in an expression")
        if isinstance(node, ast.Name):
            raise ExpressionError(f"the name {node.id!r} is not known here (strings need quotes)")
        what = _NAMES.get(type(node), f"{type(node).__name__} (a part of Python)")
        raise ExpressionError(f"{what} is not allowed; literals, arithmetic and {_known()} are")

    def _dict(self, node: ast.Dict, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                raise ExpressionError("the keys of a dict must be strings")
            result[key.value] = self.value(value, depth + 1)
        return result

    def _number(self, node: ast.expr, depth: int) -> Any:
        value = self.value(node, depth + 1)
        if isinstance(value, np.ndarray | np.generic):
            if value.dtype.kind not in "biufc":
                raise ExpressionError(f"arithmetic on {value.dtype} is not possible")
            return value
        if not isinstance(value, int | float | complex):
            raise ExpressionError(
                f"arithmetic on a {type(value).__name__} is not possible; wrap it in np.array(...)"
            )
        return value

    def _binary(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self._number(node.left, depth), self._number(node.right, depth)
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() + right.bit_length()
            if isinstance(node.op, ast.Pow):
                bits = left.bit_length() * max(right, 0)
            if bits > MAX_BITS:
                raise ExpressionError("a number becomes too large")
        shape = np.broadcast_shapes(np.shape(left), np.shape(right))
        self._reserve(shape, 16)
        with np.errstate(all="ignore"):
            return self._keep(_BINARY[type(node.op)](left, right))

    def _reserve(self, shape: tuple[int, ...], itemsize: int) -> None:
        count = itemsize
        for length in shape:
            if length < 0:
                raise ExpressionError(f"a shape has the negative dimension {length}")
            count *= length
        if self.bytes + count > MAX_BYTES:
            raise ExpressionError(f"it would make more than {MAX_BYTES >> 20} MiB of arrays: use a file")

    def _keep(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype == object:
                raise ExpressionError("its parts have no common type for a tensor")
            self.bytes += value.nbytes
            if self.bytes > MAX_BYTES:
                raise ExpressionError(f"it makes more than {MAX_BYTES >> 20} MiB of arrays: use a file")
        return value

    def _call(self, node: ast.Call, depth: int) -> Any:
        name = _numpy_name(node.func)
        target: list[Any] = []
        if name is None and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            target = [self.value(node.func.value, depth + 1)]
            if not isinstance(target[0], np.ndarray):
                raise ExpressionError(f".{node.func.attr} is a method of arrays only")
            name = METHODS[node.func.attr]
        if name is None or not (name in CALLS or name in DTYPES):
            raise ExpressionError(f"{ast.unparse(node.func):.60} can't be called here; these can: {_known()}")
        call = CALLS["array"] if name in DTYPES else CALLS[name]
        if len(node.args) + len(target) > len(call.parameters):
            raise ExpressionError(f"np.{name} takes {len(call.parameters)} arguments at most here")
        given = dict(zip(call.parameters, target, strict=False))
        for parameter, argument in zip(call.parameters[len(target) :], node.args, strict=False):
            given[parameter] = self._argument(parameter, argument, depth)
        for keyword in node.keywords:
            if keyword.arg not in call.parameters or keyword.arg in given:
                raise ExpressionError(f"np.{name} does not take {keyword.arg or '**'} here")
            given[keyword.arg] = self._argument(keyword.arg, keyword.value, depth)
        if name in DTYPES:
            if given.keys() - {"object"}:
                raise ExpressionError(f"np.{name} takes one value here")
            given["dtype"] = DTYPES[name]
        if call.size is not None:
            shape, itemsize = call.size(given)
            self._reserve(shape, itemsize)
        with np.errstate(all="ignore"):
            return self._keep(call.function(self.random, given))

    def _argument(self, parameter: str, node: ast.expr, depth: int) -> Any:
        if parameter != "dtype":
            return self.value(node, depth + 1)
        name = _numpy_name(node)
        if isinstance(node, ast.Name):
            if node.id in _BUILTIN_DTYPES:
                return _BUILTIN_DTYPES[node.id]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
        if name in DTYPES:
            return DTYPES[name]
        raise ExpressionError(f"{ast.unparse(node):.60} is not an allowed dtype, such as np.float32")


def _numpy_name(node: ast.expr) -> str | None:
    """'zeros' of np.zeros or numpy.zeros, 'random.rand' of np.random.rand; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in ("np", "numpy") and parts:
        return ".".join(reversed(parts))
    return None


def _known() -> str:
    return ", ".join(f"np.{name}" for name in CALLS if "." not in name)
