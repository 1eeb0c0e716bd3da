"""`sm.watch`: the newest version that works serves, and nobody notices how."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .helpers import run_python

WIDTH = 1024
X = np.full((1, WIDTH), 1 / WIDTH, np.float32)

MODEL = """
saved_model_schema_version: 1
meta_graphs {{
  meta_info_def {{ tags: "serve" }}
  graph_def {{
    versions {{ producer: 1882 }}
    node {{ name: "x" op: "Placeholder" attr {{ key: "dtype" value {{ type: DT_FLOAT }} }}
      attr {{ key: "shape" value {{ shape {{ dim {{ size: -1 }} dim {{ size: {width} }} }} }} }} }}
    node {{ name: "w" op: "Const" attr {{ key: "dtype" value {{ type: DT_FLOAT }} }}
      attr {{ key: "value" value {{ tensor {{ dtype: DT_FLOAT float_val: {version}
        tensor_shape {{ dim {{ size: {width} }} dim {{ size: {width} }} }} }} }} }} }}
    node {{ name: "y" op: "MatMul" input: "x" input: "w"
      attr {{ key: "T" value {{ type: DT_FLOAT }} }} }}
  }}
  signature_def {{ key: "serving_default" value {{
    inputs {{ key: "x" value {{ name: "x:0" dtype: DT_FLOAT
      tensor_shape {{ dim {{ size: -1 }} dim {{ size: {width} }} }} }} }}
    outputs {{ key: "y" value {{ name: "y:0" dtype: DT_FLOAT
      tensor_shape {{ dim {{ size: -1 }} dim {{ size: {width} }} }} }} }}
    method_name: "tensorflow/serving/predict" }} }}
}}
"""


def publish(directory: Path, version: int) -> None:
    """A version with 4 MB of weights that answers X with its number."""
    source = directory.with_name(f"{directory.name}-source")
    source.mkdir(exist_ok=True)
    (source / "saved_model.pbtxt").write_text(MODEL.format(version=version, width=WIDTH))
    assert sm.publish(source, directory, version=version, verify=False).version == version


def answer(handle: Callable[..., dict[str, np.ndarray]]) -> int:
    y = handle(X)["y"]
    assert y.shape == (1, WIDTH)
    version = round(float(y[0, 0]))
    np.testing.assert_allclose(y, version, rtol=1e-5)
    return version


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("savedmodel")]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    publish(tmp_path / "m", 1)
    return tmp_path / "m"


def test_a_newer_version_replaces_the_old(directory: Path) -> None:
    changes: list[sm.VersionChange] = []
    with sm.watch(directory, poll=60, on_change=changes.append) as handle:
        f = handle.signatures["serving_default"]
        assert (handle.version, answer(handle), answer(f)) == (1, 1, 1)
        assert handle.refresh() == 1
        publish(directory, 5)
        assert answer(handle) == 1
        assert handle.refresh() == 5
        assert (handle.version, answer(handle), answer(f)) == (5, 5, 5)
        assert float(handle.run("y", {"x": X})[0, 0]) == pytest.approx(5)
        assert float(f.run({"x": X}, outputs=["y"])["y"][0, 0]) == pytest.approx(5)
        assert f.inputs["x"].shape == (None, WIDTH)
        assert list(handle.signatures) == ["serving_default"]
        with pytest.raises(KeyError, match="there are: 'serving_default'"):
            handle.signatures["other"]
        status = handle.status
        assert (status.version, status.path) == (5, str(directory / "5"))
        assert (status.switches, status.failed, status.error, status.closed) == (1, {}, "", False)
        publish(directory, 3)  # older than what serves
        assert handle.refresh() == 5
    assert [(one.version, one.previous, one.error) for one in changes] == [(1, None, None), (5, 1, None)]


def test_the_directory_is_looked_at(directory: Path) -> None:
    with sm.watch(directory, poll=0.01) as handle:
        publish(directory, 2)
        wait_until(lambda: handle.version == 2)
        assert answer(handle) == 2
        assert sm.rollback(directory, verify=False).version == 3
        wait_until(lambda: handle.version == 3)
        assert answer(handle) == 1


def test_a_broken_version_changes_nothing(
    directory: Path, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes: list[sm.VersionChange] = []
    with (
        caplog.at_level(logging.INFO, "savedmodel.watch"),
        sm.watch(directory, poll=60, on_change=changes.append) as handle,
    ):
        shutil.copytree(models / "bad_short_shard", directory / "2")
        for _ in range(3):
            assert handle.refresh() == 1
        assert answer(handle) == 1
        assert "the index needs" in handle.status.failed[2]
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "version 2 can't be used, 1 stays" in warnings[0].getMessage()
        assert isinstance(changes[-1].error, sm.DataLossError)
        assert len(changes) == 2
        publish(directory, 3)  # the next one is not held up
        assert handle.refresh() == 3
        shutil.copytree(models / "bad_short_shard", directory / "4")
        assert handle.refresh() == 3
        # It is tried again when its files change.
        shard = "variables/variables.data-00000-of-00001"
        shutil.copy(models / "mlp" / shard, directory / "4" / shard)
        assert handle.refresh() == 4
        assert handle(np.ones((1, 64), np.float32))["probs"].shape == (1, 10)
        assert 4 not in handle.status.failed


def test_a_version_whose_files_can_not_be_listed(directory: Path) -> None:
    changes: list[sm.VersionChange] = []
    with sm.watch(directory, poll=60, on_change=changes.append) as handle:
        publish(directory, 2)
        (directory / "2" / "more").symlink_to("nowhere")
        for _ in range(3):
            assert handle.refresh() == 1
        assert [(one.version, type(one.error)) for one in changes[1:]] == [(2, FileNotFoundError)]
        (directory / "2" / "more").unlink()
        assert handle.refresh() == 2


def test_a_version_that_is_not_what_was_published(directory: Path) -> None:
    with sm.watch(directory, poll=60) as handle:
        publish(directory, 2)
        file = directory / "2" / "saved_model.pbtxt"
        content = file.read_bytes()
        file.write_bytes(content + b" ")
        assert handle.refresh() == 1
        assert "is not what was published" in handle.status.failed[2]
        file.write_bytes(content)
        assert handle.refresh() == 2


def test_a_version_that_others_copy(directory: Path, models: Path) -> None:
    """Without a temporary name: as long as the model's file is not there, it is no version."""
    with sm.watch(directory, poll=60) as handle:
        shutil.copytree(models / "mlp" / "variables", directory / "2" / "variables")
        assert handle.refresh() == 1
        assert handle.status.failed == {}
        shutil.copy(models / "mlp" / "saved_model.pb", directory / "2")
        assert handle.refresh() == 2


