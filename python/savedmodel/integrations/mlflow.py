# SPDX-License-Identifier: Apache-2.0
"""A pyfunc flavour for MLflow (`mlflow` or `mlflow-skinny`).

    import mlflow
    from savedmodel.integrations import mlflow as savedmodel_flavor

    with mlflow.start_run():
        info = savedmodel_flavor.log_model("models/mlp", name="mlp")
    model = mlflow.pyfunc.load_model(info.model_uri)
    model.predict(dataframe)

`predict` takes a DataFrame, whose columns are the inputs (or all together the only one, a matrix), a dict
of arrays, or an array for the only input; and gives a DataFrame, a dict or a dict.
`params={"signature_name": ...}` chooses a signature, if it was logged with one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import savedmodel as sm
from savedmodel.integrations import _columns

_MODEL, _OPTIONS = "model", "savedmodel.json"


class _PyFunc:
    """What MLflow calls."""

    def __init__(self, path: Path) -> None:
        stored = json.loads((path / _OPTIONS).read_text(encoding="utf-8"))
        self._model = sm.load(path / _MODEL, **stored["load_options"])
        self._default = stored["signature"]

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        chosen = (params or {}).get("signature_name", self._default)
        signature = _columns.choose_signature(self._model, chosen)
        if hasattr(data, "columns") and hasattr(data, "to_numpy"):
            return self._predict_frame(data, signature)
        if not isinstance(data, dict):
            if len(signature.inputs) != 1:
                raise TypeError(f"the signature has the inputs {sorted(signature.inputs)}: give a dict")
            data = {next(iter(signature.inputs)): data}
        inputs = _columns.to_inputs(data, signature, {})
        return signature.run(inputs)

    def _predict_frame(self, frame: Any, signature: sm.Signature) -> Any:
        import pandas as pd

        columns = {name: frame[name].to_numpy() for name in frame.columns}
        (only,) = signature.inputs if len(signature.inputs) == 1 else (None,)
        if only is not None and only not in columns:
            # A matrix, with a column for each of its columns.
            inputs = {only: _columns.to_array(frame.to_numpy(), signature.inputs[only], only)}
        else:
            inputs = _columns.to_inputs(columns, signature, {})
        results = signature.run(inputs)
        _columns.check_rows(results, len(frame))
        table = {
            key: value if np.ndim(value) == 1 else list(np.asarray(value)) for key, value in results.items()
        }
        return pd.DataFrame(table, index=frame.index)


def _load_pyfunc(path: str) -> _PyFunc:
    """MLflow's entry: `path` is what `_write` made."""
    return _PyFunc(Path(path))


@contextmanager
def _pyfunc_arguments(
    source: str | os.PathLike[str], signature: str | None, load_options: dict[str, Any] | None, given: Any
) -> Iterator[dict[str, Any]]:
    """Of mlflow.pyfunc's save_model and log_model, while there is the folder that they copy."""
    options = load_options or {}
    with sm.load(source, **options) as model:  # not one that can't be loaded
        _columns.choose_signature(model, signature)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        shutil.copytree(source, data / _MODEL)
        stored = {"signature": signature, "load_options": options}
        (data / _OPTIONS).write_text(json.dumps(stored), encoding="utf-8")
        needed = [f"savedmodel=={sm.__version__}", "tensorflow==2.21.*"]
        yield {"loader_module": __name__, "data_path": str(data), "pip_requirements": needed, **given}


def save_model(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    signature_name: str | None = None,
    load_options: dict[str, Any] | None = None,
    **mlflow_options: Any,
) -> None:
    """Write the SavedModel `source` as an MLflow model to `path`, which must not exist.

    signature_name: the one that `predict` runs; by default "serving_default", or the only one. load_options:
    as `savedmodel.load` has them, of JSON's types. mlflow_options: as `mlflow.pyfunc.save_model`.
    Raises what `savedmodel.load` raises.
    """
    from mlflow import pyfunc

    with _pyfunc_arguments(source, signature_name, load_options, mlflow_options) as arguments:
        pyfunc.save_model(os.fspath(path), **arguments)


def log_model(
    source: str | os.PathLike[str],
    *,
    signature_name: str | None = None,
    load_options: dict[str, Any] | None = None,
    **mlflow_options: Any,
) -> Any:
    """The same, logged to the active run: `name=`, `registered_model_name=` as `mlflow.pyfunc.log_model`."""
    from mlflow import pyfunc

    with _pyfunc_arguments(source, signature_name, load_options, mlflow_options) as arguments:
        return pyfunc.log_model(**arguments)
