"""Models that must not load, or not run, and whose error messages are worth reading."""

from __future__ import annotations

import shutil
from pathlib import Path

import tensorflow as tf

from .registry import Workspace, model, write_model
from .v2 import WORDS, signature

INDEX = Path("variables/variables.index")
SHARD = Path("variables/variables.data-00000-of-00001")


def copy_of(m: Workspace, name: str) -> Path:
    """Starts a model as a sound copy of another; returns the folder."""
    sound = m.scratch / "sound" / name
    if not sound.exists():
        write_model(name, sound, m.scratch)
    shutil.copytree(sound, m.path)
    return m.path


def flip(path: Path, start: int, count: int) -> None:
    """Inverts some bytes of a file."""
    data = bytearray(path.read_bytes())
    data[start : start + count] = bytes(0xFF ^ byte for byte in data[start : start + count])
    path.write_bytes(data)


@model
def bad_truncated_pb(m: Workspace) -> None:
    """saved_model.pb ends in the middle."""
    pb = copy_of(m, "mlp") / "saved_model.pb"
    data = pb.read_bytes()
    pb.write_bytes(data[: len(data) // 2])


@model
def bad_garbage_pb(m: Workspace) -> None:
    """saved_model.pb is not a protocol buffer."""
    (copy_of(m, "mlp") / "saved_model.pb").write_bytes(b"\xff\xfeThis is no SavedModel.\n" * 20)


@model
def bad_empty_pb(m: Workspace) -> None:
    """saved_model.pb has no bytes, which is a valid message without meta graphs."""
    (copy_of(m, "mlp") / "saved_model.pb").write_bytes(b"")


@model
def bad_missing_variables_dir(m: Workspace) -> None:
    """No variables folder: TensorFlow loads it, and fails at the first run."""
    shutil.rmtree(copy_of(m, "mlp") / "variables")


@model
def bad_missing_index(m: Workspace) -> None:
    """The shard is there, its index is not: TensorFlow loads it, and fails at the first run."""
    (copy_of(m, "mlp") / INDEX).unlink()


@model
def bad_missing_shard(m: Workspace) -> None:
    """The index is there, its shard is not."""
    (copy_of(m, "mlp") / SHARD).unlink()


@model
def bad_short_shard(m: Workspace) -> None:
    """The shard ends in the middle, as after a copy that was cut short."""
    shard = copy_of(m, "mlp") / SHARD
    data = shard.read_bytes()
    shard.write_bytes(data[: len(data) // 2])


@model
def bad_corrupt_crc(m: Workspace) -> None:
    """A few bytes of a weight differ from what was written; only the checksum tells."""
    shard = copy_of(m, "mlp") / SHARD
    flip(shard, shard.stat().st_size // 2, 16)


@model
def bad_corrupt_index(m: Workspace) -> None:
    """A few bytes of the index differ from what was written."""
    flip(copy_of(m, "mlp") / INDEX, 32, 16)


@model
def bad_no_saved_model(m: Workspace) -> None:
    """A folder with variables and nothing else."""
    (copy_of(m, "mlp") / "saved_model.pb").unlink()


@model
def bad_missing_asset(m: Workspace) -> None:
    """The vocabulary file is gone."""
    (copy_of(m, "table") / "assets" / "vocab.txt").unlink()


@model
def bad_asset_traversal(m: Workspace) -> None:
    """The asset's file name leads out of the model, to a file (<name>.txt) that is there."""
    outside = m.path.parent / f"{m.path.name}.txt"
    shutil.copy(copy_of(m, "table") / "assets" / "vocab.txt", outside)
    with m.edit_proto() as proto:
        proto.meta_graphs[0].asset_file_def[0].filename = f"../../{outside.name}"


@model
def bad_absolute_asset(m: Workspace) -> None:
    """The asset's file name is an absolute path."""
    copy_of(m, "table")
    with m.edit_proto() as proto:
        proto.meta_graphs[0].asset_file_def[0].filename = "/etc/passwd"


@model
def bad_unknown_op(m: Workspace) -> None:
    """A node of the graph has an op that nobody registers."""
    copy_of(m, "mlp")
    with m.edit_proto() as proto:
        nodes = proto.meta_graphs[0].graph_def.node
        next(n for n in nodes if n.op == "StatefulPartitionedCall").op = "NoSuchOpEver"


@model
def bad_unknown_op_in_function(m: Workspace) -> None:
    """As bad_unknown_op, in a function's body: TensorFlow loads it, and fails at the first run."""
    copy_of(m, "mlp")
    with m.edit_proto() as proto:
        functions = proto.meta_graphs[0].graph_def.library.function
        next(n for f in functions for n in f.node_def if n.op == "MatMul").op = "NoSuchOpEver"


@model
def bad_unknown_op_in_call(m: Workspace) -> None:
    """As bad_unknown_op_in_function, in a model without signatures."""
    copy_of(m, "many_functions")
    with m.edit_proto() as proto:
        for function in proto.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.op == "Mul":
                    node.op = "NoSuchOpEver"


@model
def bad_remote_device(m: Workspace) -> None:
    """A node is pinned to another machine's CPU, which soft placement does not mend."""
    copy_of(m, "mlp")
    with m.edit_proto() as proto:
        nodes = proto.meta_graphs[0].graph_def.node
        call = next(n for n in nodes if n.op == "StatefulPartitionedCall")
        call.device = "/job:worker/replica:0/task:7/device:CPU:0"


@model
def bad_not_utf8(m: Workspace) -> None:
    """Loads and runs, but quotes the input in its error message: feed it b"\\xff\\xfe"."""
    m.save({"serving_default": signature(lambda s: {"n": tf.strings.to_number(s)}, s=WORDS)})
    m.golden("serving_default", {"s": [b"1.5", b"-2e3"]})
