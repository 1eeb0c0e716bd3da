"""The table of models, what a model's function gets to work with, and the recording of goldens."""

from __future__ import annotations

import contextlib
import logging
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

tf.get_logger().setLevel(logging.ERROR)

Feeds = Mapping[str, object]
Tags = tuple[str, ...]

MODELS: dict[str, Callable[[Workspace], None]] = {}


def model(function: Callable[[Workspace], None]) -> Callable[[Workspace], None]:
    """Registers a function that writes one model; the model is called as the function is."""
    MODELS[function.__name__] = function
    return function


@dataclass
class Workspace:
    """Where a model is written to, and what is to be recorded of it."""

    path: Path
    scratch: Path
    rng: np.random.Generator
    goldens: dict[Tags, dict[str, dict[str, np.ndarray]]] = field(default_factory=dict)
    recorded: dict[str, np.ndarray] = field(default_factory=dict)

    def normal(self, *shape: int) -> np.ndarray:
        """Seeded float32 numbers, standard normal."""
        return self.rng.standard_normal(shape).astype(np.float32)

    def write_vocabulary(self, words: list[str], name: str = "vocab.txt") -> str:
        """Writes one word a line, and returns the file's path."""
        path = self.scratch / name
        path.write_text("".join(f"{word}\n" for word in words))
        return str(path)

    def save(self, signatures: Mapping[str, object], **tracked: object) -> None:
        """Saves functions as a TF2 model that owns `tracked`: variables, tables."""
        module = tf.Module()
        for name, value in tracked.items():
            setattr(module, name, value)
        tf.saved_model.save(module, str(self.path), signatures=dict(signatures))

    def golden(self, signature: str, inputs: Feeds | None = None, tags: Tags = ("serve",)) -> None:
        """Asks for one run of a signature to be recorded, in a session of its own."""
        arrays = {name: _as_array(value) for name, value in (inputs or {}).items()}
        self.goldens.setdefault(tags, {})[signature] = arrays

    def record(self, signature: str, inputs: Feeds, outputs: Feeds) -> None:
        """A golden run that no session can do: its results are given."""
        for side, values in ("in", inputs), ("out", outputs):
            for key, value in values.items():
                array, suffix = _storable(_as_array(value))
                self.recorded[f"{signature}|{side}:{key}{suffix}"] = array

    @contextlib.contextmanager
    def edit_proto(self) -> Iterator[saved_model_pb2.SavedModel]:
        """The written saved_model.pb, to be changed in place."""
        path = self.path / "saved_model.pb"
        proto = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        yield proto
        path.write_bytes(proto.SerializeToString(deterministic=True))


def write_model(name: str, path: Path, scratch: Path) -> Workspace:
    """Writes a model alone, without its goldens. The seed depends on nothing but the name."""
    seed = zlib.crc32(name.encode())
    tf.random.set_seed(seed)
    workspace = Workspace(path, scratch, np.random.default_rng(seed))
    MODELS[name](workspace)
    return workspace


def generate(name: str, dest: Path, scratch: Path) -> str:
    """Writes DEST/<name>/ and its goldens anew; returns a line about them."""
    dest.mkdir(parents=True, exist_ok=True)
    path = dest / name
    shutil.rmtree(path, ignore_errors=True)
    for old in [dest / f"{name}.npz", *dest.glob(f"{name}@*.npz")]:
        old.unlink(missing_ok=True)

    workspace = write_model(name, path, scratch)
    runs = 0
    for tags, signatures in workspace.goldens.items():
        arrays: dict[str, np.ndarray] = {}
        for signature, inputs in signatures.items():
            arrays |= _record(path, tags, signature, inputs)
        suffix = "" if tags == ("serve",) else "@" + ",".join(sorted(tags))
        np.savez(dest / f"{name}{suffix}.npz", **arrays)
        runs += len(signatures)
    if workspace.recorded:
        np.savez(dest / f"{name}.npz", **workspace.recorded)
        runs += 1
    return f"{runs} golden run{'' if runs == 1 else 's'}"


def _as_array(value: object) -> np.ndarray:
    array = np.asarray(value)
    # Made anew, as NumPy's own strings lose trailing zero bytes.
    return np.array(value, dtype=object) if array.dtype.kind in "SU" else array


def _record(path: Path, tags: Tags, signature: str, inputs: dict[str, np.ndarray]) -> dict:
    """Runs a signature in a fresh session of TensorFlow's; returns the arrays to store."""
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph, config=config) as session:
        meta_graph = tf.compat.v1.saved_model.load(session, list(tags), str(path))
        signature_def = meta_graph.signature_def[signature]
        sources = _parts(signature_def.inputs)
        if sources.keys() != inputs.keys():
            raise ValueError(f"{path.name}: {signature} takes {[*sources]}, not {[*inputs]}")
        outputs = session.run(
            _parts(signature_def.outputs),
            {graph.get_tensor_by_name(sources[key]): value for key, value in inputs.items()},
        )

    stored = {}
    for side, arrays in ("in", inputs), ("out", outputs):
        for key, value in arrays.items():
            array, suffix = _storable(_as_array(value))
            stored[f"{signature}|{side}:{key}{suffix}"] = array
    return stored


def _parts(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, str]:
    """Tensor names by golden key; a composite value has one for each of its parts."""
    parts = {}
    for key, info in sorted(infos.items()):
        match info.WhichOneof("encoding"):
            case "coo_sparse":
                parts[f"{key}#indices"] = info.coo_sparse.indices_tensor_name
                parts[f"{key}#values"] = info.coo_sparse.values_tensor_name
                parts[f"{key}#dense_shape"] = info.coo_sparse.dense_shape_tensor_name
            case "composite_tensor":
                for index, component in enumerate(info.composite_tensor.components):
                    parts[f"{key}#{index}"] = component.name
            case _:
                parts[key] = info.name
    return parts


def _storable(array: np.ndarray) -> tuple[np.ndarray, str]:
    """The array as a dtype that .npz files know, and the suffix that tells the true one."""
    dtype = array.dtype
    if dtype.names:  # TensorFlow's quantised types: structures of one integer
        return np.ascontiguousarray(array).view(dtype[0]).reshape(array.shape), ""
    if dtype.isbuiltin == 1:
        return array, ""
    return array.view(f"u{dtype.itemsize}"), f"::{dtype.name}"
