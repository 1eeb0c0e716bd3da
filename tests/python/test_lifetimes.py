"""Inputs are let go after their call, results with their last view, models when collected."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import IN_A_SESSION, Array, Load, aligned, misaligned, run_python

MEGABYTE = 1 << 20


def resident() -> int:
    """Megabytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // MEGABYTE


def wait_until(done: Callable[[], bool]) -> None:
    """TensorFlow's threads may let go of an input a moment after the call's return."""
    deadline = time.monotonic() + 10
    while not done() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert done()


def is_dead(reference: weakref.ref[Array]) -> bool:
    return reference() is None


@pytest.mark.parametrize("session", [None, sm.SessionOptions(inter_op_threads=2)])
@pytest.mark.parametrize("make", [aligned, misaligned])
def test_inputs_are_released_after_the_call(
    load: Load, make: Callable[[Array], Array], session: sm.SessionOptions | None
) -> None:
    model = load("wide", session=session)
    f = model.signatures["serving_default"]
    calls: list[Callable[[Array], object]] = [
        lambda x: f(x),
        lambda x: f.run({"x": x}, timeout=60),
        lambda x: f.run({"x": x}, trace=True),
        lambda x: f.run({"x": x}, options=IN_A_SESSION),
        lambda x: f.explain(x),
        lambda x: model.run(f.outputs["y"].name, {f.inputs["x"].name: x}),
    ]
    for call in calls:
        x = make(np.ones((8, 64), np.float32))
        alive = weakref.ref(x)
        results = call(x)
        del x
        wait_until(partial(is_dead, alive))
        del results


def test_inputs_are_released_after_an_error(load: Load) -> None:
    f = load("add").signatures["serving_default"]
    x, y = aligned(np.ones(3, np.float32)), aligned(np.ones(4, np.float32))
    alive = [weakref.ref(x), weakref.ref(y)]
    with pytest.raises(sm.InvalidArgumentError):
        f(x, y)
    with pytest.raises(TypeError):
        f(x, None)
    del x, y
    wait_until(lambda: all(map(is_dead, alive)))


def test_strings_are_released_after_the_call(load: Load) -> None:
    f = load("strings").signatures["upper"]
    words = np.array([b"left", "right"], object)
    alive = weakref.ref(words)
    results = f(words)
    del words
    wait_until(partial(is_dead, alive))
    assert list(results["t"]) == [b"LEFT", b"RIGHT"]


def test_a_run_holds_what_its_dict_held(models: Path) -> None:
    # A process of its own, as memory that was freed too early ends the process.
    out, _ = run_python(
        f"""
        import threading, time
        import numpy as np
        import savedmodel as sm

        f = sm.load({str(models / "mlp")!r}).signatures["serving_default"]
        for call in f, f.run:
            call({{"x": np.ones((1, 64), np.float32)}})
            x = sm.empty((300_000, 64))
            x[...] = 1
            inputs = {{"x": x}}
            del x
            thread = threading.Thread(target=lambda: (time.sleep(0.02), inputs.clear()))
            thread.start()
            probs = call(inputs)["probs"]
            thread.join()
            print((probs == probs[0]).all())
        """
    )
    assert out.split() == ["True", "True"]


def test_a_run_holds_parts_that_are_made_when_asked_for(models: Path) -> None:
    out, _ = run_python(
        f"""
        import numpy as np
        import savedmodel as sm

        ROWS = 8_000_000

        class Diagonal:
            @property
            def indices(self):
                indices = sm.empty((ROWS, 2), np.int64)
                indices[:, 0], indices[:, 1] = np.arange(ROWS), 0
                return indices

            @property
            def values(self):
                values = sm.empty(ROWS)
                values[...] = 1
                return values

            @property
            def dense_shape(self):
                return np.array([ROWS, 1])

        f = sm.load({str(models / "composite")!r}).signatures["sparse"]
        print((f.run({{"x": Diagonal()}}, outputs="dense")["dense"] == 2).all())
        """
    )
    assert out.split() == ["True"]


def test_many_calls_do_not_grow(load: Load) -> None:
    add, strings = load("add"), load("strings").signatures["join"]
    x, y = aligned(np.ones(256, np.float32)), misaligned(np.ones(256, np.float32))
    words = np.array([b"left", "right"], object)
    f = add.signatures["serving_default"]
    out = {"z": np.empty(256, np.float32)}

    def calls(count: int) -> None:
        for _ in range(count):
            add(x, y)
            f.run({"x": x, "y": y}, out=out)
            add.run(f.outputs["z"].name, {f.inputs["x"].name: x, f.inputs["y"].name: y})
            strings(words, words)
            with pytest.raises(TypeError):
                f(x, z=y)

    calls(200)
    gc.collect()
    tracemalloc.start()
    try:
        before_python, before = tracemalloc.get_traced_memory()[0], resident()
        calls(10_000)
        gc.collect()
        grown_python = tracemalloc.get_traced_memory()[0] - before_python
        assert grown_python < 256 * 1024
        assert resident() - before < 32
    finally:
        tracemalloc.stop()


def test_memory_of_results_is_freed_with_the_last_view(load: Load) -> None:
    f = load("slice_view").signatures["serving_default"]
    x = sm.empty((4 * MEGABYTE, 16))  # 256 MB
    x[...] = 1
    f.run({"x": x}, outputs="flat")  # TensorFlow's allocator keeps what was freed for the next call
    before = resident()
    view = f.run({"x": x}, outputs="flat")["flat"][-10:]
    other = f.run({"x": x}, outputs="flat")["flat"]
    assert resident() - before > 200
    np.testing.assert_array_equal(view, np.ones(10))
    np.testing.assert_array_equal(other[:10], np.ones(10))
    del view, other
    gc.collect()
    with_two = resident()
    for _ in range(4):
        view = f.run({"x": x}, outputs="flat")["flat"][-10:]
        other = f.run({"x": x}, outputs="flat")["flat"]
        del view, other
    assert resident() - with_two < 64


def test_memory_of_inputs_is_freed(load: Load) -> None:
    f = load("slice_view").signatures["serving_default"]

    def call() -> None:
        x = sm.empty((4 * MEGABYTE, 16))
        x[...] = 1
        f.run({"x": x}, outputs="flat")

    call()
    before = resident()
    for _ in range(4):
        call()
    assert resident() - before < 64


def test_a_model_is_collected(models: Path) -> None:
    model = sm.load(models / "add")
    f = model.signatures["serving_default"]
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
    # A signature keeps the session.
    np.testing.assert_array_equal(f(np.ones(2, np.float32), np.ones(2, np.float32))["z"], [2, 2])


def test_loading_again_and_again_does_not_grow(models: Path) -> None:
    def loads(count: int) -> None:
        for _ in range(count):
            with sm.load(models / "mlp") as model:
                model(np.ones((1, 64), np.float32))

    loads(10)
    gc.collect()
    before = resident()
    loads(100)
    gc.collect()
    assert resident() - before < 64


def test_signatures_share_their_weights(load: Load) -> None:
    """Each as it is in the graph, with a factor folded into it, and packed."""
    model = load("many_signatures", threads=1)
    x = np.ones((1, 1024), np.float32)
    first = model.signatures["s0"](x)["y"]
    before = resident()
    for i in range(1, 6):
        np.testing.assert_allclose(model.signatures[f"s{i}"](x)["y"], first * (i + 1), rtol=1e-6)
    assert resident() - before < 40  # one that had its own would take 24
    assert all(report.optimized for report in model.prepare())
