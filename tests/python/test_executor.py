"""Runs that need no session: which values kernels may overwrite, what is computed, what a failure leaves."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
import savedmodel as sm

from .helpers import IN_A_SESSION, Array, Load, aligned, misaligned

OUTPUTS = ["a", "b", "square", "last", "same_x", "twice"]


def expected(x: Array, y: Array) -> dict[str, Array]:
    a = x + np.float32(1)
    b = np.exp(-a)
    return {"a": a, "b": b, "square": a * a, "last": np.sqrt(b + a * a) - y, "same_x": x, "twice": y}


@pytest.mark.parametrize("make", [aligned, misaligned])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_no_value_is_overwritten_while_it_is_needed(load: Load, make: type, count: int) -> None:
    # A misaligned input is copied, and the copy is TensorFlow's to write into.
    f = load("in_place").signatures["serving_default"]
    x, y = (np.linspace(a, b, 33, dtype=np.float32) for a, b in [(-2, 2), (5, 7)])
    for outputs in itertools.combinations(OUTPUTS, count):
        given = {"x": make(x), "y": make(y)}
        results = f.run(given, outputs=outputs)
        assert set(results) == set(outputs)
        for name in outputs:
            np.testing.assert_allclose(results[name], expected(x, y)[name], rtol=1e-5, err_msg=str(outputs))
            assert results[name].flags.writeable
            results[name][...] = -1
        np.testing.assert_array_equal(given["x"], x)
        np.testing.assert_array_equal(given["y"], y)


def test_a_check_that_only_orders_the_run_is_made(load: Load) -> None:
    f = load("in_place").signatures["serving_default"]
    x, y = aligned(np.full(4, 101, np.float32)), aligned(np.ones(4, np.float32))
    for outputs in ["last", "same_x", None]:
        with pytest.raises(sm.InvalidArgumentError, match="x is too large"):
            f.run({"x": x, "y": y}, outputs=outputs)
    x[:] = 1
    np.testing.assert_allclose(f(x=x, y=y)["last"], expected(x, y)["last"], rtol=1e-5)


def test_runs_of_one_function_share_no_values(load: Load) -> None:
    f = load("in_place").signatures["serving_default"]
    wrong: list[int] = []

    def run(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(300):
            x, y = (generator.normal(size=1 + seed * 7).astype(np.float32) for _ in range(2))
            results = f(x=x, y=y)
            if any(not np.allclose(results[k], v, 1e-4, 1e-5) for k, v in expected(x, y).items()):
                wrong.append(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_a_session_has_to_run_gives_the_same(load: Load) -> None:
    # TensorFlow's options go through the session; so does a model with options of its own.
    x, y = aligned(np.ones(5, np.float32)), aligned(np.arange(5, dtype=np.float32))
    f = load("in_place").signatures["serving_default"]
    usual = f(x=x, y=y)
    in_time = f.run({"x": x, "y": y}, timeout=60)
    traced, trace = f.run({"x": x, "y": y}, trace=True)
    plain = f.run({"x": x, "y": y}, options=IN_A_SESSION)
    pooled = load("in_place", session=sm.SessionOptions(inter_op_threads=2)).signatures["serving_default"](
        x=x, y=y
    )
    assert trace.events
    for results in in_time, traced, plain, pooled:
        for name in OUTPUTS:
            np.testing.assert_array_equal(results[name], usual[name])