def test_a_warm_up_that_fails(directory: Path) -> None:
    def refuse_two(model: sm.Model) -> None:
        if answer(model) == 2:
            raise ValueError("two is not wanted")

    with sm.watch(directory, poll=60, warmup=refuse_two) as handle:
        publish(directory, 2)
        assert handle.refresh() == 1
        assert handle.status.failed == {2: "two is not wanted"}
        publish(directory, 3)
        assert handle.refresh() == 3


def test_the_start(directory: Path, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "bad_truncated_pb", directory / "2")
    with sm.watch(directory, poll=60) as handle:
        assert answer(handle) == 1
        assert list(handle.status.failed) == [2]
    shutil.rmtree(directory / "1")
    with pytest.raises(sm.OutOfRangeError, match="truncated"):
        sm.watch(directory)
    shutil.rmtree(directory / "2")
    with pytest.raises(sm.NotFoundError, match="has no versions"):
        sm.watch(directory)
    with pytest.raises(sm.NotFoundError, match="no such directory"):
        sm.watch(tmp_path / "none")
    assert threads() == []


def test_a_version_that_is_taken_away(directory: Path) -> None:
    """As with TensorFlow Serving, the next lower one serves then; with none left, what is loaded does."""
    publish(directory, 2)
    with sm.watch(directory, poll=60) as handle:
        shutil.rmtree(directory / "2")
        assert handle.refresh() == 1
        assert answer(handle) == 1
        directory.rename(directory.with_name("away"))
        assert handle.refresh() == 1
        assert "no such directory" in handle.status.error
        assert answer(handle) == 1
        directory.with_name("away").rename(directory)
        publish(directory, 3)
        assert handle.refresh() == 3
        assert handle.status.error == ""


def test_a_call_keeps_its_version(directory: Path, models: Path) -> None:
    shutil.copytree(models / "slow", directory / "2")
    with sm.watch(directory, poll=60) as handle:
        results: list[object] = []
        steps = np.int32(50_000)
        call = threading.Thread(target=lambda: results.append(handle(steps)))
        call.start()
        time.sleep(0.05)
        publish(directory, 3)
        assert handle.refresh() == 3
        assert answer(handle) == 3  # while the old one still works
        assert handle.status.draining == (2,)
        assert sm.remove_old_versions(directory, keep=1).in_use == (2,)
        call.join()
        assert len(results) == 1
        wait_until(lambda: handle.status.draining == ())
        assert sm.remove_old_versions(directory, keep=1).removed == (2,)


