"""Values in and out: dtypes, Python numbers and lists, strings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import savedmodel as sm

from .helpers import Array, Load, aligned, misaligned, run_python

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NUMPY = ["bool", *INTEGERS, "float16", "float32", "float64", "complex64", "complex128"]
SMALL = ["int2", "int4", "uint2", "uint4", "float4_e2m1fn"]
FLOAT8 = ["e5m2", "e4m3fn", "e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz"]
ML_DTYPES = ["bfloat16", *SMALL, *(f"float8_{kind}" for kind in FLOAT8)]


@pytest.fixture(scope="module")
def dtypes(models: Path) -> Iterator[sm.Model]:
    """One signature for each dtype, called as it is: x -> y, a vector."""
    with sm.load(models / "dtypes") as model:
        yield model


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name) if name in ML_DTYPES else name)


@pytest.mark.parametrize("name", NUMPY + ML_DTYPES)
def test_every_dtype(dtypes: sm.Model, name: str) -> None:
    f = dtypes.signatures[name]
    dtype = dtype_of(name)
    assert f.inputs["x"].dtype == dtype
    assert f.outputs["y"].dtype == dtype
    assert f.inputs["x"].tf_dtype == name
    x: Array = np.array([0, 1, 1, 0, 1]).astype(dtype)
    for value in aligned(x), misaligned(x, offset=dtype.itemsize), x[::2], x[:0], x.tolist():
        result = f(value)["y"]
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, np.asarray(value).astype(dtype))
    assert f.explain(aligned(x)) == {"x": "borrowed"}


@pytest.mark.parametrize("name", [n for n in NUMPY if dtype_of(n).itemsize > 1])
def test_big_endian(dtypes: sm.Model, name: str) -> None:
    x = np.array([0, 1, 100], name)
    result = dtypes.signatures[name](x.astype(x.dtype.newbyteorder(">")))["y"]
    assert result.dtype == name
    np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize("name", NUMPY + ML_DTYPES)
def test_arrays_are_never_cast(dtypes: sm.Model, name: str) -> None:
    f = dtypes.signatures[name]
    for other in ["float32", "float64", "int64", "bool", "bfloat16", "int4", "float8_e5m2"]:
        if other == name:
            continue
        with pytest.raises(TypeError) as error:
            f(np.zeros(2).astype(dtype_of(other)))
        message = str(error.value)
        assert message.startswith(f"signature '{name}', input 'x': expected {name} [?], got {other}")
        assert f".astype('{name}')" in message
    with pytest.raises(TypeError, match="got object"):
        f(np.array([0, 1], object))
    with pytest.raises(TypeError, match="got <U1"):
        f(np.array(["0"]))


@pytest.mark.parametrize(
    ("kind", "storage"),
    [("qint8", "i1"), ("quint8", "u1"), ("qint16", "i2"), ("quint16", "u2"), ("qint32", "i4")],
)
def test_quantized(load: Load, kind: str, storage: str) -> None:
    f = load("quantized").signatures[kind]
    assert f.inputs["x"].dtype == np.dtype(storage)
    assert f.inputs["x"].tf_dtype == kind
    info = np.iinfo(storage)
    x = aligned([info.min, 0, 1, info.max], storage)
    assert f.explain(x) == {"x": "borrowed"}
    for value in x, x.tolist():
        result = f(value)["y"]
        assert result.dtype == storage
        np.testing.assert_array_equal(result, x)
    with pytest.raises(TypeError, match=f"expected {kind}"):
        f(np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="does not fit"):
        f([info.max + 1])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("float32", [1, 2], [1, 2]),
        ("float32", (1.5, 2), [1.5, 2]),
        ("float32", range(3), [0, 1, 2]),
        ("float32", [True], [1]),
        ("float32", [np.float64(0.5), np.int8(3)], [0.5, 3]),
        ("float32", [], []),
        ("float32", [float("nan"), float("inf")], [np.nan, np.inf]),
        ("float16", [1], [1]),
        ("float64", [2**53], [2.0**53]),
        ("bfloat16", [1.5, -3], [1.5, -3]),
        ("float8_e5m2", [0.5, 2], [0.5, 2]),
        ("complex64", [1, 2.5, 1j], [1, 2.5, 1j]),
        ("int8", [-128, 127], [-128, 127]),
        ("int32", [True, 5], [1, 5]),
        ("int64", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ("uint64", [0, 2**64 - 1], [0, 2**64 - 1]),
        ("int4", [-8, 7], [-8, 7]),
        ("uint2", [0, 3], [0, 3]),
        ("bool", [True, False], [True, False]),
        ("int32", [], []),
    ],
)
def test_python_numbers_are_converted(dtypes: sm.Model, name: str, value: Any, expected: list[Any]) -> None:
    f = dtypes.signatures[name]
    result = f(value)["y"]
    assert result.dtype == dtype_of(name)
    np.testing.assert_array_equal(result.astype(np.array(expected).dtype), expected)
    assert f.explain(value)["x"].startswith("copied: it is not an array but a ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("int32", [1.0]),
        ("int32", [1.5]),
        ("int64", [float("nan")]),
        ("uint8", [1.0]),
        ("int4", [1.5]),
        ("uint2", [1.5]),
        ("bool", [1]),
        ("bool", [0.0]),
        ("float32", [1j]),
        ("bfloat16", [1j]),
        ("int8", [1j]),
        ("float32", ["1"]),
        ("float32", [b"1"]),
        ("float32", "1"),
        ("float32", [None]),
        ("float32", {1, 2}),
        ("float32", {"a": 1}),
        ("float32", object()),
        ("float32", iter([1])),
        ("int32", [1, "2"]),
    ],
)
def test_python_values_of_another_kind(dtypes: sm.Model, name: str, value: Any) -> None:
    f = dtypes.signatures[name]
    with pytest.raises(TypeError) as error:
        f(x=value)
    assert f"signature '{name}', input 'x': expected {name} [?], got" in str(error.value)
    assert f([])["y"].shape == (0,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uint8", [300]),
        ("uint8", [-1]),
        ("int8", [-129]),
        ("int32", [2**31]),
        ("int32", [0, 2**40]),
        ("int64", [2**63]),
        ("int64", [2**70]),
        ("uint64", [-1]),
        ("uint64", [2**64]),
        ("int4", [8]),
        ("uint4", [-1]),
        ("int2", [2]),
    ],
)
def test_integers_out_of_range(dtypes: sm.Model, name: str, value: list[int]) -> None:
    f = dtypes.signatures[name]
    with pytest.raises(ValueError, match=f"signature '{name}', input 'x'.*{name}"):
        f(value)
    assert f([])["y"].shape == (0,)


def test_ragged_lists(load: Load) -> None:
    with pytest.raises(ValueError, match=r"input 'x': expected float32 \[2, 3\], got a list"):
        load("shapes").signatures["static"]([[1, 2, 3], [4]])


def test_scalars(load: Load) -> None:
    f = load("scalar").signatures["serving_default"]
    for value in 3, 3.0, np.float32(3), np.array(3, np.float32):
        result = f(value)["y"]
        assert isinstance(result, np.ndarray)
        assert result.shape == ()
        assert result == 9
    assert f(True)["y"] == 1
    with pytest.raises(TypeError, match=r"expected float32 \[\], got float64 \[\]"):
        f(np.float64(3))
    with pytest.raises(ValueError, match=r"expected float32 \[\], got float32 \[1\]"):
        f([3])


WORDS = ["", "plain", "gr\u00fcn \u20ac \U0001f600", "a\x00b", "x" * 1000]
ENCODED = [word.encode() for word in WORDS]


@pytest.mark.parametrize(
    "words",
    [
        WORDS,
        tuple(WORDS),
        ENCODED,
        [*WORDS[:2], *ENCODED[2:]],
        np.array(WORDS, object),
        np.array(ENCODED, object),
        np.array(WORDS),
        np.array(WORDS).astype(np.dtype("U1000").newbyteorder(">")),
        np.array(ENCODED),
        np.array(WORDS[::-1], object)[::-1],
        np.repeat(np.array(ENCODED), 2)[::2],
        [np.str_(word) for word in WORDS],
        np.broadcast_to(np.array(WORDS), (5,)),
    ],
)
def test_strings(dtypes: sm.Model, words: Any) -> None:
    f = dtypes.signatures["string"]
    result = f(words)["y"]
    assert result.dtype == object
    assert result.tolist() == ENCODED
    assert all(type(word) is bytes for word in result)
    assert f.explain(words)["x"].startswith("copied: ")


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy 1 has no StringDType")
def test_numpys_stringdtype(dtypes: sm.Model) -> None:
    f = dtypes.signatures["string"]
    words = np.array(WORDS, np.dtypes.StringDType())
    assert f(words)["y"].tolist() == ENCODED
    assert f(words[::-1])["y"].tolist() == ENCODED[::-1]
    missing = np.array(["a", np.nan], np.dtypes.StringDType(na_object=np.nan))
    with pytest.raises(TypeError, match="flat index 1"):
        f(missing)


def test_shapes_of_strings(load: Load) -> None:
    f = load("keras_embedding_strings").signatures["serving_default"]
    assert f([["cat", "dog", "bird", ""]] * 3)["output_0"].shape == (3, 6)
    upper = load("strings").signatures["upper"]
    assert upper([])["t"].shape == (0,)
    assert upper(np.empty(0, "S3"))["t"].shape == (0,)
    transposed = np.array([["cat", "dog"], ["dog", "dog"], ["bird", "dog"], ["", "dog"]]).T
    np.testing.assert_array_equal(f(transposed)["output_0"], f(transposed.tolist())["output_0"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", None], r"got an element of type NoneType at flat index 1"),
        (np.array(["a", None], object), r"got an element of type NoneType at flat index 1"),
        (["a", 1], r"got an element of type int at flat index 1"),
        ([["a"], ["b", "c"]], r"got an element of type list at flat index 0"),
        (np.zeros(2), r"got float64 \[2\]"),
        (np.zeros(2, "M8[s]"), r"got datetime64\[s\] \[2\]"),
        ([1.5], r"got an element of type float at flat index 0"),
    ],
)
def test_what_is_not_a_string(load: Load, words: Any, message: str) -> None:
    f = load("strings").signatures["upper"]
    with pytest.raises(TypeError, match=message) as error:
        f(words)
    assert "signature 'upper', input 's': expected string [?], " in str(error.value)
    assert f(["a"])["t"].tolist() == [b"A"]


def test_strings_of_the_wrong_rank(load: Load) -> None:
    f = load("strings").signatures["upper"]
    for words in "a", b"a", np.array("a"), [["a"]]:
        with pytest.raises(ValueError, match=r"input 's': expected string \[\?\], got string \["):
            f(words)


def test_text_without_an_encoding(models: Path) -> None:
    # A process of its own, as a mistake here is not an exception.
    out, _ = run_python(
        f"""
        import numpy as np
        import savedmodel as sm

        f = sm.load({str(models / "strings")!r}).signatures["upper"]
        for words in ["\\udc80"], np.array([0x0FFFFFFF], np.uint32).view("U1"):
            try:
                f(words)
            except ValueError as error:
                print(error)
        print(f(["a"])["t"].tolist())
        """
    )
    surrogate, code_point, result = out.splitlines()
    assert "upper" in surrogate
    assert "flat index 0 has a lone surrogate" in surrogate
    assert "upper" in code_point
    assert "beyond Unicode" in code_point
    assert result == "[b'A']"


def test_results_of_strings_are_the_callers(load: Load) -> None:
    f = load("strings").signatures["upper"]
    result = f(["a", "b"])["t"]
    assert result.flags.writeable
    result[0] = b"changed"
    assert f(["a", "b"])["t"].tolist() == [b"A", b"B"]


def test_a_string_input_is_read_before_the_call_returns(dtypes: sm.Model) -> None:
    f = dtypes.signatures["string"]
    words = np.array(["one", "two"], object)
    result = f(words)["y"]
    words[:] = "changed"
    assert result.tolist() == [b"one", b"two"]


def test_unsupported_structured_array(dtypes: sm.Model) -> None:
    with pytest.raises(TypeError, match="expected float32"):
        dtypes.signatures["float32"](np.zeros(2, [("a", np.float32)]))


def test_a_mask_is_never_dropped(load: Load) -> None:
    f = load("identity").signatures["serving_default"]
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    masked = np.ma.masked_greater(values, 5)
    for value in masked, [masked[0], masked[1]], [[1.0, np.ma.masked]], np.ma.masked:
        with pytest.raises(ValueError, match=r"input 'x': .*masked.* lost"):
            f(value)
    np.testing.assert_array_equal(f(masked.filled(0))["y"], np.where(values > 5, 0, values))
    for nothing_masked in np.ma.masked_array(values), np.ma.masked_array(values, np.zeros_like(values, bool)):
        np.testing.assert_array_equal(f(nothing_masked)["y"], values)
    words = np.ma.masked_array(np.array(["a", "b"], object), [False, True])
    for text in words, [words]:
        with pytest.raises(ValueError, match=r"input 's': .*masked"):
            load("strings").signatures["upper"](text)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimize", ["none", "default"])
def test_subnormal_numbers_are_zero_as_in_tensorflow(load: Load, optimize: Any, threads: int) -> None:
    """In every thread of a run; the caller computes with its own afterwards."""
    f = load("add", optimize=optimize, threads=threads).signatures["serving_default"]
    small = np.float32(1e-39)
    for size in 3, 500_000:
        x = np.full(size, small)
        np.testing.assert_array_equal(f(x=x, y=np.zeros_like(x))["z"], np.zeros_like(x))
        assert (x[:1] + x[:1]).item() > 0
