"""Which inputs are borrowed, whose memory results look at, and who may write to it."""

from __future__ import annotations

import array
import gc
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import ALIGNMENT, Array, Load, address, aligned, misaligned, run_python

MATRIX = np.arange(64, dtype=np.float32).reshape(4, 16)


def in_order(matrix: Array, order: str) -> Array:
    return np.array(matrix, order=order)  # type: ignore[call-overload, no-any-return]


def read_only(matrix: Array) -> Array:
    result = aligned(matrix)
    result.flags.writeable = False
    return result


class Interface:
    """Memory that only `__array_interface__` describes."""

    def __init__(self, source: Array) -> None:
        self.__array_interface__ = source.__array_interface__
        self._source = source


class DLPack:
    """Memory that only DLPack describes."""

    def __init__(self, source: Array) -> None:
        self._source = source

    def __dlpack__(self, **options: Any) -> Any:
        return self._source.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._source.__dlpack_device__()


BORROWED: dict[str, Callable[[Array], Any]] = {
    "aligned": aligned,
    "read-only": read_only,
    "a view of another array": lambda m: aligned(np.vstack([m, m]))[: len(m)],
    "a subclass": lambda m: aligned(m).view(np.recarray),
    "memoryview": lambda m: memoryview(aligned(m)),  # type: ignore[arg-type]
    "__array_interface__": lambda m: Interface(aligned(m)),
    "DLPack": lambda m: DLPack(aligned(m)),
}

COPIED: dict[str, tuple[Callable[[Array], Any], str]] = {
    "misaligned by 1": (lambda m: misaligned(m, offset=1), "64 bytes"),
    "misaligned by 4": (lambda m: misaligned(m, offset=4), "64 bytes"),
    "misaligned by 32": (lambda m: misaligned(m, offset=32), "64 bytes"),
    "Fortran": (lambda m: in_order(m, "F"), "C-contiguous"),
    "every other column": (lambda m: aligned(np.repeat(m, 2, axis=1))[:, ::2], "C-contiguous"),
    "reversed": (lambda m: aligned(m[::-1])[::-1], "C-contiguous"),
    "broadcast": (lambda m: np.broadcast_to(aligned(m[:1]), m.shape), "C-contiguous"),
    "big-endian": (lambda m: aligned(m, ">f4"), "other order"),
    "big-endian Fortran": (lambda m: in_order(m.astype(">f4"), "F"), "other order"),
    "list": (lambda m: m.tolist(), "list"),
    "misaligned memoryview": (lambda m: memoryview(misaligned(m)), "64 bytes"),  # type: ignore[arg-type]
    "misaligned DLPack": (lambda m: DLPack(misaligned(m, offset=4)), "64 bytes"),
}


@pytest.mark.parametrize("kind", BORROWED)
def test_borrowed(load: Load, kind: str) -> None:
    model = load("slice_view")
    value = BORROWED[kind](MATRIX)
    assert model.signatures["serving_default"].explain(value) == {"x": "borrowed"}
    _check_slices(model(value), MATRIX)
    np.testing.assert_array_equal(np.asarray(getattr(value, "_source", value)), MATRIX)


@pytest.mark.parametrize("kind", COPIED)
def test_copied(load: Load, kind: str) -> None:
    make, why = COPIED[kind]
    model = load("slice_view")
    value = make(MATRIX)
    explained = model.signatures["serving_default"].explain(value)
    assert explained["x"].startswith("copied: ")
    assert why in explained["x"]
    wanted = np.broadcast_to(MATRIX[:1], MATRIX.shape) if kind == "broadcast" else MATRIX
    _check_slices(model(value), wanted)


def _check_slices(results: dict[str, Any], x: Array) -> None:
    np.testing.assert_array_equal(results["tail"], x[1:])
    np.testing.assert_array_equal(results["flat"], x.ravel())
    np.testing.assert_array_equal(results["first"], x[:2])
    np.testing.assert_array_equal(results["second"], x[2:])
    for a, b in [("tail", "flat"), ("flat", "first"), ("second", "tail"), ("second", "flat")]:
        if np.shares_memory(results[a], results[b]):
            assert not results[a].flags.writeable
            assert not results[b].flags.writeable


