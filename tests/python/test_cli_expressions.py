"""Expressions on the command line: what they may be, and every way out that is closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from savedmodel.cli._expressions import ExpressionError, evaluate

from .commands import error, output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-1.5e3", -1500.0),
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("2 ** 10 // 3 % 7", 341 % 7),
        ("2 ** -1", 0.5),
        ("1 + 2j", 1 + 2j),
        ("True", True),
        ("'a;b'", "a;b"),
        ("b'\\x00a'", b"\0a"),
        ("[[1], [2]]", [[1], [2]]),
        ("(1, [2, 'x'])", (1, [2, "x"])),
        ("[]", []),
        ("np.pi", np.pi),
        ("-np.inf", -np.inf),
    ],
)
def test_literals_and_arithmetic(text: str, expected: Any) -> None:
    value = evaluate(text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("np.ones((32, 32, 3))", np.ones((32, 32, 3))),
        ("np.ones(2, dtype=np.int32)", np.ones(2, np.int32)),
        ("numpy.zeros([2, 1], 'float32')", np.zeros((2, 1), np.float32)),
        ("np.zeros(shape=3, dtype=int)", np.zeros(3, int)),
        ("np.full((2,), 7.5, dtype=np.float16)", np.full(2, 7.5, np.float16)),
        ("np.full(2, 'ab')", np.full(2, "ab")),
        ("np.eye(2)", np.eye(2)),
        ("np.identity(2, dtype=bool)", np.identity(2, bool)),
        ("np.arange(5)", np.arange(5)),
        ("np.arange(1, 2, 0.25)", np.arange(1, 2, 0.25)),
        ("np.arange(5, dtype=np.uint8)", np.arange(5, dtype=np.uint8)),
        ("np.linspace(0, 1, 5)", np.linspace(0, 1, 5)),
        ("np.array([[1, 2], [3, 4]], dtype=np.float32)", np.array([[1, 2], [3, 4]], np.float32)),
        ("np.asarray([b'a', b'bc'])", np.array([b"a", b"bc"])),
        ("np.float32([1, 2])", np.array([1, 2], np.float32)),
        ("np.int8(3)", np.array(3, np.int8)),
        ("np.arange(6).reshape(2, 3)", np.arange(6).reshape(2, 3)),
        ("np.arange(6).reshape((3, 2)).astype(np.float32)", np.arange(6).reshape(3, 2).astype(np.float32)),
        ("np.reshape(np.arange(4), (2, -1))", np.arange(4).reshape(2, 2)),
        ("np.expand_dims([1, 2], 0)", np.array([[1, 2]])),
        ("np.concatenate([np.ones(2), np.zeros(1)])", np.array([1.0, 1, 0])),
        ("np.stack([[1, 2], [3, 4]], axis=1)", np.array([[1, 3], [2, 4]])),
        ("np.ones((2, 1)) * [[1]] if False else 0", None),
        ("2 * np.ones(3) + np.arange(3) / 2", 2 * np.ones(3) + np.arange(3) / 2),
        ("np.ones((2, 1)) * np.ones((1, 3))", np.ones((2, 3))),
        ("np.random.rand(2, 3)", np.random.RandomState(5).rand(2, 3)),
        ("np.random.randint(0, 9, size=(4,))", np.random.RandomState(5).randint(0, 9, size=4)),
        ("np.random.uniform(size=[2], low=-1, high=1)", np.random.RandomState(5).uniform(-1, 1, 2)),
    ],
)
def test_constructors(text: str, expected: Any) -> None:
    if expected is None:
        with pytest.raises(ExpressionError):
            evaluate(text)
        return
    value = evaluate(text, seed=5)
    assert value.dtype == expected.dtype
    np.testing.assert_array_equal(value, expected)


ESCAPES = {
    # Ways to reach Python's own.
    "__import__('os').system('true')": "can't be called here",
    "().__class__": "__class__ is not allowed",
    "().__class__.__bases__[0].__subclasses__()": "can't be called here",
    "''.__class__.__mro__[1]": "an index is not allowed",
    "np.__class__": "is not allowed in an expression",
    "np.__loader__.load_module('os')": "can't be called here",
    "np.ones.__globals__": "is not allowed in an expression",
    "np.os.system('true')": "can't be called here",
    "np.f2py.os": "is not allowed in an expression",
    "np.load('/etc/passwd')": "can't be called here",
    "np.fromfile('/etc/passwd')": "can't be called here",
    "np.loadtxt('/etc/passwd')": "can't be called here",
    "np.memmap('/tmp/x', mode='w+', shape=1)": "can't be called here",
    "np.save('/tmp/x', 1)": "can't be called here",
    "np.ones(1).tofile('/tmp/x')": "can't be called here",
    "np.ones(1).dump('/tmp/x')": "can't be called here",
    "np.ones(1).ctypes": "is not allowed in an expression",
    "np.ones(1).data": "is not allowed in an expression",
    "np.frompyfunc(1, 1, 1)": "can't be called here",
    "np.vectorize(1)": "can't be called here",
    "np.random.__dict__": "is not allowed in an expression",
    "np.random.seed(1)": "can't be called here",
    "np.ones": "is not allowed in an expression",
    "np": "the name 'np' is not known",
    "os": "the name 'os' is not known",
    "x": "the name 'x' is not known",
    "eval('1')": "can't be called here",
    "open('/etc/passwd')": "can't be called here",
    "getattr(np, 'load')": "can't be called here",
    "(lambda: 1)()": "can't be called here",
    "lambda: 1": "a lambda is not allowed",
    "[x for x in (1, 2)]": "a comprehension is not allowed",
    "{x for x in (1, 2)}": "a comprehension is not allowed",
    "{1: x for x in (1, 2)}": "a comprehension is not allowed",
    "(x for x in (1, 2))": "a comprehension is not allowed",
    "f'{1}'": "an f-string is not allowed",
    "(y := 1)": "an assignment is not allowed",
    "[*(1, 2)]": "a star is not allowed",
    "[1][0]": "an index is not allowed",
    "1 if True else 2": "a condition is not allowed",
    "1 < 2": "a comparison is not allowed",
    "1 and 2": "a condition is not allowed",
    "{1, 2}": "a set is not allowed",
    "{'a': 1}": "is not allowed",
    "None": "can't be a tensor's value",
    "...": "can't be a tensor's value",
    "await x": "Await (a part of Python) is not allowed",
    "yield 1": "is not a valid expression",
    "import os": "is not a valid expression",
    "a = 1": "is not a valid expression",
    "1; 2": "is not a valid expression",
    "": "is not a valid expression",
    "1\0": "is not a valid expression",
    # Ways to take all memory or time.
    "9 ** 9 ** 9": "too large",
    "2 ** 100000": "too large",
    "(10 ** 300) * (10 ** 300)": "too large",
    "1 << 100000": "is not allowed",
    "9" * 400: "too many digits",
    "[0] * 10 ** 9": "arithmetic on a list is not possible",
    "'a' * 10 ** 9": "arithmetic on a str is not possible",
    "(0,) * 10 ** 9": "arithmetic on a tuple is not possible",
    "'%999999999d' % 1": "arithmetic on a str is not possible",
    "np.ones((100000, 100000))": "more than 1024 MiB",
    "np.ones(10 ** 18)": "more than 1024 MiB",
    "np.zeros((2 ** 40, 2 ** 40, 0, 2 ** 60))": "",
    "np.ones((-1,))": "negative dimension",
    "np.full(10 ** 10, 1)": "more than 1024 MiB",
    "np.full(10 ** 8, 'long text')": "more than 1024 MiB",
    "np.eye(10 ** 6)": "more than 1024 MiB",
    "np.arange(10 ** 12)": "more than 1024 MiB",
    "np.arange(0, 1, 1e-15)": "more than 1024 MiB",
    "np.arange(0, 1, 0)": "division by zero",
    "np.arange(0, np.nan)": "",
    "np.linspace(0, 1, 10 ** 12)": "more than 1024 MiB",
    "np.linspace(np.ones((10000, 1)), np.ones((1, 10000)), 100)": "must be a number here",
    "np.random.rand(10 ** 5, 10 ** 5)": "more than 1024 MiB",
    "np.random.uniform(np.ones((99999, 1)), np.ones((1, 99999)))": "must be a number here",
    "np.ones((10000, 1, 1)) * np.ones((1, 10000, 1)) * np.ones((1, 1, 10000))": "more than 1024 MiB",
    "[np.ones(10 ** 8), np.ones(10 ** 8)]": "more than 1024 MiB",
    "np.array(np.zeros(10 ** 8, dtype=np.int8), dtype=np.str_)": "more than 1024 MiB",
    "np.array([1], dtype='S999999999')": "is not an allowed dtype",
    "np.array([1], dtype=object)": "is not an allowed dtype",
    "np.array([1], dtype=np.object_)": "is not an allowed dtype",
    "np.array([10 ** 100])": "no common type",
    "np.ones((1,) + (1,) * 99)": "arithmetic on a tuple is not possible",
    "np.ones(shape=1, shape=1)": "does not take shape",
    "np.ones(**{'shape': 1})": "does not take **",
    "np.ones(*[1])": "a star is not allowed",
    "np.ones(1, out=1)": "does not take out",
    "np.ones(1, np.float32, 'C', 1)": "takes 2 arguments at most",
    "[" * 150 + "]" * 150: "nested",
    "-" * 5000 + "1": "nested",
    "+".join(["1"] * 5000): "nested",
    "(" * 5000: "",
    "1" + " " * 200000: "longer than",
    "1 / 0": "division by zero",
    "10.0 ** 1000": "",
    "[1, 2] + [3]": "arithmetic on a list is not possible",
    "np.ones(2) + np.ones(3)": "",
}


@pytest.mark.parametrize("text", ESCAPES, ids=lambda text: text[:40].replace("\0", "0"))
def test_an_escape_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text)
    assert ESCAPES[text] in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "9**9**9",
        "np.ones((100000,100000))",
        "f'{1}'",
        "1 +",
    ],
)
def test_the_command_refuses_in_one_line(models: Path, text: str) -> None:
    said = error("run", models / "mlp", "--input_exprs", f"x={text}")
    assert said.startswith("savedmodel: input 'x': ")
    assert len(said) < 300


def test_a_semicolon_in_a_string_ends_nothing(models: Path) -> None:
    text = output("run", models / "strings", "--signature-def", "upper", "--input_exprs", "s=['a;b'];")
    assert "A;B" in text
