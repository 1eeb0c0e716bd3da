"""`sm.watch` where Python and C++ meet: handles that are collected in any thread, interrupts, rollbacks."""

from __future__ import annotations

import gc
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import run_python


@pytest.fixture
def directory(models: Path, tmp_path: Path) -> Path:
    sm.publish(models / "add", tmp_path / "m", verify=False)
    return tmp_path / "m"


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "savedmodel watch"]


def wait_until_none_watches() -> None:
    deadline = time.monotonic() + 20
    while watching():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_handles_that_any_thread_collects(directory: Path) -> None:
    """While others look, load, switch and call: the collector runs in all of them, also in a warm-up."""

    class Cycle:
        def __init__(self, handle: sm.Watched) -> None:
            self.handle, self.itself = handle, self

    def make() -> None:
        for _ in range(8):
            handle = sm.watch(directory, poll=0.001, warmup=lambda model: gc.collect())
            ones = np.ones(2, np.float32)
            (total,) = handle(x=ones, y=ones).values()
            np.testing.assert_array_equal(total, 2 * ones)
            Cycle(handle).handle.refresh()

    def collect() -> None:
        while not done.is_set():
            gc.collect()

    done = threading.Event()
    makers = [threading.Thread(target=make) for _ in range(3)]
    others = [threading.Thread(target=collect)]
    for thread in (*makers, *others):
        thread.start()
    for _ in range(5):
        sm.publish(directory / "1", directory, verify=False)
    for thread in makers:
        thread.join()
    done.set()
    others[0].join()
    gc.collect()
    wait_until_none_watches()
    assert sm.remove_old_versions(directory, keep=1).in_use == ()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_of_a_warm_up(directory: Path, kind: type[BaseException]) -> None:
    """It is no failure of the version: the next look tries again."""
    interrupts: list[BaseException] = []

    def warm_up(model: sm.Model) -> None:
        if interrupts:
            raise interrupts.pop()

    with sm.watch(directory, poll=3600, warmup=warm_up) as handle:
        sm.publish(directory / "1", directory, verify=False)
        interrupts.append(kind("now"))
        with pytest.raises(kind, match="now"):
            handle.refresh()
        assert handle.status.failed == {}
        assert handle.status.loading is None
        assert handle.refresh() == 2
    interrupts.append(kind("now"))
    with pytest.raises(kind, match="now"):
        sm.watch(directory, warmup=warm_up)
    wait_until_none_watches()


def test_an_interrupt_of_on_change(directory: Path) -> None:
    """Who looks gets it, and the next change is told of."""
    told: list[int] = []

    def on_change(change: sm.VersionChange) -> None:
        told.append(change.version)
        if change.version == 2:
            raise KeyboardInterrupt("now")

    with sm.watch(directory, poll=3600, on_change=on_change) as handle:
        sm.publish(directory / "1", directory, verify=False)
        with pytest.raises(KeyboardInterrupt, match="now"):
            handle.refresh()
        sm.publish(directory / "1", directory, verify=False)
        assert handle.refresh() == 3
    assert told == [1, 2, 3]


def test_a_version_that_was_withdrawn(directory: Path, models: Path) -> None:
    sm.publish(models / "mlp", directory, verify=False)
    assert sm.rollback(directory, verify=False).withdrawn == (2,)
    (directory / "3" / "more").touch()
    with sm.watch(directory, poll=3600) as handle:
        assert handle.version == 1
        assert "more: added" in handle.status.failed[3]
        (directory / "3" / "more").unlink()
        assert handle.refresh() == 3
        shutil.rmtree(directory / "3")
        assert handle.refresh() == 2  # nothing says so any more


def test_names_that_are_not_utf8(directory: Path, tmp_path: Path) -> None:
    """A manifest has them as Python has: half a surrogate pair for each byte."""
    source = Path(shutil.copytree(directory / "1", tmp_path / "source"))
    (source / "assets.extra").mkdir(exist_ok=True)
    for name in (b"\xff\xe2\x82", '\u20ac \U0001f600 \x7f "\\\n'.encode()):
        (Path(str(source / "assets.extra")) / name.decode("utf-8", "surrogateescape")).touch()
    sm.publish(source, directory, verify=False)
    with sm.watch(directory, poll=3600) as handle:
        assert (handle.version, handle.status.failed) == (2, {})


def test_the_end_of_a_process_that_looks_in_many_threads(directory: Path) -> None:
    code = f"""
        import threading, time
        import savedmodel as sm
        handle = sm.watch({str(directory)!r}, poll=0.001, warmup=lambda model: time.sleep(0.05))
        def look():
            while True:
                handle.refresh()
        for _ in range(3):
            threading.Thread(target=look, daemon=True).start()
        for _ in range(3):
            sm.publish({str(directory / "1")!r}, {str(directory)!r}, verify=False)
            time.sleep(0.02)
    """
    assert run_python(code) == ("", "")
