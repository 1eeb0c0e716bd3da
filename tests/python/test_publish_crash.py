"""Publishing by several processes, by some that are killed, onto a full disk; readers look on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .commands import PROGRAM

KILLED = 20

# Ends at the system call with that number that the publication makes from Python: `posix` has all of them.
PUBLISH_AND_DIE = """
    import os, signal, sys
    import savedmodel as sm
    source, directory, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sm.publish  # what it imports is imported here
    calls = 0
    def count(frame, event, function):
        global calls
        if event == "c_call" and getattr(function, "__module__", None) in ("posix", "_io", "fcntl"):
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)
    done = sm.publish(source, directory)
    sys.setprofile(None)
    print(done.version, calls)
"""

# Loads the newest version as long as it is not told to stop, and looks at every byte of all of them.
READ = """
    import json, os, sys
    import numpy as np
    import savedmodel as sm
    directory, stop = sys.argv[1:]
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    seen, loads, answers = set(), 0, set()
    while True:
        last = os.path.exists(stop)
        versions = sm.versions(directory)
        assert seen <= {one.version for one in versions}, "lost"
        for one in versions:
            assert one.state == "good", one
            if one.version not in seen or last:
                assert sm.verify(one.path) == [], one
        seen |= {one.version for one in versions}
        with sm.load(versions[-1].path) as model:
            answers.add(model(x)["probs"].tobytes())
        loads += 1
        if last:
            break
    print(json.dumps({"seen": sorted(seen), "loads": loads, "answers": len(answers)}))
"""


def python(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str], timeout: float = 120) -> str:
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return out


@contextmanager
def reader(directory: Path, stop: Path) -> Iterator[dict[str, object]]:
    """A process that reads all the time; what it saw is there after it."""
    process = python(READ, directory, stop)
    saw: dict[str, object] = {}
    try:
        yield saw
        stop.touch()
        saw.update(json.loads(result(process)))
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def version_names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir() if not entry.name.startswith(".")}


def test_killed_anywhere(models: Path, tmp_path: Path) -> None:
    """No reader sees a half version, nothing published is lost, and the next publication works."""
    directory = tmp_path / "mlp"
    version, calls = map(int, result(python(PUBLISH_AND_DIE, models / "mlp", directory, 0)).split())
    assert version == 1
    assert calls > 3 * KILLED
    published = {1}
    left_overs = 0
    with reader(directory, tmp_path / "stop") as saw:
        for point in range(KILLED):
            process = python(
                PUBLISH_AND_DIE, models / "mlp", directory, 1 + point * (calls - 1) // (KILLED - 1)
            )
            out, err = process.communicate(timeout=120)
            if process.returncode == 0:  # how often it looks for its child's end differs
                published.add(int(out.split()[0]))
            else:
                assert process.returncode == -signal.SIGKILL, err
            listed = sm.versions(directory)
            assert {one.state for one in listed} == {"good"}
            assert published <= {one.version for one in listed}
            published = {one.version for one in listed}
            left_overs += any(entry.name.startswith(".new-") for entry in directory.iterdir())
        published.add(sm.publish(models / "mlp", directory).version)
    assert left_overs > 0, "no publication was killed in its middle"
    assert saw["seen"] == sorted(published)
    assert saw["answers"] == 1
    assert int(str(saw["loads"])) > 1
    assert len(published) < KILLED
    # Children of the killed that still try a copy hold nothing.
    sm.remove_old_versions(directory, keep=100)
    assert {entry.name for entry in directory.iterdir()} == set(map(str, published))


def test_many_publishers_and_removals_at_once(models: Path, tmp_path: Path) -> None:
    publish = """
        import sys, savedmodel as sm
        source, directory = sys.argv[1:]
        for _ in range(10):
            print(sm.publish(source, directory, verify=False).version)
    """
    directory = tmp_path / "mlp"
    processes = [python(publish, models / "mlp", directory) for _ in range(4)]
    while any(process.poll() is None for process in processes):
        if directory.is_dir():
            assert sm.remove_old_versions(directory, keep=100).removed == ()
        time.sleep(0.01)
    numbers = [int(word) for process in processes for word in result(process).split()]
    assert sorted(numbers) == list(range(1, 41))
    assert version_names(directory) == set(map(str, numbers))
    assert all(sm.verify(one.path) == [] for one in sm.versions(directory))


def test_the_same_number_twice_at_once(models: Path, tmp_path: Path) -> None:
    publish = """
        import sys, savedmodel as sm
        source, directory = sys.argv[1:]
        won = []
        for version in range(20):
            try:
                won.append(sm.publish(source, directory, version=version, verify=False).version)
            except sm.AlreadyExistsError:
                pass
        print(*won)
    """
    processes = [python(publish, models / name, tmp_path / "m") for name in ("mlp", "add")]
    won = [set(result(process).split()) for process in processes]
    assert won[0] | won[1] == set(map(str, range(20)))
    assert not won[0] & won[1]
    for one in sm.versions(tmp_path / "m"):
        assert one.source == str(models / ("mlp" if str(one.version) in won[0] else "add"))
        assert sm.verify(one.path) == []


FILL = """
    import errno, os, sys
    import savedmodel as sm
    source, directory = sys.argv[1:]
    before = sm.publish(source, directory, verify=False).version
    try:
        while True:
            before = sm.publish(source, directory, verify=False).version
    except OSError as error:
        print(error.errno == errno.ENOSPC, error.filename.startswith(directory + "/.new-"))
    assert sorted(os.listdir(directory)) == [str(n) for n in range(1, before + 1)]
    assert all(sm.verify(one.path) == [] for one in sm.versions(directory))
    sm.remove_old_versions(directory, keep=1)
    assert sm.publish(source, directory).version == before + 1
    assert sm.verify(f"{directory}/{before + 1}") == []
