"""`savedmodel.batch`: requests that share runs."""

from __future__ import annotations

import asyncio
import gc
import shutil
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .helpers import Load


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([count, seed]).normal(size=(count, 4)).astype(np.float32)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


@pytest.fixture
def busy(load: Load) -> Iterator[sm.Batcher]:
    """A batcher of `dense` that waits for more requests for as long as it is open."""
    with sm.batch(load("batching"), max_batch_size=1000, max_delay=1000) as batcher:
        yield batcher


def test_each_request_gets_its_rows(load: Load) -> None:
    model = load("batching")
    batcher = sm.batch(model, max_concurrent=1, max_delay=0.001, max_batch_size=16)
    wrong: list[BaseException] = []

    def call(seed: int) -> None:
        try:
            for count in (1, 3, 2, 1, 5) * 10:
                x = rows(count, seed)
                assert_same(batcher(x), model(x))
                assert_same(batcher.run({"x": x}), model(x))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    told = batcher.statistics()
    assert told.requests == 600
    assert told.rows == 6 * 2 * 120
    assert told.batches < 600
    assert told.failed == told.refused == told.waiting == 0


def test_coroutines_share_runs(load: Load) -> None:
    model = load("batching")
    batcher = sm.batch(model, max_batch_size=64, max_delay=0.05)

    async def main() -> None:
        found = await asyncio.gather(*(batcher.run_async({"x": rows(1, seed)}) for seed in range(64)))
        for seed, results in enumerate(found):
            assert_same(results, model(rows(1, seed)))

    for _ in range(3):  # each in an event loop of its own
        asyncio.run(main())
    assert batcher.statistics().batches == 3


def test_a_coroutine_alone_and_with_others(load: Load) -> None:
    model = load("batching")
    batcher = sm.batch(model)

    async def call(seed: int) -> None:
        for count in range(200):
            x = rows(1 + count % 3, seed)
            assert_same(await batcher.run_async({"x": x}), model(x))

    async def main() -> None:
        await call(0)
        await asyncio.gather(*(call(seed) for seed in range(8)))
        await call(9)

    asyncio.run(main())
    assert batcher.statistics().rows == 10 * (67 * 1 + 67 * 2 + 66 * 3)


def test_futures(load: Load) -> None:
    model = load("batching")
    batcher = sm.batch(model, max_batch_size=8, max_delay=1)
    futures = [batcher.submit({"x": rows(1, seed)}) for seed in range(8)]
    for seed, future in enumerate(futures):
        assert_same(future.result(30), model(rows(1, seed)))
    assert batcher.statistics().batches == 1


def test_only_the_request_at_fault_fails(load: Load) -> None:
    batcher = sm.batch(load("batching").signatures["picky"], max_batch_size=6, max_delay=1)

    async def main() -> list[Any]:
        requests = (batcher.run_async({"i": np.array([i], np.int32)}) for i in range(6))
        return await asyncio.gather(*requests, return_exceptions=True)

    found = asyncio.run(main())
    assert [float(one["squares"][0]) for one in found[:4]] == [0, 1, 4, 9]
    for error in found[4:]:
        assert isinstance(error, sm.InvalidArgumentError)
    told = batcher.statistics()
    assert told.failed == 2
    assert told.retries > 0


