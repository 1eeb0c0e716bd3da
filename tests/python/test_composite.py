"""Sparse and ragged values in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load, aligned

SPLITS = aligned([0, 2, 2, 3], np.int64)
SPARSE = sm.SparseTensor(
    indices=aligned([[0, 1], [2, 0]], np.int64),
    values=aligned([1, 2], np.float32),
    dense_shape=aligned([3, 2], np.int64),
)
RAGGED = sm.RaggedTensor(aligned([1, 2, 3], np.float32), SPLITS)
NESTED = sm.RaggedTensor(
    sm.RaggedTensor(aligned(range(4), np.int32), aligned([0, 1, 1, 4], np.int64)),
    aligned([0, 2, 3], np.int64),
)


def test_specs(load: Load) -> None:
    mixed = load("composite").signatures["mixed"]
    sparse, ragged = mixed.inputs["by"], mixed.inputs["x"]
    assert (sparse.encoding, str(sparse.dtype), sparse.shape) == ("sparse", "float32", (None,) * 2)
    assert [c.dtype.name for c in sparse.components] == ["int64", "float32", "int64"]
    assert (ragged.encoding, str(ragged.dtype), ragged.shape) == ("ragged", "object", (None,) * 2)
    assert [c.dtype.name for c in ragged.components] == ["object", "int64"]
    assert mixed.outputs["y"].encoding == "ragged"
    assert load("composite").signatures["sparse"].outputs["dense"].encoding == "dense"


@pytest.mark.parametrize(
    "value",
    [
        SPARSE,
        sm.SparseTensor([[0, 1], [2, 0]], [1.0, 2.0], [3, 2]),
        SPARSE._replace(indices=np.asfortranarray(SPARSE.indices)),
    ],
)
def test_sparse(load: Load, value: sm.SparseTensor) -> None:
    results = load("composite").signatures["sparse"](value)
    assert list(results) == ["dense", "y"]
    y = results["y"]
    assert type(y) is sm.SparseTensor
    np.testing.assert_array_equal(y.indices, SPARSE.indices)
    np.testing.assert_array_equal(y.values, 2 * SPARSE.values)
    np.testing.assert_array_equal(y.dense_shape, SPARSE.dense_shape)
    np.testing.assert_array_equal(results["dense"], [[0, 2], [0, 0], [4, 0]])


def test_sparse_without_values(load: Load) -> None:
    empty = sm.SparseTensor(np.empty((0, 2), np.int64), np.empty(0, np.float32), [3, 2])
    results = load("composite").signatures["sparse"](empty)
    assert results["y"].values.shape == (0,)
    np.testing.assert_array_equal(results["dense"], np.zeros((3, 2)))


def test_ragged(load: Load) -> None:
    y = load("composite").signatures["ragged"](x=RAGGED)["y"]
    assert type(y) is sm.RaggedTensor
    np.testing.assert_array_equal(y.values, [2, 4, 6])
    np.testing.assert_array_equal(y.row_splits, SPLITS)
    assert y.flat_values is y.values
    assert len(y.nested_row_splits) == 1


def test_nested_ragged(load: Load) -> None:
    y = load("composite").signatures["nested"](NESTED)["y"]
    assert type(y) is type(y.values) is sm.RaggedTensor
    np.testing.assert_array_equal(y.flat_values, [1, 2, 3, 4])
    outer, inner = y.nested_row_splits
    np.testing.assert_array_equal(outer, [0, 2, 3])
    np.testing.assert_array_equal(inner, [0, 1, 1, 4])
    np.testing.assert_array_equal(y.row_splits, outer)
    np.testing.assert_array_equal(y.values.row_splits, inner)


def test_several_of_them(load: Load) -> None:
    f = load("composite").signatures["mixed"]
    words = sm.RaggedTensor(["a", "", "ccc"], [0, 2, 2, 3])
    for results in f(SPARSE, words), f.run({"x": words, "by": SPARSE}):
        assert list(results) == ["y", "z"]
        assert results["y"].values.tolist() == [b"a", b"", b"ccc"]
        np.testing.assert_array_equal(results["y"].row_splits, [0, 2, 2, 3])
        np.testing.assert_array_equal(results["z"].values, 2 * SPARSE.values)
    only = f.run({"x": words, "by": SPARSE}, outputs=["z"])
    assert list(only) == ["z"]
    assert type(only["z"]) is sm.SparseTensor


def test_results_can_be_given_back(load: Load) -> None:
    signatures = load("composite").signatures
    y = signatures["ragged"](signatures["ragged"](RAGGED)["y"])["y"]
    np.testing.assert_array_equal(y.values, [4, 8, 12])
    z = signatures["sparse"](signatures["sparse"](SPARSE)["y"])["y"]
    np.testing.assert_array_equal(z.values, [4, 8])


def test_parts_are_borrowed_and_results_are_not_the_callers(load: Load) -> None:
    f = load("composite").signatures["sparse"]
    assert f.explain(SPARSE) == {"x": "borrowed"}
    indices = aligned(SPARSE.indices)
    y = f(SPARSE._replace(indices=indices))["y"]
    indices[...] = 0
    np.testing.assert_array_equal(y.indices, SPARSE.indices)
    listed = SPARSE._replace(values=[1.0, 2.0])
    assert "values" in f.explain(listed)["x"]
    assert "indices" not in f.explain(listed)["x"]


@pytest.mark.parametrize(
    ("signature", "value", "message"),
    [
        ("sparse", np.ones((3, 2), np.float32), r"expected a SparseTensor of .*got numpy\.ndarray"),
        ("sparse", RAGGED, r"expected a SparseTensor of .*got RaggedTensor"),
        ("sparse", tuple(SPARSE), r"expected a SparseTensor of float32 \[\?, \?\], got tuple"),
        ("sparse", None, r"expected a SparseTensor of .*got NoneType"),
        ("ragged", np.ones(3, np.float32), r"expected a RaggedTensor of .*got numpy\.ndarray"),
        ("ragged", SPARSE, r"expected a RaggedTensor of .*got SparseTensor"),
        ("ragged", [[1.0, 2.0], [], [3.0]], r"expected a RaggedTensor of .*got list"),
        ("ragged", NESTED, r"expected 2 component arrays, got 3"),
        ("nested", RAGGED, r"expected 3 component arrays, got 2"),
    ],
)
def test_another_kind_of_value(load: Load, signature: str, value: Any, message: str) -> None:
    model = load("composite")
    with pytest.raises(TypeError, match=message) as error:
        model.signatures[signature](value)
    assert f"signature '{signature}', input 'x'" in str(error.value)
    assert model.signatures["ragged"](RAGGED)["y"].values.tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"values": np.array([1, 2])}, TypeError, r"'x#values': expected float32 \[\?\], got int64"),
        ({"indices": SPARSE.indices.astype("i4")}, TypeError, r"'x#indices': expected int64"),
        ({"indices": np.array([0, 1])}, ValueError, r"'x#indices': expected int64 \[\?, 2\], got"),
        ({"dense_shape": np.array([3])}, ValueError, r"'x#dense_shape': expected int64 \[2\], got"),
        ({"indices": np.array([[0, 1], [9, 9]])}, sm.InvalidArgumentError, "out of bounds"),
    ],
)
def test_wrong_parts(load: Load, changes: dict[str, Any], error: type[Exception], message: str) -> None:
    f = load("composite").signatures["sparse"]
    with pytest.raises(error, match=message):
        f(SPARSE._replace(**changes))
    np.testing.assert_array_equal(f(SPARSE)["y"].values, [2, 4])


def test_no_single_memory_for_a_composite_result(load: Load) -> None:
    f = load("composite").signatures["ragged"]
    with pytest.raises(TypeError, match=r"out 'y': a composite output can't be written to one array"):
        f.run({"x": RAGGED}, out={"y": np.empty(3, np.float32)})