def test_array_module_and_bytes_like(load: Load) -> None:
    numbers = array.array("f", [1, 2, 3])
    np.testing.assert_array_equal(load("multi")(numbers)["y"], [2, 3, 4])
    blob = memoryview(bytes(range(4)))
    np.testing.assert_array_equal(load("dtypes").signatures["uint8"](blob)["y"], [0, 1, 2, 3])
    with pytest.raises(TypeError, match=r"expected float32 \[\?\], got uint8 \[4\]"):
        load("multi")(blob)


@pytest.mark.parametrize("make", [aligned, misaligned])
def test_scalars_and_empty_arrays(load: Load, make: Callable[[Array], Array]) -> None:
    model = load("scalar")
    result = model(make(np.array(3, np.float32)))["y"]
    assert result.shape == ()
    assert result == 9
    empty = model.signatures["vector"](make(np.empty(0, np.float32)))
    assert empty["y"].shape == (0,)
    assert empty["sum"] == 0
    no_rows = load("slice_view").signatures["serving_default"](make(np.empty((0, 16), np.float32)))
    assert no_rows["first"].shape == (0, 16)
    assert no_rows["flat"].shape == (0,)
    assert load("shapes").signatures["unknown"](make(np.empty((3, 0, 2), np.float32)))["y"].shape == (3, 0, 2)


def test_borrowing_takes_no_memory(models: Path) -> None:
    # The peak of the process's memory tells a borrowed 256 MB from a copied one.
    out, _ = run_python(
        f"""
        import re
        import numpy as np
        import savedmodel as sm

        model = sm.load({str(models / "scalar")!r})
        f = model.signatures["vector"]
        # Not getrusage's maximum, which a process inherits from the one that started it.
        status = lambda: open("/proc/self/status").read()
        peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", status())[1]) // 1024
        block = sm.empty((256 << 20) + 64, np.uint8)
        block[...] = 0
        for offset in 0, 0, 4:  # the first call shows what the graph itself needs
            x = block[offset : offset + (256 << 20)].view(np.float32)
            before = peak()
            f.run({{"x": x}}, outputs=["sum"])
            print(f.explain(x)["x"].partition(":")[0], peak() - before)
        """,
        SAVEDMODEL_KEEP_PAGES="1",  # else the copy takes the place of dropped pages
    )
    _, (borrowed, grown), (copied, grown_by_copy) = map(str.split, out.splitlines())
    assert (borrowed, copied) == ("borrowed", "copied")
    assert int(grown) < 64
    assert int(grown_by_copy) >= 192


@pytest.mark.parametrize("make", [aligned, misaligned, np.asfortranarray])
@pytest.mark.parametrize(
    ("name", "signature"),
    [("identity", "serving_default"), ("identity", "both"), ("slice_view", "serving_default")],
)
def test_results_never_alias_the_callers_input(
    load: Load, name: str, signature: str, make: Callable[[Array], Array]
) -> None:
    x = make(MATRIX)
    results = load(name).signatures[signature](x)
    before = {key: value.copy() for key, value in results.items()}
    x[...] = -1
    for key, value in results.items():
        assert not np.shares_memory(value, x), key
        np.testing.assert_array_equal(value, before[key], err_msg=key)


def test_fed_and_fetched_is_a_copy(load: Load) -> None:
    model = load("bad_sig")
    x = aligned(np.ones((2, 3), np.float32))
    result = model.signatures["fed_fetched"](x)["x"]
    fetched = model.run("x:0", {"x:0": x})
    x[...] = 5
    np.testing.assert_array_equal(result, np.ones((2, 3)))
    np.testing.assert_array_equal(fetched, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("add", "serving_default"),
        ("identity", "both"),
        ("keras_conv", "serving_default"),
        ("keras_dense", "serving_default"),
        ("keras_lstm", "serving_default"),
        ("mlp", "serving_default"),
        ("odd_names", "tensorflow/serving/predict"),
        ("scalar", "vector"),
        ("slice_view", "serving_default"),
        ("stateful", "store"),
        ("wide", "serving_default"),
    ],
)
def test_kernels_never_write_into_the_callers_array(load: Load, name: str, signature: str) -> None:
    f = load(name).signatures[signature]
    rng = np.random.default_rng(0)
    inputs = {
        key: aligned(rng.standard_normal([size or 4 for size in spec.shape or ()]), np.float32)
        for key, spec in f.inputs.items()
    }
    before = {key: value.copy() for key, value in inputs.items()}
    for _ in range(3):
        f.run(inputs)
    for key, value in inputs.items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)