def test_mistakes_are_raised_at_once(load: Load, busy: sm.Batcher) -> None:
    with pytest.raises(ValueError, match=r"input 'x': expected float32 \[\?, 4\], got float32 \[1, 3\]"):
        busy(np.zeros((1, 3), np.float32))
    with pytest.raises(TypeError, match="unexpected input 'z'"):
        busy.run({"z": rows(1)})
    with pytest.raises(TypeError, match="take no argument 'out'"):
        busy.run({"x": rows(1)}, out={})  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="expected float32"):
        asyncio.run(busy.run_async({"x": np.zeros((1, 3), np.float32)}))
    assert isinstance(busy.submit({"x": np.zeros((1, 3), np.float32)}).exception(10), ValueError)
    model = load("batching")
    with pytest.raises(ValueError, match=r"output 'total'.*no axis 0"):
        sm.batch(model, signature="total")
    with pytest.raises(sm.FailedPreconditionError, match="output 'mean' of a batch of 2 rows"):
        sm.batch(model, signature="mean")
    with pytest.raises(KeyError, match="nothing"):
        sm.batch(model, signature="nothing")
    with pytest.raises(TypeError, match="a model, a signature or a watched model, got int"):
        sm.batch(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="signature= chooses one of a model"):
        sm.batch(model.signatures["sums"], signature="sums")
    with pytest.raises(KeyError, match="no input 'ids'"):
        sm.batch(model, pad_value={"ids": 0})
    with pytest.raises(KeyError, match="no input or output 'ids'"):
        sm.batch(model, batch_axis={"ids": 1})
    with pytest.raises(ValueError, match="max_delay"):
        sm.batch(model, max_delay=-1)
    with pytest.raises(ValueError, match="max_queue"):
        sm.batch(model, max_queue=0)
    with pytest.raises(TypeError, match=r"use savedmodel\.batch"):
        sm.Batcher()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_batch_size": -1}, ValueError, "max_batch_size must be 1 or more, got -1"),
        ({"max_batch_size": 1.5}, TypeError, "max_batch_size must be a whole number"),
        ({"max_concurrent": 0.5}, TypeError, "max_concurrent must be a whole number"),
        ({"max_queue": -2}, ValueError, "max_queue must be 1 or more"),
        ({"max_delay": "1"}, TypeError, "max_delay must be a number of seconds"),
        ({"pad_to": [0]}, ValueError, "pad_to must be 1 or more"),
        ({"pad_to": 3}, TypeError, "pad_to must be a list of sizes"),
        ({"pad_value": 3}, TypeError, "pad_value must be a dict"),
        ({"batch_axis": {"x": "rows"}}, TypeError, "number of an axis"),
        ({"batch_axis": {"x": 7}}, ValueError, "no axis 7"),
        ({"sample": [1]}, TypeError, "sample must be a dict"),
        ({"warm_up": "yes"}, TypeError, "warm_up must be a bool"),
    ],
)
def test_wrong_options(load: Load, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        sm.batch(load("batching"), **options)


@pytest.mark.parametrize("signature", ["sparse", "ragged"])
def test_composite_values_are_refused(load: Load, signature: str) -> None:
    with pytest.raises(ValueError, match="sparse, ragged or composite value"):
        sm.batch(load("composite"), signature=signature)


def test_a_sample_has_to_run(load: Load) -> None:
    picky = load("batching").signatures["picky"]
    with pytest.raises(sm.InvalidArgumentError, match="not in"):
        sm.batch(picky, sample={"i": np.array([7], np.int32)})
    batcher = sm.batch(picky, sample={"i": np.array([3, 2], np.int32)})
    assert 1 in batcher.statistics().seconds


def test_outputs_are_chosen_once(load: Load) -> None:
    batcher = sm.batch(load("batching"), signature="mean", outputs="y")
    assert list(batcher.outputs) == ["y"]
    assert list(batcher(rows(2))) == ["y"]
    assert list(batcher.inputs) == ["x"]
    assert "signature 'mean'" in repr(batcher)


def test_sequences_are_padded_and_cut_back(load: Load) -> None:
    batcher = sm.batch(
        load("batching").signatures["tokens"], max_batch_size=3, max_delay=1, pad_value={"ids": 0}
    )

    async def main() -> list[dict[str, Any]]:
        given = [[[1, 2]], [[3, 4, 5], [6, 7, 8]]]
        return await asyncio.gather(*(batcher.run_async({"ids": np.array(one, np.int32)}) for one in given))

    short, long = asyncio.run(main())
    assert batcher.statistics().batches == 1
    assert short["count"].tolist() == [2]
    assert short["doubled"].tolist() == [[2, 4]]
    assert long["doubled"].tolist() == [[6, 8, 10], [12, 14, 16]]


def test_strings(load: Load) -> None:
    batcher = sm.batch(load("batching").signatures["words"], max_batch_size=3, max_delay=1)
    futures = [batcher.submit({"text": [b"ab", b""]}), batcher.submit({"text": [b"xyz"]})]
    assert futures[0].result(30)["upper"].tolist() == [b"AB", b""]
    assert futures[1].result(30)["upper"].tolist() == [b"XYZ"]
    assert futures[1].result(30)["length"].tolist() == [3]


def test_results_are_views_that_outlive_the_batcher(load: Load) -> None:
    model = load("batching")
    batcher = sm.batch(model, max_batch_size=2, max_delay=1)
    futures = [batcher.submit({"x": rows(1, seed)}) for seed in range(2)]
    found = [future.result(30) for future in futures]
    assert not found[0]["y"].flags.owndata
    expected = [model(rows(1, seed)) for seed in range(2)]
    del batcher, futures
    gc.collect()
    for one, two in zip(found, expected, strict=True):
        assert_same(one, two)


def test_deadlines(busy: sm.Batcher) -> None:
    with pytest.raises(sm.DeadlineExceededError, match=r"took longer than 0\.02"):
        busy.run({"x": rows(1)}, timeout=0.02)
    with pytest.raises(sm.DeadlineExceededError):
        asyncio.run(busy.run_async({"x": rows(1)}, timeout=0.02))
    assert isinstance(busy.submit({"x": rows(1)}, timeout=0.02).exception(30), sm.DeadlineExceededError)
    assert busy.statistics().waiting == 0


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_cancelled_requests_leave_the_queue(busy: sm.Batcher) -> None:
    future = busy.submit({"x": rows(1)})
    wait_until(lambda: busy.statistics().waiting == 1)
    assert future.cancel()
    wait_until(lambda: busy.statistics().waiting == 0)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(busy.run_async({"x": rows(1)}), 0.02)
        while busy.statistics().waiting:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_closing_answers_what_waits(load: Load) -> None:
    model = load("batching")
    batcher = sm.batch(model, max_batch_size=1000, max_delay=1000)
    futures = [batcher.submit({"x": rows(1, seed)}) for seed in range(5)]
    batcher.close()
    for seed, future in enumerate(futures):
        assert_same(future.result(0), model(rows(1, seed)))
    with pytest.raises(sm.FailedPreconditionError, match="the batcher is closed"):
        batcher(rows(1))
    batcher.close()


def test_a_full_queue(load: Load) -> None:
    with sm.batch(load("batching"), max_batch_size=1000, max_delay=1000, max_queue=2) as batcher:
        futures = [batcher.submit({"x": rows(1)}) for _ in range(2)]
        with pytest.raises(sm.ResourceExhaustedError, match="2 requests wait already"):
            batcher(rows(1))
    for future in futures:
        future.result(0)


def test_a_collected_batcher_answers_and_frees_its_model(models: Path) -> None:
    model = sm.load(models / "batching")
    batcher = sm.batch(model, max_batch_size=1000, max_delay=0.05)
    expected = model(rows(1))

    async def main() -> None:
        nonlocal batcher
        task = asyncio.create_task(batcher.run_async({"x": rows(1)}))
        await asyncio.sleep(0)
        del batcher
        gc.collect()
        assert_same(await task, expected)

    asyncio.run(main())
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_event_loops_of_several_threads(load: Load) -> None:
    model = load("batching")
    batcher = sm.batch(model, max_batch_size=8, max_delay=0.001)
    wrong: list[BaseException] = []

    async def main(seed: int) -> None:
        for _ in range(20):
            found = await asyncio.gather(*(batcher.run_async({"x": rows(1, seed + i)}) for i in range(4)))
            for i, results in enumerate(found):
                assert_same(results, model(rows(1, seed + i)))

    def work(seed: int) -> None:
        try:
            asyncio.run(main(seed))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(10 * seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_requests_meet_the_newest_version(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "batching", tmp_path / "1")
    with sm.watch(tmp_path, poll=1000) as watched:
        expected = watched(rows(2))
        batchers = [sm.batch(watched), sm.batch(watched.signatures["serving_default"])]
        stop, wrong, count = threading.Event(), [], [0, 0]

        def call(number: int) -> None:
            try:
                while not stop.is_set():
                    assert_same(batchers[number](rows(2)), expected)
                    count[number] += 1
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=call, args=(number % 2,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for version in range(2, 5):
            shutil.copytree(models / "batching", tmp_path / str(version))
            assert watched.refresh() == version
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong
        assert min(count) > 0


def test_a_version_with_other_inputs_is_told(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "add", tmp_path / "1")
    with sm.watch(tmp_path, poll=1000) as watched:
        batcher = sm.batch(watched)
        x = np.ones(3, np.float32)
        np.testing.assert_array_equal(next(iter(batcher(x, x).values())), [2, 2, 2])
        shutil.copytree(models / "batching", tmp_path / "2")
        watched.refresh()
        told = pytest.raises(sm.FailedPreconditionError, match="other inputs or outputs")
        with told:
            batcher(x, x)
        with told:
            asyncio.run(batcher.run_async({"x": x, "y": x}))
        with told:
            batcher.submit({"x": x, "y": x}).result(30)


def test_two_lengths_are_not_mixed_up(load: Load) -> None:
    batcher = sm.batch(
        load("batching").signatures["pairs"], max_batch_size=2, max_delay=1, pad_value={"a": 0, "b": 0}
    )

    async def main() -> list[dict[str, Any]]:
        widths = ((2, 5), (5, 3))
        return await asyncio.gather(
            *(
                batcher.run_async({"a": np.ones((1, a), np.int32), "b": np.ones((1, b), np.int32)})
                for a, b in widths
            )
        )

    one, two = asyncio.run(main())
    assert (one["a2"].shape, one["b2"].shape) == ((1, 2), (1, 5))
    assert (two["a2"].shape, two["b2"].shape) == ((1, 5), (1, 3))


def test_many_short_lived_event_loops(load: Load) -> None:
    batcher = sm.batch(load("batching"))
    x = rows(1)
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                asyncio.run(batcher.run_async({"x": x}))
        except BaseException as error:
            wrong.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


def run_child(code: str, models: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    setup = f"""
import asyncio, os, signal, sys, threading, time
import numpy as np
import savedmodel as sm
x = np.ones((1, 4), np.float32)
batcher = sm.batch(sm.load({str(models / "batching")!r}), max_batch_size=1000, max_delay=1000)
"""
    return subprocess.run(
        [sys.executable, "-c", setup + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    "code",
    [
        "futures = [batcher.submit({'x': x}) for _ in range(20)]",
        "threading.Thread(target=lambda: batcher(x), daemon=True).start(); time.sleep(0.1)",
        """
async def main():
    tasks = [asyncio.create_task(batcher.run_async({'x': x})) for _ in range(20)]
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
        """
loop = asyncio.new_event_loop()
tasks = [loop.create_task(batcher.run_async({'x': x})) for _ in range(5)]
loop.run_until_complete(asyncio.sleep(0.05))
""",
    ],
)
def test_exit_with_requests_in_flight(code: str, models: Path) -> None:
    begin = time.monotonic()
    child = run_child(code + "\nprint('end')", models)
    assert (child.returncode, child.stdout) == (0, "end\n"), child.stderr
    assert "Fatal" not in child.stderr
    assert time.monotonic() - begin < 30


def test_ctrl_c_ends_a_request_that_waits(models: Path) -> None:
    child = run_child(
        """
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
begin = time.monotonic()
try:
    batcher(x)
except KeyboardInterrupt:
    print(time.monotonic() - begin < 2)
""",
        models,
    )
    assert (child.returncode, child.stdout) == (0, "True\n"), child.stderr


def test_a_forked_child_is_told(models: Path) -> None:
    child = run_child(
        """
pid = os.fork()
if pid == 0:
    try:
        batcher(x)
    except sm.FailedPreconditionError as error:
        print('fork' in str(error), flush=True)
    os._exit(0)
print(os.waitpid(pid, 0)[1], flush=True)
""",
        models,
    )
    assert (child.returncode, child.stdout) == (0, "True\n0\n"), child.stderr
