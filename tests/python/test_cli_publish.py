"""`savedmodel publish`, `versions`, `rollback`, `gc`, `verify`: what they print, their exit statuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .commands import error, in_terminal, many, output, savedmodel, visible, widest


@pytest.fixture
def published(models: Path, tmp_path: Path) -> Path:
    """A model with three versions."""
    directory = tmp_path / "mlp"
    commands = [("publish", models / name, directory, "--no-verify") for name in ("add", "mlp", "identity")]
    assert [status for status, _, _ in many(commands)] == [0, 0, 0]
    return directory


def test_a_life(models: Path, tmp_path: Path) -> None:
    directory = tmp_path / "mlp"
    text = output("publish", models / "add", directory)
    assert text.startswith(f"{directory}/1: published, 9.2 KB, in ")
    described = json.loads(output("publish", models / "mlp", directory, "--version", "7", "--json"))
    assert (described["version"], described["path"], described["unusable"]) == (7, f"{directory}/7", {})
    text = output("rollback", directory)
    assert text.startswith(f"{directory}/8: published, in ")
    assert text.endswith("; withdrawn: 7\n")
    text = output("versions", directory)
    assert widest(text) <= 80
    header, *rows = text.splitlines()
    assert header.split() == ["version", "state", "published", "(UTC)", "size", "fingerprint", "from"]
    assert [row.split()[:2] for row in rows if row.split()[0].isdigit()] == [
        ["8", "good"],
        ["7", "withdrawn"],
        ["1", "good"],
    ]
    assert "version 1" in rows[0]
    assert output("verify", directory).splitlines() == [
        f"{directory}/{version}: as it was published" for version in (1, 7, 8)
    ]
    assert output("gc", directory, "--keep", "1").startswith(f"{directory}: removed 2 versions (1, 7; ")
    assert [one["version"] for one in json.loads(output("versions", directory, "--json"))] == [8]
    assert output("versions", tmp_path) == f"{tmp_path}: no versions\n"


def test_verify_has_an_exit_status(published: Path) -> None:
    (published / "2" / "saved_model.pb").write_bytes(b"")
    done = savedmodel("verify", published)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[1:3] == [f"{published}/2: 1 problem", "  saved_model.pb: changed"]
    assert savedmodel("verify", published / "2").returncode == 1
    assert savedmodel("verify", published / "3").returncode == 0
    found = savedmodel("verify", published, "--json")
    assert json.loads(found.stdout) == {
        f"{published}/1": [],
        f"{published}/2": [{"file": "saved_model.pb", "what": "changed"}],
        f"{published}/3": [],
    }
    assert output("versions", published).endswith("version 2: saved_model.pb: changed\n")


def test_verify_goes_on(published: Path) -> None:
    (published / "2" / "more").symlink_to("nowhere")
    done = savedmodel("verify", published)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"{published}/1: as it was published", f"{published}/2: 1 problem"]
    assert lines[2].startswith("  .: [Errno 2] No such file")
    assert lines[-1] == f"{published}/3: as it was published"


def test_versions_of_others(published: Path, models: Path) -> None:
    shutil.copytree(models / "mlp", published / "4")
    assert f"{published}/4: no manifest" in output("verify", published)
    assert "has no manifest" in error("verify", published / "4")
    assert output("versions", published).splitlines()[1].split()[:3] == ["4", "no", "manifest"]


def test_gc(published: Path) -> None:
    (published / ".new-1").mkdir()
    text = output("gc", published, "--keep", "2", "--dry-run")
    assert text.startswith(
        f"{published}: would remove 1 version (1; 9.2 KB)\nwould remove 1 unfinished folder"
    )
    found = json.loads(output("gc", published, "--keep", "2", "--json"))
    assert (found["removed"], found["temporary"], found["in_use"]) == ([1], [".new-1"], [])
    assert output("gc", published) == f"{published}: removed 0 versions\n"


def test_what_can_not_be_run_is_a_warning(models: Path, tmp_path: Path) -> None:
    done = savedmodel("publish", models / "resource_out", tmp_path / "m")
    assert done.returncode == 0
    warnings = done.stderr.splitlines()
    assert len(warnings) == 2
    assert warnings[0].startswith("savedmodel: warning: signature 'resource' can not be run: ")


def test_errors(published: Path, models: Path, tmp_path: Path) -> None:
    assert "version 2 of" in error("publish", models / "add", published, "--version", "2")
    assert "is the copy complete?" in error("publish", models / "bad_short_shard", published)
    assert "no version 9; there are: 1, 2, 3" in error("rollback", published, "--to", "9")
    assert "within 0.01 s" in error("publish", models / "add", published, "--timeout", "0.01")
    assert "no MetaGraph with the tags" in error(
        "publish", models / "v1_multi_tags", published, "--tag-set", "nobody"
    )
    for command in ("versions", "gc", "rollback", "verify"):
        assert "no such directory" in error(command, tmp_path / "none")


def test_in_a_terminal(published: Path) -> None:
    status, sent = in_terminal("versions", published, columns=120)
    assert status == 0
    assert "\x1b[" in sent
    assert "published (UTC)" in visible(sent)