def test_a_stored_input_is_not_the_callers(load: Load) -> None:
    model = load("stateful")
    store, stored = model.signatures["store"], model.signatures["load"]
    for values in [1, 2, 3, 4], [5, 6, 7, 8]:
        x = aligned(values, np.float32)
        assert "AssignVariableOp" in store.explain(x)["x"]
        returned = store(x)["v"]
        x[...] = -1
        np.testing.assert_array_equal(stored()["v"], values)
        np.testing.assert_array_equal(returned, values)


def test_reference_variables_do_not_change_earlier_results(load: Load) -> None:
    model = load("v1_ref_counter")
    incr, get = model.signatures["incr"], model.signatures["get"]
    first = get()["counter"]
    results = [incr(np.float32(1))["counter"] for _ in range(3)]
    last = get()["counter"]
    incr(np.float32(100))
    assert [float(r) for r in (first, *results, last)] == [10, 11, 12, 13, 13]


def test_resource_variables_do_not_change_earlier_results(load: Load) -> None:
    model = load("stateful")
    incr, get = model.signatures["incr"], model.signatures["get"]
    results = [get()["count"], incr(1.0)["count"], get()["count"], model.variables["count"]]
    incr(100.0)
    assert [float(r) for r in results] == [0, 1, 1, 1]


def test_results_are_views(load: Load) -> None:
    weight = load("weights").signatures["get"]()["w"]
    for result in load("mlp")(np.ones((2, 64), np.float32))["probs"], weight:
        assert result.base is not None
        assert not result.flags.owndata
        assert result.flags.c_contiguous
        assert address(result) % ALIGNMENT == 0


def test_an_ordinary_result_is_writeable(load: Load) -> None:
    model = load("mlp")
    x = aligned(np.ones((2, 64), np.float32))
    result = model(x)["probs"]
    kept = result.copy()
    assert result.flags.writeable
    result[...] = 7
    np.testing.assert_array_equal(model(x)["probs"], kept)


def test_weights_are_read_only_and_not_copied(load: Load) -> None:
    model = load("weights")
    f = model.signatures["get"]
    first, second = f()["w"], f()["w"]
    assert address(first) == address(second) == address(model.variables["w"])
    for result in first, second, model.variables["w"]:
        assert not result.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            result[0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            result.flags.writeable = True


def test_constants_are_read_only(load: Load) -> None:
    model = load("constant")
    only = model.signatures["serving_default"].run(outputs=["a"])["a"]
    both = model()
    assert not any(result.flags.writeable for result in (only, *both.values()))
    np.testing.assert_array_equal(only, both["b"])


def test_results_that_share_memory_are_read_only(load: Load) -> None:
    results = load("bad_sig").signatures["dup_out"](np.ones((2, 3), np.float32))
    assert np.shares_memory(results["y"], results["also_y"])
    assert not results["y"].flags.writeable
    assert not results["also_y"].flags.writeable


def test_results_outlive_the_model(models: Path) -> None:
    model = sm.load(models / "weights")
    weight, variable = model.signatures["get"]()["w"], model.variables["w"]
    product = model.signatures["apply"](np.eye(4, dtype=np.float32))["y"]
    kept = weight.copy()
    model.close()
    del model
    gc.collect()
    for result in weight, variable, product:
        np.testing.assert_array_equal(result, kept)
    with sm.load(models / "strings") as strings:
        upper = strings.signatures["upper"](["a rather long string, beyond what is inlined"])["t"]
    assert upper[0] == b"A RATHER LONG STRING, BEYOND WHAT IS INLINED"


def test_an_input_from_a_result(load: Load) -> None:
    model = load("identity")
    result = model(MATRIX)["y"]
    assert model.signatures["serving_default"].explain(result) == {"x": "borrowed"}
    again = model(result)["y"]
    assert not np.shares_memory(again, result)
    frozen = types.MappingProxyType({"x": load("weights").signatures["get"]()["w"]})
    np.testing.assert_array_equal(model.signatures["serving_default"].run(frozen)["y"], frozen["x"])
