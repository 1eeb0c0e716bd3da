"""Many threads on one model, and closing it under them."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load

MANY_ROWS = (20_000, 64)  # for "mlp": products that are worth several threads


def own_threads() -> int:
    """How many threads of models this process has."""
    comms = [thread / "comm" for thread in Path("/proc/self/task").iterdir()]
    return sum("savedmodel" in comm.read_text() for comm in comms)


def test_eight_threads_get_their_own_results(load: Load) -> None:
    model = load("mlp")
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(3, 64)).astype(np.float32) for _ in range(8)]
    expected = [model(x)["probs"].copy() for x in inputs]

    def work(index: int) -> None:
        for _ in range(300):
            np.testing.assert_array_equal(model(inputs[index])["probs"], expected[index])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_first_calls_from_many_threads_at_once(load: Load) -> None:
    model = load("multi")
    names = [name for name in model.signatures if name != "no_inputs"]
    barrier = threading.Barrier(8)

    def work(index: int) -> dict[str, Any]:
        barrier.wait()
        signature = model.signatures[names[index % len(names)]]
        return signature.run({key: np.ones(3, np.float32) for key in signature.inputs})

    with ThreadPoolExecutor(8) as pool:
        assert all(list(pool.map(work, range(8))))


def test_the_gil_is_released_during_a_run(load: Load) -> None:
    model = load("slow")
    progress = 0
    done = threading.Event()

    def count() -> None:
        nonlocal progress
        while not done.is_set():
            progress += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    before = progress
    model.signatures["spin"].run({"n": np.int32(20_000)})
    during = progress - before
    done.set()
    counter.join()
    assert during > 3


def test_threads_setting(load: Load) -> None:
    x = np.ones((2, 64), np.float32)
    results = [load("mlp", threads=threads)(x)["probs"] for threads in (1, 2, 3)]
    results.append(load("mlp")(x)["probs"])
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)


def test_threads_are_the_models_own(load: Load) -> None:
    """They start when there is work for them, show in the process' thread list, and go with the model."""
    before = own_threads()
    model = load("mlp", threads=5)
    model(np.ones((1, 64), np.float32))
    assert own_threads() == before
    model(np.ones(MANY_ROWS, np.float32))
    assert 4 <= own_threads() - before <= 5  # the caller is one of the five
    model.close()
    del model
    deadline = time.monotonic() + 10
    while own_threads() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert own_threads() == before


def test_threads_are_as_many_as_cpus_by_default(load: Load) -> None:
    before = own_threads()
    model = load("mlp")
    model(np.ones(MANY_ROWS, np.float32))
    assert own_threads() - before <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("threads", [None, 3])
def test_a_config_with_intra_op_threads_means_tensorflows_pool(load: Load, threads: int | None) -> None:
    config = b"\x10\x02"  # ConfigProto.intra_op_parallelism_threads = 2
    before = own_threads()
    model = load("mlp", threads=threads, session=sm.SessionOptions(config=config))
    result = model(np.ones(MANY_ROWS, np.float32))["probs"]
    assert (own_threads() > before) == (threads is not None)
    expected = load("mlp", threads=1)(np.ones((1, 64), np.float32))["probs"]
    np.testing.assert_allclose(result[[0, -1]], np.repeat(expected, 2, axis=0), rtol=1e-5)


def test_close_waits_for_running_calls(load: Load) -> None:
    model = load("slow")
    spin = model.signatures["spin"]
    spin(np.int32(1))
    states: list[str] = []

    def work() -> None:
        states.append("started")
        spin(np.int32(30_000))
        states.append("finished")

    thread = threading.Thread(target=work)
    thread.start()
    while not states:
        time.sleep(0.001)
    time.sleep(0.05)
    model.close()
    # The call is over; its thread may still have to take the GIL to say so.
    thread.join()
    assert states == ["started", "finished"]


def test_close_under_fire(load: Load) -> None:
    """Every call either gives its result or says that the model is closed."""
    model = load("mlp")
    x = np.ones((1, 64), np.float32)
    expected = model(x)["probs"].copy()
    outcomes: list[str] = []

    def work() -> None:
        while True:
            try:
                np.testing.assert_array_equal(model(x)["probs"], expected)
            except sm.FailedPreconditionError as error:
                outcomes.append(str(error))
                return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    model.close()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert all("closed" in outcome for outcome in outcomes)


def test_close_twice_and_from_many_threads(load: Load) -> None:
    model = load("mlp")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: model.close(), range(8)))
    assert model.closed
    model.close()
    with pytest.raises(sm.FailedPreconditionError, match="closed"):
        model.run("Identity:0")


def test_models_do_not_share_state(load: Load) -> None:
    first, second = load("stateful"), load("stateful")
    first.signatures["incr"](np.float32(5))
    assert first.signatures["get"]()["count"] == 5
    assert second.signatures["get"]()["count"] == 0


def test_state_is_shared_by_the_threads_of_a_model(load: Load) -> None:
    incr = load("stateful").signatures["incr"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: incr(np.float32(1)), range(400)))
    assert incr(np.float32(0))["count"] == 400
