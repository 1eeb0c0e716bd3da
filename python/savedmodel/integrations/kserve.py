# SPDX-License-Identifier: Apache-2.0
"""A model for KServe's Python server (`kserve`).

    from kserve import ModelServer
    from savedmodel.integrations.kserve import SavedModel

    model = SavedModel("resnet50", "/mnt/models")
    model.load()
    ModelServer().start([model])

It answers KServe's v2 protocol (REST and gRPC) with named tensors, and v1's {"instances": [...]}. Requests
that come together share runs. `/mnt/models` is a SavedModel, or has one in a folder of its own.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kserve
import numpy as np
from kserve.errors import InvalidInput
from kserve.utils.numpy_codec import from_np_dtype

import savedmodel as sm
from savedmodel.integrations import _columns


def _find(path: str | os.PathLike[str]) -> Path:
    """The SavedModel at `path`, or the only one in its folders."""
    folder = Path(path)
    if (folder / "saved_model.pb").exists():
        return folder
    found = sorted(folder.glob("*/saved_model.pb"))
    return found[0].parent if len(found) == 1 else folder


class SavedModel(kserve.Model):  # type: ignore[misc]
    """name: as clients ask for it. path: of the SavedModel. signature: by default "serving_default", or the
    only one; a request may name another (`parameters: {"signature_name": ...}`). batch_options: as
    `savedmodel.batch` has them; None runs each request by itself. load_options: as `savedmodel.load`."""

    def __init__(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        signature: str | None = None,
        batch_options: Mapping[str, Any] | None = None,
        **load_options: Any,
    ) -> None:
        super().__init__(name)
        self._path = path
        self._chosen = signature
        self._batch_options = dict(batch_options) if batch_options is not None else None
        self._load_options = load_options
        self._batchers: dict[str, sm.Batcher] = {}

    def load(self) -> bool:
        """Load the model, before the server starts. Raises what `savedmodel.load` raises."""
        self._model = sm.load(_find(self._path), **self._load_options)
        signature = _columns.choose_signature(self._model, self._chosen)
        self._model.prepare()
        if self._batch_options is not None:
            self._batchers[signature.name] = sm.batch(signature, **self._batch_options)
        self.ready = True
        return True

    def stop(self) -> None:
        self.ready = False
        self._model.close()

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """An InferResponse for an InferRequest; for v1's dict, {"predictions": [...]}."""
        try:
            if isinstance(payload, bytes):  # without a Content-Type of JSON
                payload = json.loads(payload)
                if not isinstance(payload, Mapping):
                    raise ValueError("the body is a JSON object with 'instances'")
            if isinstance(payload, Mapping):
                return {"predictions": await self._predict_rows(payload)}
            return await self._infer(payload)
        except (KeyError, TypeError, ValueError, sm.InvalidArgumentError) as error:
            raise InvalidInput(str(error)) from error

    async def _run(self, signature: sm.Signature, inputs: Mapping[str, Any]) -> dict[str, Any]:
        batcher = self._batchers.get(signature.name)
        return await (signature if batcher is None else batcher).run_async(inputs)

    async def _infer(self, request: Any) -> Any:
        named = (request.parameters or {}).get("signature_name")
        named = getattr(named, "string_param", named)
        signature = _columns.choose_signature(self._model, named or self._chosen)
        inputs = {one.name: one.as_numpy() for one in request.inputs}
        results = await self._run(signature, inputs)
        outputs = []
        for key, value in results.items():
            array = np.asarray(value)
            datatype = "BYTES" if array.dtype == object else from_np_dtype(array.dtype)
            output = kserve.InferOutput(key, list(array.shape), datatype)
            output.set_data_from_numpy(array, binary_data=request.from_grpc)
            outputs.append(output)
        return kserve.InferResponse(request.id or str(uuid.uuid4()), self.name, outputs)

    async def _predict_rows(self, payload: Mapping[str, Any]) -> list[Any]:
        rows = payload.get("instances")
        if not isinstance(rows, list) or not rows:
            raise ValueError("the body has 'instances', a list of at least one row")
        signature = _columns.choose_signature(self._model, self._chosen)
        specs = signature.inputs
        if isinstance(rows[0], Mapping):
            columns = {key: [row[key] for row in rows] for key in rows[0]}
        elif len(specs) == 1:
            columns = {next(iter(specs)): rows}
        else:
            raise ValueError(f"the signature has the inputs {sorted(specs)}: 'instances' names them")
        results = await self._run(signature, columns)  # which checks and converts lists
        _columns.check_rows(results, len(rows))
        values = {key: np.asarray(value).tolist() for key, value in results.items()}
        if len(values) == 1:
            return list(next(iter(values.values())))
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