def test_fifty_switches_under_load(directory: Path) -> None:
    """No call fails or is wrong, none goes back to an older version, and memory stays flat."""
    switches, flat_from = 50, 15
    stop = threading.Event()
    failures: list[BaseException] = []
    counts = [0] * 4

    def call(index: int) -> None:
        last = 0
        handle_or_signature = handle if index % 2 else handle.signatures["serving_default"]
        try:
            while not stop.is_set():
                version = answer(handle_or_signature)
                assert last <= version <= highest
                last = version
                counts[index] += 1
        except BaseException as error:
            failures.append(error)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    highest = 1
    with sm.watch(directory, poll=0.01, threads=1) as handle:
        callers = [threading.Thread(target=call, args=(index,)) for index in range(4)]
        for caller in callers:
            caller.start()
        before = 0
        for version in range(2, 2 + switches):
            highest = version
            publish(directory, version)
            wait_until(lambda version=version: handle.version == version)  # type: ignore[misc]
            if version == flat_from:
                before = resident()
            if version % 10 == 0:
                sm.remove_old_versions(directory, keep=2)
        wait_until(lambda: handle.status.draining == ())
        grown = resident() - before
        done = list(counts)
        wait_until(lambda: all(now > then for now, then in zip(counts, done, strict=True)) or bool(failures))
        stop.set()
        for caller in callers:
            caller.join()
        assert failures == []
        assert answer(handle) == 1 + switches
        assert handle.status.switches == switches
    assert min(counts) > switches
    weights = 4 * WIDTH * WIDTH
    assert grown < (switches - flat_from) * weights / 3, f"grown by {grown / 1e6:.0f} MB"


def test_close(directory: Path) -> None:
    handle = sm.watch(directory, poll=60)
    f = handle.signatures["serving_default"]
    publish(directory, 2)
    handle.close()
    handle.close()
    assert handle.closed
    assert handle.refresh() == 1
    for call in (handle, f):
        with pytest.raises(sm.FailedPreconditionError, match="closed"):
            call(X)
    assert threads() == []
    assert sm.remove_old_versions(directory, keep=1).removed == (1,)
    assert "closed" in repr(handle)


def test_a_handle_that_is_dropped(directory: Path) -> None:
    handle = sm.watch(directory, poll=60)
    f = handle.signatures["serving_default"]
    publish(directory, 2)
    del handle
    gc.collect()
    assert answer(f) == 1  # its signatures keep it
    assert sm.remove_old_versions(directory, keep=1).in_use == (1,)
    del f
    gc.collect()
    wait_until(lambda: threads() == [])
    assert sm.remove_old_versions(directory, keep=1).removed == (1,)


