"""What `Edit` writes: where, in which form, whole or not at all."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import savedmodel as sm

from .editing import Check, X, contents, files
from .helpers import Array, Load


def test_optimized_graphs_are_left_out(load: Load, tmp_path: Path, dst: Path) -> None:
    load("mlp").save_optimized(tmp_path / "optimized")
    sm.Edit(tmp_path / "optimized").save(dst)
    assert files(dst) == files(tmp_path / "optimized") - {
        "assets.extra/savedmodel/graphs.pb",
        "assets.extra/savedmodel/weights.bin",
    }


@pytest.mark.parametrize("overwrite", [False, True])
def test_places_that_are_not_written_to(models: Path, tmp_path: Path, overwrite: bool) -> None:
    source = tmp_path / "models" / "mlp"
    shutil.copytree(models / "mlp", source)
    shutil.copytree(models / "table", tmp_path / "table")
    os.symlink(source, tmp_path / "link")
    os.symlink(tmp_path / "table", tmp_path / "link_to_table")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("mine")
    before = contents(tmp_path)
    edit = sm.Edit(source)
    for target in source, source / "inside", tmp_path / "models", tmp_path / "link", tmp_path / "link" / "in":
        with pytest.raises(sm.InvalidArgumentError, match="the SavedModel that is edited"):
            edit.save(target, overwrite=overwrite)
    for target in (
        tmp_path / "other",
        tmp_path / "other" / "diary.txt",
        tmp_path / "link_to_table",
        tmp_path / "dangling",
    ):
        with pytest.raises(sm.AlreadyExistsError, match=str(target)):
            edit.save(target, overwrite=overwrite)
    for target in tmp_path / "other" / "diary.txt" / "below", Path("/proc/nowhere"), Path("/proc/self/below"):
        with pytest.raises(sm.Error, match=f"^'{target}': "):
            edit.save(target, overwrite=overwrite)
    with pytest.raises(sm.InvalidArgumentError, match="the path of the target directory is empty"):
        edit.save("", overwrite=overwrite)
    assert contents(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} >= {"dangling", "link", "link_to_table"}


def test_the_source_is_left_as_it_is(models: Path, tmp_path: Path, dst: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(models / "table", source)
    before = {name: ((source / name).stat().st_mtime_ns, data) for name, data in contents(source).items()}
    edit = sm.Edit(source).remove_signature("serving_default").clear_devices().prune()
    edit.save(dst)
    edit.save(tmp_path / "text", format="pbtxt")
    assert before == {
        name: ((source / name).stat().st_mtime_ns, data) for name, data in contents(source).items()
    }


def test_what_tells_of_the_source_is_left_out(models: Path, tmp_path: Path, dst: Path) -> None:
    """The manifest of a published version would not fit the edited one."""
    source = tmp_path / "source"
    shutil.copytree(models / "mlp", source)
    (source / "assets.extra").mkdir()
    for name in "savedmodel_manifest.json", "labels.txt":
        (source / "assets.extra" / name).write_bytes(b"")
    sm.Edit(source).save(dst)
    assert os.listdir(dst / "assets.extra") == ["labels.txt"]


def recorded(source: Path, folder: Path) -> Path:
    """A copy of a model, and a request for its two outputs to warm it up with."""
    shutil.copytree(source, folder)
    one = {"a": np.ones(1, np.float32), "b": np.ones(1, np.float32)}
    sm.record_warmup(folder, one, signature="sum_prod", outputs=["sum", "prod"])
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.rename_signature("sum_prod", "both"),
        lambda e: e.remove_signature("sum_prod"),
        lambda e: e.keep_outputs("sum_prod", ["sum"]),
        lambda e: e.set_tags({"serve"}, {"canary"}),
        lambda e: e.remove_signature("sum_prod").add_signature(
            "sum_prod", {"x": "serving_default_x"}, {"sum": "PartitionedCall_2", "prod": "PartitionedCall_2"}
        ),
    ],
)
def test_warm_up_requests_that_nothing_answers_are_left_out(
    models: Path, tmp_path: Path, dst: Path, change: Callable[[sm.Edit], sm.Edit]
) -> None:
    edit = change(sm.Edit(recorded(models / "multi", tmp_path / "source")))
    (note,) = edit.save(dst)
    assert note.startswith("assets.extra/tf_serving_warmup_requests is left out: ")
    sm.publish(dst, tmp_path / "published")


def test_warm_up_requests_stay_where_they_are_answered(models: Path, tmp_path: Path, dst: Path) -> None:
    source = recorded(models / "multi", tmp_path / "source")
    edit = sm.Edit(source).add_outputs("sum_prod", {"a": "sum_prod_a"}).copy_meta_graph({"serve"}, {"canary"})
    assert edit.save(dst) == []
    name = "assets.extra/tf_serving_warmup_requests"
    assert (dst / name).read_bytes() == (source / name).read_bytes()
    sm.load(dst, warmup=True).close()


def test_overwrite(models: Path, dst: Path, tmp_path: Path) -> None:
    sm.Edit(models / "table").save(dst)
    edit = sm.Edit(models / "mlp")
    with pytest.raises(sm.AlreadyExistsError, match="exists already"):
        edit.save(dst)
    assert "assets/vocab.txt" in files(dst)
    edit.save(dst, overwrite=True)
    assert files(dst) == files(models / "mlp")
    assert os.listdir(tmp_path) == ["edited"]


def test_a_reader_always_finds_a_model(models: Path, dst: Path) -> None:
    edit = sm.Edit(models / "mlp")
    edit.save(dst)
    seen: list[bool] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append((dst / "saved_model.pb").exists())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        edit.save(dst, overwrite=True)
    over.set()
    reader.join()
    assert len(seen) > 50
    assert all(seen)


def test_nothing_is_left_of_a_failed_write(models: Path, tmp_path: Path, dst: Path) -> None:
    edit = sm.Edit(models / "bad_corrupt_crc").prune()
    with pytest.raises(sm.DataLossError, match="Checksum does not match"):
        edit.save(dst)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["bad_missing_variables_dir", "bad_missing_shard", "bad_short_shard"])
def test_half_a_source_is_not_copied(models: Path, tmp_path: Path, dst: Path, name: str) -> None:
    with pytest.raises((sm.NotFoundError, sm.DataLossError), match="is the copy complete"):
        sm.Edit(models / name).save(dst)
    assert os.listdir(tmp_path) == []


def test_what_is_no_saved_model(tmp_path: Path) -> None:
    with pytest.raises(sm.NotFoundError):
        sm.Edit(tmp_path / "missing")
    with pytest.raises(sm.NotFoundError):
        sm.Edit(tmp_path)


def test_text_and_back(models: Path, dst: Path, tmp_path: Path, check: Check, mlp: dict[str, Array]) -> None:
    notes = sm.Edit(models / "mlp").save(dst, format="pbtxt")
    assert any("fingerprint" in note for note in notes)
    assert {"saved_model.pbtxt"} == {name for name in files(dst) if name.startswith("saved_model")}
    assert "fingerprint.pb" not in files(dst)
    check(dst, "serving_default", {"x": X}, {"probs": mlp["probs"]})
    sm.Edit(dst).save(tmp_path / "again")
    assert (tmp_path / "again" / "saved_model.pbtxt").exists()
    sm.Edit(dst).save(tmp_path / "binary", format="pb")
    assert sm.inspect(tmp_path / "binary").fingerprint is not None
    check(tmp_path / "binary", "serving_default", {"x": X}, {"probs": mlp["probs"]})


def test_the_fingerprint_tells_the_truth(models: Path, dst: Path, tmp_path: Path) -> None:
    sm.Edit(models / "mlp").save(dst)
    sm.Edit(models / "mlp").rename_signature("serving_default", "x").save(tmp_path / "renamed")
    same, renamed = (sm.inspect(path).fingerprint for path in (dst, tmp_path / "renamed"))
    original = sm.inspect(models / "mlp").fingerprint
    assert original is not None
    assert same is not None
    assert renamed is not None
    assert same.graph_def_program_hash == original.graph_def_program_hash
    assert same.signature_def_hash == original.signature_def_hash
    assert same.checkpoint_hash == original.checkpoint_hash
    assert renamed.graph_def_program_hash == original.graph_def_program_hash
    assert renamed.signature_def_hash != original.signature_def_hash
