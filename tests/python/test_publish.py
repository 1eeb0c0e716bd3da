"""`sm.publish`, `versions`, `verify`, `rollback`, `remove_old_versions`: what is published, what is not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm
from savedmodel._publish.layout import FolderLock, version_of

from .graphs import STRINGS, node, save
from .helpers import run_python

MANIFEST = "assets.extra/savedmodel_manifest.json"


def publish(source: Path, directory: Path, **options: object) -> sm.Published:
    """Without the load, which takes a second."""
    return sm.publish(source, directory, verify=False, **options)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def states(directory: Path) -> dict[int, str]:
    return {one.version: one.state for one in sm.versions(directory)}


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


# Publishing.


def test_a_version_is_the_model_and_its_manifest(models: Path, tmp_path: Path) -> None:
    before = contents(models / "mlp")
    done = sm.publish(models / "mlp", tmp_path / "a" / "mlp")
    assert done.version == 1
    assert Path(done.path) == tmp_path / "a" / "mlp" / "1"
    assert names(tmp_path / "a" / "mlp") == {"1"}
    files = contents(Path(done.path))
    manifest = json.loads(files.pop(MANIFEST))
    assert files == before == contents(models / "mlp")
    assert manifest["files"].keys() == before.keys()
    assert manifest["source"] == str(models / "mlp")
    assert manifest["fingerprint"] == done.fingerprint
    assert manifest["verified"]
    assert manifest["savedmodel"] == sm.__version__
    (listed,) = sm.versions(tmp_path / "a" / "mlp")
    assert listed.published is not None
    assert abs((datetime.now(timezone.utc) - listed.published).total_seconds()) < 600
    assert listed.size_bytes == done.size_bytes == sum(map(len, contents(Path(done.path)).values()))
    x = np.ones((1, 64), np.float32)
    with sm.load(done.path) as model, sm.load(models / "mlp") as original:
        np.testing.assert_array_equal(model(x)["probs"], original(x)["probs"])


def test_numbers(models: Path, tmp_path: Path) -> None:
    assert publish(models / "add", tmp_path).version == 1
    assert publish(models / "add", tmp_path).version == 2
    assert publish(models / "add", tmp_path, version=10).version == 10
    assert publish(models / "mlp", tmp_path, version=4).version == 4
    assert publish(models / "add", tmp_path).version == 11
    before = contents(tmp_path / "4")
    with pytest.raises(sm.AlreadyExistsError, match=r"version 4 of .* exists already"):
        publish(models / "add", tmp_path, version=4)
    assert contents(tmp_path / "4") == before
    (tmp_path / "20").mkdir()  # another's, who has only begun
    with pytest.raises(sm.AlreadyExistsError):
        publish(models / "add", tmp_path, version=20)
    assert publish(models / "add", tmp_path).version == 21
    (tmp_path / "22").write_text("a file")
    assert publish(models / "add", tmp_path).version == 23
    with pytest.raises(ValueError, match="version must be 0"):
        publish(models / "add", tmp_path, version=-1)
    assert not any(name.startswith(".") for name in names(tmp_path))


def test_what_a_server_takes_for_a_version() -> None:
    assert [version_of(name) for name in ("7", "007", "0", str(2**63 - 1))] == [7, 7, 0, 2**63 - 1]
    for name in ("", "-1", "1.0", ".new-12", "v1", "1_0", "\u0661", str(2**63), "1" * 5000):
        assert version_of(name) is None


def test_links_are_followed(models: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "saved_model.pb").symlink_to(models / "mlp" / "saved_model.pb")
    (source / "variables").symlink_to(models / "mlp" / "variables")
    done = publish(source, tmp_path / "mlp")
    assert not any(path.is_symlink() for path in Path(done.path).rglob("*"))
    assert sm.load(done.path)(np.ones((1, 64), np.float32))["probs"].shape == (1, 10)
    (source / "again").symlink_to(source)
    with pytest.raises((ValueError, OSError)):
        publish(source, tmp_path / "mlp")
    assert names(tmp_path / "mlp") == {"1"}


def test_a_published_version_is_published_on(models: Path, tmp_path: Path) -> None:
    first = publish(models / "mlp", tmp_path / "staging")
    second = publish(Path(first.path), tmp_path / "production")
    assert second.fingerprint == first.fingerprint
    assert sm.verify(second.path) == []
    assert sm.versions(tmp_path / "production")[0].source == first.path


@pytest.mark.parametrize(
    "name", ["bad_short_shard", "bad_missing_asset", "bad_unknown_op_in_function", "bad_unknown_op_in_call"]
)
def test_what_does_not_load_is_not_published(models: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(sm.Error) as caught:
        sm.publish(models / name, tmp_path / "m")
    assert ".new-" not in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_the_load_tells_what_can_not_be_run(models: Path, tmp_path: Path) -> None:
    done = sm.publish(models / "resource_out", tmp_path)
    assert done.unusable.keys() == {"resource", "variant"}


def test_a_signature_that_hands_its_input_on(tmp_path: Path) -> None:
    assert sm.publish(save(tmp_path / "m", "", output="x:0"), tmp_path / "p").unusable == {}


def test_names_of_signatures(models: Path, tmp_path: Path) -> None:
    """Their names are any text; `repr` would write these in another way."""
    signature = """
        signature_def {{ key: "{}" value {{
          inputs {{ key: "x" value {{ name: "x:0" dtype: DT_STRING tensor_shape {{}} }} }}
          outputs {{ key: "y" value {{ name: "y:0" dtype: DT_STRING tensor_shape {{}} }} }}
          method_name: "tensorflow/serving/predict" }} }}"""
    names = [r"it\'s", r"a\\b", r"\n", r"\303\274"]
    nodes = node("y", "Identity", "x", attributes=STRINGS)
    save(tmp_path / "m", nodes, output="y:0", more="".join(map(signature.format, names)))
    assert sm.publish(tmp_path / "m", tmp_path / "p").unusable == {}


def test_options_of_the_load(models: Path, tmp_path: Path) -> None:
    with pytest.raises(sm.NotFoundError, match="tags"):
        sm.publish(models / "v1_multi_tags", tmp_path, tags=("nobody",))
    with pytest.raises(TypeError, match="no_such_option"):
        sm.publish(models / "add", tmp_path, no_such_option=1)  # type: ignore[call-arg]
    with pytest.raises(sm.PermissionDeniedError, match="ReadFile"):
        sm.publish(save(tmp_path / "m", node("r", "ReadFile", "x"), output="r:0"), tmp_path / "p", ops="safe")
    assert sm.publish(models / "v1_multi_tags", tmp_path / "p", tags=("gpu", "serve")).version == 1


def test_a_load_that_takes_too_long_or_dies(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(sm.DeadlineExceededError, match=r"within 0.01 s"):
        sm.publish(models / "mlp", tmp_path / "m", timeout=0.01)
    with monkeypatch.context() as patch:
        ends = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
        patch.setattr("savedmodel._publish.trial.CHILD", (sys.executable, "-c", ends))
        with pytest.raises(sm.InternalError, match="the process that loaded the model ended with signal 6"):
            sm.publish(models / "mlp", tmp_path / "m")
    assert not (tmp_path / "m").exists()
    for timeout in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            sm.publish(models / "mlp", tmp_path / "m", timeout=timeout)


def test_what_is_no_model(models: Path, tmp_path: Path) -> None:
    with pytest.raises(sm.NotFoundError, match="no such directory"):
        publish(tmp_path / "none", tmp_path / "m")
    with pytest.raises(sm.NotFoundError, match="is not a SavedModel"):
        publish(models, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    source = tmp_path / "source"
    shutil.copytree(models / "mlp", source)
    for inside in (source, source / "versions"):
        with pytest.raises(sm.InvalidArgumentError, match="lies in the model"):
            publish(source, inside)
    os.mkfifo(source / "pipe")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        publish(source, tmp_path / "m")
    (source / "pipe").unlink()
    (source / "unreadable").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error") as caught:
        publish(source, tmp_path / "m")
    assert caught.value.filename == str(source / "unreadable")


def test_a_publication_that_fails_leaves_no_folder(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "new" / "model"
    with pytest.raises(sm.Error):
        sm.publish(models / "bad_truncated_pb", directory)
    assert not directory.parent.exists()

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("savedmodel._publish.publication.try_load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sm.publish(models / "add", directory)
    assert not directory.parent.exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(KeyboardInterrupt):
        sm.publish(models / "add", tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_a_folder_of_versions_is_no_source(models: Path, tmp_path: Path) -> None:
    sm.publish(models / "add", tmp_path / "add", version=7)
    with pytest.raises(sm.NotFoundError, match=r"did you mean '.*/add/7'\?"):
        sm.publish(tmp_path / "add", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_source_that_changes_meanwhile(models: Path, tmp_path: Path) -> None:
    """A training job that goes on writing."""
    source = tmp_path / "source"
    shutil.copytree(models / "mlp", source)
    code = f"""
        import sys, savedmodel as sm
        done = []
        def write(event, arguments):
            if event == "open" and "/.new-" in (name := str(arguments[0])) and ".pb" in name and not done:
                done.append(True)
                open({str(source / "saved_model.pb")!r}, "ab").write(b"x")
        sys.addaudithook(write)
        try:
            sm.publish({str(source)!r}, {str(tmp_path / "m")!r}, verify=False)
        except sm.AbortedError as error:
            print(error)
    """
    assert "was changed while it was copied" in run_python(code)[0]
    assert not (tmp_path / "m").exists()


# Looking at versions.


def test_verify_finds_every_changed_byte(models: Path, tmp_path: Path) -> None:
    path = Path(publish(models / "mlp", tmp_path).path)
    assert sm.verify(path) == []
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        content = file.read_bytes()
        name = str(file.relative_to(path))
        for position in (0, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[position] ^= 1
            file.write_bytes(changed)
            problems = sm.verify(path)
            assert [one.file for one in problems] == [name], position
            assert problems[0].what == "changed" or name == MANIFEST
        file.write_bytes(content)
    assert sm.verify(path) == []
    (path / "variables" / "variables.index").unlink()
    (path / "assets.extra" / "more").write_bytes(b"")
    assert [(one.file, one.what) for one in sm.verify(path)] == [
        ("assets.extra/more", "added"),
        ("variables/variables.index", "missing"),
    ]


def test_verify_reports_what_it_can_not_read(models: Path, tmp_path: Path) -> None:
    path = Path(publish(models / "mlp", tmp_path).path)
    for number, what in enumerate(("No such file", "neither a file nor a folder")):
        extra = path / "assets.extra" / "more"
        os.mkfifo(extra) if number else extra.symlink_to("nowhere")
        (problem,) = sm.verify(path)
        assert problem.file == "."
        assert what in problem.what
        assert str(extra) in problem.what
        extra.unlink()
    # Of the size that it had, but it gives no bytes.
    file = path / "fingerprint.pb"
    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["sha256"]
    file.unlink()
    file.symlink_to("/proc/self/mem")
    manifest["files"]["fingerprint.pb"]["size"] = 0
    body = json.dumps(manifest, sort_keys=True).encode()
    (path / MANIFEST).write_text(json.dumps({**manifest, "sha256": hashlib.sha256(body).hexdigest()}))
    (problem,) = sm.verify(path)
    assert (problem.file, "Input/output error" in problem.what) == ("fingerprint.pb", True)


def test_verify_needs_a_manifest(models: Path, tmp_path: Path) -> None:
    with pytest.raises(sm.FailedPreconditionError, match="no manifest"):
        sm.verify(models / "mlp")
    with pytest.raises(sm.NotFoundError, match="no such directory"):
        sm.verify(tmp_path / "none")
    for content in (b"", b"[]", b"{}", b"null", b'{"sha256": 1}', b"\xff", b"[" * 100_000):
        (tmp_path / "assets.extra").mkdir(exist_ok=True)
        (tmp_path / MANIFEST).write_bytes(content)
        (problem,) = sm.verify(tmp_path)
        assert problem.file == MANIFEST


def test_a_manifest_that_is_no_file(models: Path, tmp_path: Path) -> None:
    makers: list[Callable[[Path], None]] = [os.mkdir, os.mkfifo]
    for make in makers:
        path = Path(publish(models / "mlp", tmp_path).path) / MANIFEST
        path.unlink()
        make(path)
        assert sm.versions(tmp_path)[-1].problem
        assert [one.file for one in sm.verify(path.parents[1])] == [MANIFEST]


def test_states(models: Path, tmp_path: Path) -> None:
    for _ in range(5):
        publish(models / "mlp", tmp_path)
    (tmp_path / "2" / MANIFEST).write_text("{}")
    (tmp_path / "3" / "variables" / "variables.index").unlink()
    (tmp_path / "4" / MANIFEST).unlink()
    (tmp_path / "6").mkdir()
    (tmp_path / "7").write_text("a file")
    assert states(tmp_path) == {
        1: "good",
        2: "broken manifest",
        3: "incomplete",
        4: "no manifest",
        5: "good",
        6: "incomplete",
    }
    assert sm.versions(tmp_path)[2].problem == "variables/variables.index: missing"
    with pytest.raises(sm.NotFoundError, match="no such directory"):
        sm.versions(tmp_path / "none")


# Going back.


def test_rollback(models: Path, tmp_path: Path) -> None:
    for name in ("add", "mlp", "identity"):
        publish(models / name, tmp_path)
    done = sm.rollback(tmp_path)
    assert (done.version, done.withdrawn) == (4, (3,))
    assert states(tmp_path) == {1: "good", 2: "good", 3: "withdrawn", 4: "good"}
    assert contents(tmp_path / "4").keys() == contents(tmp_path / "2").keys()
    assert sm.verify(tmp_path / "4") == sm.verify(tmp_path / "3") == []
    model = "saved_model.pb"
    assert (tmp_path / "4" / model).stat().st_ino == (tmp_path / "2" / model).stat().st_ino
    assert (tmp_path / "4" / MANIFEST).stat().st_ino != (tmp_path / "2" / MANIFEST).stat().st_ino
    # What the withdrawn ones consist of is not brought back by itself,
    again = sm.rollback(tmp_path, verify=False)
    assert again.version == 5
    assert contents(tmp_path / "5")[model] == contents(tmp_path / "1")[model]
    assert states(tmp_path) == {1: "good", 2: "withdrawn", 3: "withdrawn", 4: "withdrawn", 5: "good"}
    with pytest.raises(sm.NotFoundError, match="no version to go back to from 5; there are: 1, 2, 3, 4, 5"):
        sm.rollback(tmp_path)
    # but by its number.
    assert sm.rollback(tmp_path, to=3, verify=False).version == 6
    assert states(tmp_path) == {1: "good", 2: "good", 3: "good", 4: "withdrawn", 5: "withdrawn", 6: "good"}
    assert publish(models / "add", tmp_path).version == 7


def test_rollback_of_what_others_put_there(models: Path, tmp_path: Path) -> None:
    for version, name in enumerate(("add", "mlp", "identity"), 1):
        shutil.copytree(models / name, tmp_path / str(version))
    assert sm.rollback(tmp_path, verify=False).withdrawn == (3,)
    assert states(tmp_path) == {1: "no manifest", 2: "no manifest", 3: "withdrawn", 4: "good"}
    assert sm.rollback(tmp_path, verify=False).withdrawn == (2, 3, 4)
    assert contents(tmp_path / "5")["saved_model.pb"] == contents(models / "add")["saved_model.pb"]


def test_a_version_of_links_comes_back_as_files(models: Path, tmp_path: Path) -> None:
    """Which others had put there: what they lead to may go."""
    directory = tmp_path / "m"
    (directory / "1").mkdir(parents=True)
    (directory / "1" / "saved_model.pb").symlink_to(models / "mlp" / "saved_model.pb")
    (directory / "1" / "variables").symlink_to(models / "mlp" / "variables")
    publish(models / "add", directory)
    done = sm.rollback(directory, verify=False)
    assert not any(path.is_symlink() for path in Path(done.path).rglob("*"))
    assert sm.verify(done.path) == []


def test_a_withdrawn_version_stays_so(models: Path, tmp_path: Path) -> None:
    """Whatever befalls the files of the version that withdraws it."""
    for name in ("add", "identity", "mlp"):
        publish(models / name, tmp_path)
    assert sm.rollback(tmp_path, verify=False).withdrawn == (3,)
    extra = tmp_path / "4" / "more"
    for spoil in (lambda: extra.write_text(""), lambda: extra.symlink_to("nowhere")):
        spoil()
        assert states(tmp_path) == {1: "good", 2: "good", 3: "withdrawn", 4: "incomplete"}
        extra.unlink()
    extra.write_text("")
    sm.rollback(tmp_path, verify=False)
    assert contents(tmp_path / "5")["saved_model.pb"] == contents(models / "add")["saved_model.pb"]


def test_what_can_not_be_brought_back(models: Path, tmp_path: Path) -> None:
    with pytest.raises(sm.NotFoundError, match="no such directory"):
        sm.rollback(tmp_path / "none")
    with pytest.raises(sm.NotFoundError, match="no versions"):
        sm.rollback(tmp_path)
    publish(models / "mlp", tmp_path)
    with pytest.raises(sm.NotFoundError, match="no version to go back to"):
        sm.rollback(tmp_path)
    publish(models / "add", tmp_path)
    with pytest.raises(sm.NotFoundError, match="no version 7; there are: 1, 2"):
        sm.rollback(tmp_path, to=7)
    with pytest.raises(sm.InvalidArgumentError, match="the newest one already"):
        sm.rollback(tmp_path, to=2)
    with FolderLock(tmp_path / "1"), pytest.raises(sm.AbortedError, match="version 1 was removed meanwhile"):
        sm.rollback(tmp_path)
    file = tmp_path / "1" / "saved_model.pb"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with pytest.raises(sm.DataLossError, match=r"is not what was published: saved_model.pb differs"):
        sm.rollback(tmp_path)
    file.unlink()
    with pytest.raises(sm.FailedPreconditionError, match=r"saved_model.pb"):
        sm.rollback(tmp_path, to=1)
    assert names(tmp_path) == {"1", "2"}


def test_a_version_published_during_a_rollback(models: Path, tmp_path: Path) -> None:
    for name in ("add", "mlp"):
        publish(models / name, tmp_path)
    code = f"""
        import os, sys, savedmodel as sm
        def publish(event, arguments):
            if event == "os.link" and not os.path.exists({str(tmp_path / "3")!r}):
                os.mkdir({str(tmp_path / "3")!r})
        sys.addaudithook(publish)
        try:
            sm.rollback({str(tmp_path)!r}, verify=False)
        except sm.AbortedError as error:
            print(error)
    """
    assert "version 3 was published during the rollback from 2" in run_python(code)[0]
    assert names(tmp_path) == {"1", "2", "3"}


def test_what_is_being_brought_back_is_not_removed(models: Path, tmp_path: Path) -> None:
    for name in ("add", "mlp"):
        publish(models / name, tmp_path)
    code = f"""
        import sys, savedmodel as sm
        done = []
        def remove(event, arguments):
            if event == "os.link" and not done:
                done.append(sm.remove_old_versions({str(tmp_path)!r}, keep=1))
        sys.addaudithook(remove)
        print(sm.rollback({str(tmp_path)!r}, verify=False).version, done[0].in_use)
    """
    assert run_python(code)[0] == "3 (1,)\n"
    assert sm.verify(tmp_path / "3") == []
    assert sm.remove_old_versions(tmp_path, keep=1).removed == (1, 2)


# Removing.


def test_the_newest_stay(models: Path, tmp_path: Path) -> None:
    for _ in range(6):
        publish(models / "add", tmp_path)
    planned = sm.remove_old_versions(tmp_path, dry_run=True)
    assert names(tmp_path) == {"1", "2", "3", "4", "5", "6"}
    done = sm.remove_old_versions(tmp_path)
    assert done == planned
    assert (done.removed, done.in_use, done.temporary) == ((1, 2, 3), (), ())
    assert names(tmp_path) == {"4", "5", "6"}
    assert sm.remove_old_versions(tmp_path, keep=1).removed == (4, 5)
    assert sm.remove_old_versions(tmp_path, keep=1).removed == ()
    with pytest.raises(ValueError, match="keep must be at least 1"):
        sm.remove_old_versions(tmp_path, keep=0)
    with pytest.raises(sm.NotFoundError):
        sm.remove_old_versions(tmp_path / "none")


def test_the_newest_good_one_stays(models: Path, tmp_path: Path) -> None:
    for _ in range(5):
        publish(models / "add", tmp_path)
    for version in (4, 5):
        (tmp_path / str(version) / "saved_model.pb").unlink()
    assert sm.remove_old_versions(tmp_path, keep=1).removed == (1, 2)
    assert states(tmp_path) == {3: "good", 4: "incomplete", 5: "incomplete"}
    (tmp_path / "6").mkdir()
    shutil.copytree(models / "add", tmp_path / "7")
    assert sm.remove_old_versions(tmp_path, keep=1).removed == (4, 5, 6)
    assert states(tmp_path) == {3: "good", 7: "no manifest"}


def test_a_version_in_use_stays(models: Path, tmp_path: Path) -> None:
    for _ in range(3):
        publish(models / "add", tmp_path)
    with FolderLock(tmp_path / "1", shared=True):
        done = sm.remove_old_versions(tmp_path, keep=1)
        assert (done.removed, done.in_use) == ((2,), (1,))
    assert sm.remove_old_versions(tmp_path, keep=1).removed == (1,)


def test_who_withdraws_a_version_stays_with_it(models: Path, tmp_path: Path) -> None:
    for name in ("add", "mlp"):
        publish(models / name, tmp_path)
    sm.rollback(tmp_path, verify=False)
    sm.rollback(tmp_path, to=1, verify=False)
    for _ in range(2):
        publish(models / "identity", tmp_path)
    before = {1: "good", 2: "withdrawn", 3: "withdrawn", 4: "good", 5: "good", 6: "good"}
    assert states(tmp_path) == before
    with FolderLock(tmp_path / "2", shared=True):
        done = sm.remove_old_versions(tmp_path, keep=1)
        assert (done.removed, done.in_use) == ((1, 3, 5), (2, 4))
        assert states(tmp_path) == {version: before[version] for version in (2, 4, 6)}
    assert sm.remove_old_versions(tmp_path, keep=1).removed == (2, 4)


def test_of_a_version_that_is_a_link_only_the_link_goes(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "mlp", tmp_path / "staging")
    directory = tmp_path / "m"
    directory.mkdir()
    (directory / "1").symlink_to(tmp_path / "staging")
    publish(models / "add", directory)
    assert sm.remove_old_versions(directory, keep=1).removed == (1,)
    assert names(directory) == {"2"}
    assert contents(tmp_path / "staging") == contents(models / "mlp")


def test_left_overs_are_swept_unless_somebody_works_on_them(models: Path, tmp_path: Path) -> None:
    publish(models / "add", tmp_path)
    for name in (".new-1", ".new-2", ".removed-7-a", ".other"):
        shutil.copytree(models / "mlp", tmp_path / name)
    with FolderLock(tmp_path / ".new-2", shared=True):
        assert sm.remove_old_versions(tmp_path).temporary == (".new-1", ".removed-7-a")
    assert names(tmp_path) == {"1", ".new-2", ".other"}


def test_nothing_of_this_is_imported_with_the_package() -> None:
    code = """
        import sys, savedmodel as sm
        print([name for name in sys.modules if "_publish" in name])
        assert "publish" in dir(sm)
        print(sm.publish.__module__)
        try:
            sm.no_such_name
        except AttributeError as error:
            print(error)
    """
    printed = run_python(code)[0].splitlines()
    assert printed[0] == "[]"
    assert printed[1].startswith("savedmodel._publish")
    assert printed[2] == "module 'savedmodel' has no attribute 'no_such_name'"


def test_every_public_name_is_there() -> None:
    assert all(getattr(sm, name) is not None for name in sm.__all__)
    assert len(set(sm.__all__)) == len(sm.__all__)
