"""Runs that nobody waits for: `Signature.submit` and `Signature.run_async`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load

LONG = {"n": np.int32(4_000_000)}  # some 20 s
X, Y = np.arange(4, dtype=np.float32), np.ones(4, np.float32)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 64)).astype(np.float32)


def test_a_future_has_the_results(load: Load) -> None:
    f = load("add").signatures["serving_default"]
    future = f.submit({"x": X, "y": Y})
    assert isinstance(future, concurrent.futures.Future)
    np.testing.assert_array_equal(next(iter(future.result(10).values())), X + Y)
    assert future.done()
    assert not future.cancel()


def test_awaited_results(load: Load) -> None:
    f = load("mlp").signatures["serving_default"]
    expected = [f(rows(count)) for count in range(1, 9)]

    async def main() -> None:
        for _ in range(3):  # in the pool at first, then at once
            found = await asyncio.gather(*(f.run_async({"x": rows(count)}) for count in range(1, 9)))
            for one, results in zip(expected, found, strict=True):
                np.testing.assert_array_equal(results["probs"], one["probs"])
        assert list(await f.run_async({"x": rows(2)}, outputs=["probs"])) == ["probs"]

    asyncio.run(main())


def test_a_loop_waits_for_quick_runs_alone(load: Load) -> None:
    """A run that takes long after thousands of quick ones has lost its core. If it happens again, its time
    depends on values, and later runs go to the pool."""
    f = load("slow", threads=1).signatures["spin"]
    quick, slow = {"n": np.int32(1)}, {"n": np.int32(4_000)}  # some 10 us, 20 ms

    async def at_once(count: int, inputs: dict[str, Any]) -> int:
        found = 0
        for _ in range(count):
            ready = f._run_if_quick(inputs)
            found += ready is not None
            await (ready if ready is not None else f.run_async(inputs))
        return found

    async def main() -> tuple[bool, bool]:
        await at_once(6_000, quick)
        forgiven = await at_once(1, slow) + await at_once(10, quick) == 11
        again = await at_once(2, slow), await at_once(10, quick)
        assert await at_once(6_000, quick) > 3_000  # it is trusted again, in time
        return forgiven, again[1] == 0

    # On a busy machine quick runs may be slow.
    outcomes = [asyncio.run(main()) for _ in range(4)]
    assert any(forgiven for forgiven, _ in outcomes)
    assert any(distrusted for _, distrusted in outcomes)


def test_coroutines_become_tasks(load: Load) -> None:
    f = load("mlp").signatures["serving_default"]
    expected = f(rows(2))["probs"]

    async def main() -> None:
        for _ in range(30):
            tasks = [asyncio.create_task(f.run_async({"x": rows(2)})) for _ in range(4)]
            for results in await asyncio.gather(*tasks):
                np.testing.assert_array_equal(results["probs"], expected)

    asyncio.run(main())
    np.testing.assert_array_equal(asyncio.run(f.run_async({"x": rows(2)}))["probs"], expected)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        del [f.run_async({"x": rows(2)})][0]


def test_a_run_whose_time_depends_on_values_leaves_the_loop_free(load: Load) -> None:
    f = load("slow", threads=1).signatures["serving_default"]

    async def main() -> int:
        late = 0
        for _ in range(8):
            for _ in range(20):
                await f.run_async({"n": np.int32(1)})
            begin = time.monotonic()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(f.run_async({"n": np.int32(200_000)}), 0.02)
            late += time.monotonic() - begin > 0.5
        return late

    assert asyncio.run(main()) <= 2  # of the first ones, before it is learned


def test_short_runs_do_not_keep_other_tasks_waiting(load: Load) -> None:
    f = load("add").signatures["serving_default"]

    async def call(stop: asyncio.Event) -> int:
        count = 0
        while not stop.is_set():
            await f.run_async({"x": X, "y": Y})
            count += 1
        return count

    async def main() -> int:
        for _ in range(100):
            await f.run_async({"x": X, "y": Y})
        stop = asyncio.Event()
        task = asyncio.create_task(call(stop))
        await asyncio.sleep(0.05)
        stop.set()
        return await asyncio.wait_for(task, 10)

    assert asyncio.run(main()) > 100


def test_a_caller_s_mistake_is_raised_at_once(load: Load) -> None:
    f = load("add").signatures["serving_default"]
    with pytest.raises(TypeError, match="unexpected input 'z'"):
        f.submit({"z": X})
    with pytest.raises(TypeError, match="take no argument 'out'"):
        f.submit({"x": X, "y": Y}, out={})  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="take no argument 'trace'"):
        asyncio.run(f.run_async({"x": X, "y": Y}, trace=True))  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected input 'z'"):
        asyncio.run(f.run_async({"z": X}))


def test_errors_of_runs_are_the_future_s(load: Load) -> None:
    f = load("embedded_columns").signatures["read_twice"]
    future = f.submit({"single": np.array([99], np.int32)})
    assert isinstance(future.exception(10), sm.InvalidArgumentError)

    async def main() -> None:
        for _ in range(200):
            await f.run_async({"single": np.array([1], np.int32)})
        for _ in range(2):
            with pytest.raises(sm.InvalidArgumentError, match="not in"):
                await f.run_async({"single": np.array([99], np.int32)})

    asyncio.run(main())


def test_a_deadline_counts_the_time_in_the_queue(load: Load) -> None:
    f = load("slow", threads=1).signatures["serving_default"]
    futures = [f.submit(LONG, timeout=0.05) for _ in range(8)]
    for future in futures:
        assert isinstance(future.exception(30), sm.DeadlineExceededError)


def test_cancelling_a_future_ends_its_run(load: Load) -> None:
    model = load("slow", threads=1)
    f = model.signatures["serving_default"]
    futures = [f.submit(LONG) for _ in range(50)]
    time.sleep(0.05)
    begin = time.monotonic()
    cancelled = [future.cancel() for future in futures]
    assert all(cancelled)
    model.close()  # waits for the runs
    assert time.monotonic() - begin < 2
    done, waiting = concurrent.futures.wait(futures, timeout=10)
    assert (len(done), len(waiting)) == (50, 0)
    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].result(1)


def test_cancelling_a_task_ends_its_run(load: Load) -> None:
    model = load("slow", threads=1)
    f = model.signatures["serving_default"]

    async def one() -> None:
        await f.run_async(LONG)

    async def main() -> None:
        task = asyncio.create_task(one())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    begin = time.monotonic()
    model.close()
    assert time.monotonic() - begin < 2


def test_many_in_flight(load: Load) -> None:
    f = load("mlp").signatures["serving_default"]
    expected = [f(rows(1 + i % 3))["probs"] for i in range(3)]
    futures = [f.submit({"x": rows(1 + i % 3)}) for i in range(10_000)]
    for i, future in enumerate(futures):
        np.testing.assert_array_equal(future.result(60)["probs"], expected[i % 3])


def test_a_closed_model(load: Load) -> None:
    model = load("mlp")
    f = model.signatures["serving_default"]
    futures = [f.submit({"x": rows(64)}) for _ in range(200)]
    model.close()
    for future in futures:
        error = future.exception(10)
        assert error is None or isinstance(error, sm.Error)
    assert isinstance(f.submit({"x": rows(1)}).exception(10), sm.FailedPreconditionError)


def test_a_closed_loop_loses_nothing_silently(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    f = load("slow", threads=1).signatures["serving_default"]

    async def main() -> Any:
        return asyncio.ensure_future(f.run_async(LONG, timeout=0.3))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    deadline = time.monotonic() + 30
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.01)
    assert any("after its event loop" in record.message for record in caplog.records)


def test_inputs_live_as_long_as_the_run(load: Load) -> None:
    f = load("mlp").signatures["serving_default"]
    expected = f(rows(100))["probs"]
    x = sm.empty((100, 64), np.float32)
    x[...] = rows(100)
    gone = weakref.ref(x)
    future = f.submit({"x": x})
    del x
    np.testing.assert_array_equal(future.result(10)["probs"], expected)
    del future
    f(rows(1))
    gc.collect()
    assert gone() is None


def test_callers_in_threads(load: Load) -> None:
    f = load("mlp").signatures["serving_default"]
    expected = f(rows(3))["probs"]
    wrong: list[int] = []

    def call(number: int) -> None:
        for _ in range(200):
            if not np.array_equal(f.submit({"x": rows(3)}).result(30)["probs"], expected):
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


EXITS = {
    "": 0,
    "sys.exit(3)": 3,
    "if os.fork() == 0: sys.exit()\nassert os.wait()[1] == 0": 0,
    "atexit.register(lambda: f.submit(feeds))": 0,
    "threading.Thread(target=pump, daemon=True).start()": 0,
    "[future.add_done_callback(lambda _: pump(1)) for future in futures]": 0,
}


@pytest.mark.parametrize(("how", "status"), EXITS.items())
def test_exit_with_runs_in_flight(models: Path, how: str, status: int) -> None:
    code = f"""
import atexit, os, sys, threading, time
import numpy as np, savedmodel as sm
f = sm.load({str(models / "slow")!r}, threads=1).signatures["serving_default"]
feeds = {{"n": np.int32(4_000_000)}}
def pump(count=10**9):
    for _ in range(count):
        f.submit(feeds)
futures = [f.submit(feeds) for _ in range(20)]
time.sleep(0.1)
print(time.time(), flush=True)
{how}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert time.time() - float(done.stdout) < 3
