"""A conversion that fails, is interrupted or killed leaves nothing at its destination."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .commands import PROGRAM, error

SLOW = """
import tensorflow as tf

tf.config.run_functions_eagerly(True)
calls = 0

def f(x):
    # Traced first, for the SavedModel; then called, for the comparison with it.
    global calls
    calls += 1
    if calls == {stop}:
        open("stopped", "w").close()
        import time
        time.sleep(60)
    return x + 1.0
"""


def start(folder: Path, stop: int) -> subprocess.Popen[str]:
    (folder / "slow.py").write_text(SLOW.format(stop=stop))
    command = [str(PROGRAM), "convert", "function", "slow:f", "models/m", "--input", "x=float32[?]"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (folder / "stopped").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def partial(folder: Path) -> list[Path]:
    return list((folder / "models").glob(".m.*.partial"))


def test_a_killed_process_leaves_nothing_at_the_destination(tmp_path: Path) -> None:
    process = start(tmp_path, stop=1)
    process.kill()
    process.communicate()
    assert not (tmp_path / "models" / "m").exists()
    assert len(partial(tmp_path)) == 1


def test_an_interrupted_process_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, stop=2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 130
    assert not (tmp_path / "models").exists()


def staged(code: str, folder: Path) -> str:
    """Run code with `staged` in a process of its own, in the folder. Its last line of stderr."""
    source = f"from pathlib import Path\nfrom savedmodel._staging import staged\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, timeout=60
    )
    return done.stderr.strip().rpartition("\n")[2]


WRITE = "(new / 'saved_model.pb').write_text('new')"


def test_a_destination_that_came_to_be_in_the_meantime(tmp_path: Path) -> None:
    code = f"""
with staged(Path("m")) as new:
    {WRITE}
    Path("m").mkdir()
    Path("m/theirs").touch()
"""
    assert "AlreadyExistsError" in staged(code, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m" / "theirs").exists()


def test_readers_find_a_whole_model_while_it_is_replaced(tmp_path: Path) -> None:
    code = f"""
import threading
def write():
    with staged(Path("m"), overwrite=True) as new:
        {WRITE}
write()
done, seen = threading.Event(), []
def read():
    while not done.is_set():
        seen.append(Path("m/saved_model.pb").exists())
thread = threading.Thread(target=read)
thread.start()
for _ in range(50):
    write()
done.set()
thread.join()
assert len(seen) > 50 and all(seen), "a gap"
"""
    assert staged(code, tmp_path) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_several_conversions_to_one_destination_at_once(tmp_path: Path, overwrite: bool) -> None:
    code = f"""
import os, time
from pathlib import Path
from savedmodel._staging import staged
with staged(Path("m"), overwrite={overwrite}) as new:
    for name in "saved_model.pb", "other":
        (new / name).write_text(str(os.getpid()))
    Path(f"ready{{os.getpid()}}").touch()
    while not Path("go").exists():
        time.sleep(0.001)
"""
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready*"))) < len(processes):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[1] for process in processes]
    winners = {str(process.pid) for process in processes if process.returncode == 0}
    assert len(winners) == (4 if overwrite else 1), said
    assert sum("AlreadyExistsError" in text for text in said) == 4 - len(winners)
    (owner,) = {(tmp_path / "m" / name).read_text() for name in ("saved_model.pb", "other")}
    assert owner in winners
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["x" * 255, "\u00e4" * 127])
def test_names_as_long_as_they_can_be(tmp_path: Path, name: str) -> None:
    assert staged(f"with staged(Path({name!r})) as new: {WRITE}", tmp_path) == ""
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    """A link to a model, and a file."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").touch()
    (tmp_path / "link").symlink_to("model")
    (tmp_path / "file").touch()
    for name, text in ("link", "link is a symbolic link"), ("file", "file exists and is not a SavedModel"):
        assert text in staged(f"with staged(Path({name!r}), overwrite=True): pass", tmp_path)
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "model"]


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (lambda folder: (folder / "m").symlink_to("elsewhere"), "exists already"),
        (lambda folder: (folder / "m").touch(), "exists already"),
        (lambda folder: (folder / "m").mkdir(), "exists already"),
    ],
)
def test_whatever_is_there_stays(tmp_path: Path, prepare: Callable[[Path], None], text: str) -> None:
    prepare(tmp_path)
    before = os.lstat(tmp_path / "m")
    assert text in staged('with staged(Path("m")): raise SystemExit("entered")', tmp_path)
    assert os.lstat(tmp_path / "m").st_ino == before.st_ino
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_permissions_are_those_of_any_folder(tmp_path: Path) -> None:
    code = f"import os\nos.umask(0o027)\nwith staged(Path('m')) as new:\n    {WRITE}"
    assert staged(code, tmp_path) == ""
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("where", ["/sys/kernel/model", "file/model"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    destination = where if where.startswith("/") else tmp_path / where
    message = error("convert", "frozen-graph", tmp_path / "file", destination, "--output", "y")
    assert str(destination.parent if isinstance(destination, Path) else "/sys/kernel") in message