"""


def test_a_full_disk(models: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    # A mount that nobody else sees, and that ends with its process.
    mount = f'mount -t tmpfs -o size=400k none {disk} && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("no mount of a small tmpfs is allowed here")
    process = python(FILL, models / "mlp", disk / "mlp", prefix=prefix)
    assert result(process) == "True True\n"


def test_a_file_that_may_not_be_written_whole(models: Path, tmp_path: Path) -> None:
    """RLIMIT_FSIZE: where no small disk can be had."""
    publish = """
        import os, resource, sys
        import savedmodel as sm
        source, directory = sys.argv[1:]
        sm.publish(source, directory, verify=False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
        try:
            sm.publish(source, directory, verify=False)
        except OSError as error:
            print(error.strerror)
        assert os.listdir(directory) == ["1"]
        assert sm.verify(directory + "/1") == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert sm.publish(source, directory, verify=False).version == 2
    """
    assert result(python(publish, models / "mlp", tmp_path / "m")) == "File too large\n"


def children_at_work(process: int) -> list[Path]:
    """Those that have computed for longer than a load takes, by their folders in /proc."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    children = [Path("/proc", child) for one in lists for child in one.read_text().split()]
    ticks = 3 * os.sysconf("SC_CLK_TCK")
    return [one for one in children if int((one / "stat").read_text().rpartition(")")[2].split()[11]) > ticks]


def test_a_load_is_ended_with_its_publisher(models: Path, tmp_path: Path) -> None:
    """Ctrl-C: nothing is left, neither a folder nor a process."""
    publish = """
        import sys, savedmodel as sm
        source, directory = sys.argv[1:]
        try:
            sm.publish(source, directory)
        except KeyboardInterrupt:
            print("interrupted")
    """
    source = tmp_path / "source"
    shutil.copytree(models / "slow", source)
    sm.record_warmup(source, {"n": np.int32(2**31 - 1)})  # some hours
    process = python(publish, source, tmp_path / "m")
    deadline = time.monotonic() + 60
    while not (loading := children_at_work(process.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    assert result(process) == "interrupted\n"
    assert not (tmp_path / "m").exists()
    while any(child.exists() for child in loading):  # as long as its memory is freed
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_command_that_is_told_to_end_leaves_nothing(models: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(models / "slow", source)
    sm.record_warmup(source, {"n": np.int32(2**31 - 1)})  # some hours
    process = subprocess.Popen([PROGRAM, "publish", source, tmp_path / "m"])
    deadline = time.monotonic() + 60
    while not (loading := children_at_work(process.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not (tmp_path / "m").exists()
    while any(child.exists() for child in loading):
        assert time.monotonic() < deadline
        time.sleep(0.002)