def test_on_change_may_do_anything(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    handles: list[sm.Watched] = []
    versions = []

    def on_change(change: sm.VersionChange) -> None:
        versions.append(change.version)
        if change.version == 2:
            handles[0].refresh()
            raise ValueError("no good")
        if change.version == 3:
            handles[0].close()

    with sm.watch(directory, poll=0.01, on_change=on_change) as handle:
        handles.append(handle)
        publish(directory, 2)
        wait_until(lambda: 2 in versions)
        publish(directory, 3)
        wait_until(lambda: handle.closed)
    assert versions == [1, 2, 3]
    assert "on_change failed" in caplog.text
    wait_until(lambda: threads() == [])


def test_a_switch_without_a_thread_to_spare(directory: Path) -> None:
    changes: list[sm.VersionChange] = []
    with sm.watch(directory, poll=60, on_change=changes.append) as handle:
        publish(directory, 2)
        size = threading.stack_size(1 << 46)  # no memory for such a thread
        try:
            with pytest.raises(RuntimeError, match="can't start new thread"):
                threading.Thread(target=print).start()
            assert handle.refresh() == 2
        finally:
            threading.stack_size(size)
        assert [one.version for one in changes] == [1, 2]
        assert handle.status.draining == ()
        assert sm.remove_old_versions(directory, keep=1).removed == (1,)


def test_changes_are_told_of_in_their_order(directory: Path) -> None:
    """By whichever thread: one is still told of the first when another makes the second."""
    told: list[int] = []
    first = threading.Event()
    go_on = threading.Event()

    def on_change(change: sm.VersionChange) -> None:
        if change.version == 2:
            first.set()
            assert go_on.wait(60)
        told.append(change.version)

    with sm.watch(directory, poll=60, on_change=on_change) as handle:
        publish(directory, 2)
        thread = threading.Thread(target=handle.refresh)
        thread.start()
        assert first.wait(60)
        publish(directory, 3)
        assert handle.refresh() == 3
        go_on.set()
        thread.join()
    assert told == [1, 2, 3]


@pytest.mark.parametrize("poll", [1e10, sys.maxsize, 1e308])
def test_a_poll_in_some_thousand_years(directory: Path, poll: float) -> None:
    with sm.watch(directory, poll=poll) as handle:
        time.sleep(0.1)
        assert threads() == ["savedmodel watch"]
        assert answer(handle) == 1


def test_it_shows_what_a_model_shows(directory: Path) -> None:
    with sm.watch(directory, metrics=True) as watched:
        (version,) = sm.versions(directory)
        with sm.load(version.path, metrics=True) as model:
            assert watched.tags == model.tags == ("serve",)
            assert list(watched.variables) == list(model.variables)
            assert [one.function for one in watched.optimization] == [
                one.function for one in model.optimization
            ]
            watched(x=X)
            assert [one.signature for one in watched.metrics()] == ["serving_default"]
            assert "version 1" in watched._repr_html_()
        assert copy.copy(watched) is copy.deepcopy(watched) is watched
        with pytest.raises(TypeError, match="pass the directory, and call watch there"):
            pickle.dumps(watched)


def test_runs_that_nobody_waits_for(directory: Path) -> None:
    with sm.watch(directory) as watched:
        f = watched.signatures["serving_default"]
        (expected,) = f(x=X).values()
        (submitted,) = f.submit({"x": X}).result(timeout=60).values()
        (awaited,) = asyncio.run(f.run_async({"x": X}, timeout=60.0)).values()
        np.testing.assert_array_equal(submitted, expected)
        np.testing.assert_array_equal(awaited, expected)
    with pytest.raises(sm.FailedPreconditionError):
        f.submit({"x": X})
    with pytest.raises(sm.FailedPreconditionError):
        asyncio.run(f.run_async({"x": X}))


def test_arguments(directory: Path) -> None:
    for poll in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="poll"):
            sm.watch(directory, poll=poll)
    with pytest.raises(TypeError, match="warmup"):
        sm.watch(directory, warmup="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on_change"):
        sm.watch(directory, on_change=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no_such_option"):
        sm.watch(directory, no_such_option=1)  # type: ignore[call-arg]
    with sm.watch(directory, threads=1, optimize="none") as handle:
        assert answer(handle) == 1


WATCH_ONE = """
    import sys, savedmodel as sm
    def refuse_others(model):
        assert model.path.endswith("/1")
    handle = sm.watch(sys.argv[1], poll=0.01, warmup=refuse_others)
    print(handle.version, flush=True)
    sys.stdin.read()
"""


def test_a_version_that_another_process_watches_stays(directory: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WATCH_ONE), directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    for version in (2, 3):
        publish(directory, version)
    done = sm.remove_old_versions(directory, keep=1)
    assert done.in_use[0] == 1
    process.kill()
    process.communicate()
    sm.remove_old_versions(directory, keep=1)
    assert [one.version for one in sm.versions(directory)] == [3]


def test_the_end_of_the_process(directory: Path, models: Path) -> None:
    """With a handle that was not closed; also while a version is being loaded."""
    shutil.copytree(models / "keras_conv", directory / "2")
    code = f"""
        import shutil, sys, time
        import savedmodel as sm
        handle = sm.watch({str(directory)!r}, poll=0.001)
        kept = handle.signatures["serving_default"]
        shutil.copytree({str(directory / "2")!r}, {str(directory)!r} + "/" + sys.argv[1])
        time.sleep(int(sys.argv[1]) / 1000)
    """
    for version in range(5, 60, 11):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), str(version)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_end_of_the_process_waits_for_no_call(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "slow", tmp_path / "m" / "1")
    code = f"""
        import threading, time
        import numpy as np
        import savedmodel as sm
        handle = sm.watch({str(tmp_path / "m")!r}, poll=0.01)
        threading.Thread(target=lambda: handle(np.int32(2**31 - 1)), daemon=True).start()
        time.sleep(0.2)
    """
    assert run_python(code) == ("", "")


