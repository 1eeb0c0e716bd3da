# SPDX-License-Identifier: Apache-2.0
"""Reads Keras files, and detects the generation that wrote them."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import savedmodel as sm
from savedmodel.export._names import one_line
from savedmodel.export._tensorflow import keras2, keras3, tensorflow

_UNKNOWN = re.compile(
    r"(Could not locate (class|function)|Unknown (layer|object|\w+ function):) ['\"]?[\w>]+['\"]?"
)
_METADATA = "keras_metadata.pb"
_HDF5 = (".h5", ".hdf5")


def check(path: Path) -> None:
    """Raise if there is nothing that Keras could have written."""
    if not path.exists():
        raise sm.NotFoundError(f"{path}: no such file")
    if path.is_dir():
        if (path / _METADATA).exists():
            return
        if (path / "saved_model.pb").exists():
            raise ValueError(f"{path} is a SavedModel already, and not one that Keras 2 could read again")
        raise ValueError(f"{path} is a folder without a Keras model")
    if path.suffix not in (".keras", *_HDF5):
        raise ValueError(f"{path}: a Keras model is a .keras or .h5 file, or a folder that Keras 2 wrote")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a .keras file, or cut short")
    if path.suffix in _HDF5 and path.open("rb").read(8) != b"\x89HDF\r\n\x1a\n":
        raise ValueError(f"{path}: not an HDF5 file")


def describe(model: Any) -> str:
    """'Keras 3.15.1 model 'digits''; raises TypeError for anything that is not a model."""
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        if kind.__name__ == "Model" and package in ("keras", "tf_keras"):
            return f"the model {model.name!r}, {_version(keras3() if package == 'keras' else keras2(''))}"
    raise TypeError(f"src is a path or a Keras model, got {type(model).__name__}")


def load(
    path: Path, version: int | None, custom_objects: Mapping[str, Any] | None, safe_mode: bool
) -> tuple[Any, str]:
    """The model, and the Keras that read it."""
    configs, written_by = _configs(path)
    if safe_mode:
        _refuse_lambdas(path, configs)
    if version is None and path.is_dir():
        version = 2
    objects = dict(custom_objects or {})
    refused: Exception | None = None
    if version != 2:
        keras = keras3()
        try:
            model = keras.saving.load_model(path, objects, compile=False, safe_mode=safe_mode)
            return model, _version(keras)
        except Exception as error:  # Keras raises all kinds of errors for a file
            refused = error
        if version == 3 or not written_by.startswith(("1.", "2.")):
            raise ValueError(_cannot_read(path, "Keras 3", refused)) from refused
    tensorflow()
    keras = keras2(_cannot_read(path, "Keras 3", refused) if refused else f"{path} is read by Keras 2")
    try:
        model = keras.models.load_model(str(path), custom_objects=objects, compile=False, safe_mode=safe_mode)
        return model, _version(keras)
    except Exception as error:
        raise ValueError(_cannot_read(path, "Keras 2", error)) from error


def _version(keras: Any) -> str:
    version = keras.__version__
    return f"Keras {version}" if keras.__name__ == "keras" else f"tf_keras {version}"


def _cannot_read(path: Path, reader: str, error: Exception) -> str:
    text = one_line(error)
    hint = ""
    unknown = _UNKNOWN.search(str(error))
    if unknown is not None:
        text = unknown[0]  # the enclosing object is the whole configuration
        hint = "; custom layers: custom_objects= (--import MODULE)"
    return f"{path}: {reader} can't read it: {text}{hint}"


def _configs(path: Path) -> tuple[list[bytes | str], str]:
    """The layers' configurations as JSON, and the version of Keras that wrote them ("" if unknown)."""
    if path.is_dir():
        return _metadata(path), "2."
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            try:
                metadata = json.loads(archive.read("metadata.json"))
                return [archive.read("config.json")], str(metadata.get("keras_version", ""))
            except KeyError as error:
                raise ValueError(f"{path}: not a .keras file: {error.args[0]}") from None
    import h5py

    try:
        with h5py.File(path) as file:
            config, version = (file.attrs.get(name, "") for name in ("model_config", "keras_version"))
    except OSError as error:
        raise ValueError(f"{path}: {error}") from None
    if not config:
        raise ValueError(f"{path} has weights only; a model is saved with model.save()")
    return [config], version.decode() if isinstance(version, bytes) else str(version)


def _metadata(folder: Path) -> list[bytes | str]:
    """Keras 2's metadata for each object of a SavedModel."""
    keras2(f"{folder} is read by Keras 2")
    from google.protobuf import message
    from tf_keras.protobuf import saved_metadata_pb2

    try:
        metadata = saved_metadata_pb2.SavedMetadata.FromString((folder / _METADATA).read_bytes())
    except message.DecodeError as error:
        raise ValueError(f"{folder / _METADATA}: {error}") from None
    return [node.metadata for node in metadata.nodes if node.metadata]


def _refuse_lambdas(path: Path, configs: Iterable[bytes | str]) -> None:
    """Raise ValueError for layers that are Python code, and for files where this can't be determined."""
    hint = "if you trust it: safe_mode=False (--allow-lambdas)"
    try:
        waiting = [json.loads(config) for config in configs]
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: its configuration can't be searched for Lambda layers, which are Python code; {hint}: "
            f"{one_line(error)}"
        ) from None
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if not isinstance(value, dict):
            continue
        waiting += value.values()
        # For example "Lambda", "keras.layers.Lambda", "Package>Lambda"; Keras 3 has the code in "__lambda__".
        if re.split(r"[.>]", str(value.get("class_name")))[-1] in ("Lambda", "__lambda__"):
            raise ValueError(f"{path} has a Lambda layer, which is Python code that would be run; {hint}")