def test_a_fork(directory: Path) -> None:
    """The child gets an error, as with any model, and ends."""
    code = f"""
        import os, sys
        import numpy as np
        import savedmodel as sm
        handle = sm.watch({str(directory)!r}, poll=0.01)
        x = np.ones((1, {WIDTH}), np.float32)
        handle(x)
        child = os.fork()
        if child == 0:
            try:
                handle(x)
            except sm.FailedPreconditionError as error:
                print("fork" in str(error), flush=True)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        print(handle(x)["y"].shape)
    """
    assert run_python(code)[0] == f"True\n(1, {WIDTH})\n"


def test_a_fork_during_a_load(directory: Path) -> None:
    code = f"""
        import os, signal, sys, threading, time
        import savedmodel as sm
        directory = {str(directory)!r}
        loading = threading.Event()
        def warm_up(model):
            if model.path.endswith("2"):
                loading.set()
                time.sleep(0.5)
        handle = sm.watch(directory, poll=0.01, warmup=warm_up)
        sm.publish(directory + "/1", directory, verify=False)
        loading.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            with handle:
                try:
                    handle.refresh()
                except sm.FailedPreconditionError as error:
                    print("fork" in str(error), handle.version)
            print(handle.closed, flush=True)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        print(handle.refresh())
    """
    assert run_python(code)[0] == "True 1\nTrue\n2\n"


def test_a_forked_child_holds_nothing(directory: Path) -> None:
    """Workers outlive what was served, or being published, when they were forked."""
    code = f"""
        import os, signal
        import savedmodel as sm
        from savedmodel._publish.layout import FolderLock
        directory = {str(directory)!r}
        handle = sm.watch(directory, poll=60)
        with FolderLock(directory):  # as a publication has it in another thread
            child = os.fork()
            signal.alarm(20)
            if child == 0:
                signal.pause()
        handle.close()
        print(sm.publish(directory + "/1", directory, verify=False).version)
        print(sm.remove_old_versions(directory, keep=1).removed)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    """
    assert run_python(code)[0] == "2\n(1,)\n"


def test_functions_of_the_newest_version(models: Path, tmp_path: Path) -> None:
    """The model counts the calls of `nested`, and has no signature."""
    x, scalars = np.ones((2, 4), np.float32), {"x": 1.0, "y": [2.0]}
    sm.publish(models / "functions", tmp_path / "m")
    with sm.load(models / "functions") as model, sm.watch(tmp_path / "m", poll=60) as handle:
        counted, nested = handle.functions["counted"], handle.functions["nested"]
        assert set(handle.functions) == set(model.functions)
        assert len(handle.functions) == len(model.functions)
        with pytest.raises(KeyError, match=r"encoder\.call"):
            handle.functions["encoder.cal"]
        assert (nested.path, len(nested.concrete)) == ("nested", 2)
        assert repr(nested) == repr(model.functions["nested"])
        for _ in range(2):
            nested(scalars, c=3.0)
        assert counted() == 2
        sm.publish(models / "functions", tmp_path / "m")
        assert handle.refresh() == 2
        assert counted() == 0
        assert nested.run([scalars], {"c": 3.0}, timeout=60)["more"][0] == 9
        np.testing.assert_allclose(handle(x, training=True), model(x, training=True), rtol=1e-6)
        with pytest.raises(TypeError, match="no trace"):
            nested(scalars, c=4.0)
    with pytest.raises(sm.FailedPreconditionError, match="closed"):
        counted()


def test_functions_under_switches(models: Path, tmp_path: Path) -> None:
    x = np.ones((2, 4), np.float32)
    sm.publish(models / "functions", tmp_path / "m", verify=False)
    with sm.load(models / "functions") as model:
        expected = model(x)
    done, stop = [0], threading.Event()
    with sm.watch(tmp_path / "m", poll=60) as handle:
        call = handle.functions["encoder.call"]
        encoded = call(x)

        def work() -> None:
            while not stop.is_set():
                np.testing.assert_allclose(handle(x), expected, rtol=1e-6)
                np.testing.assert_allclose(call(x), encoded, rtol=1e-6)
                assert "encoder.call" in handle.functions
                done[0] += 1

        with ThreadPoolExecutor(2) as pool:
            workers = [pool.submit(work) for _ in range(2)]
            for version in range(2, 6):
                sm.publish(models / "functions", tmp_path / "m", verify=False)
                assert handle.refresh() == version
            wait_until(lambda: done[0] > 10 or any(worker.done() for worker in workers))
            stop.set()
            for worker in workers:
                worker.result()
