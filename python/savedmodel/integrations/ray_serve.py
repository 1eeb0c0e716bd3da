# SPDX-License-Identifier: Apache-2.0
"""A deployment for Ray Serve (`ray[serve]`).

    from ray import serve
    from savedmodel.integrations import ray_serve

    handle = serve.run(ray_serve.app("models/resnet50", num_replicas=2, ray_actor_options={"num_cpus": 1}))
    y = handle.remote({"image": x}).result()

Requests that come together share runs (`savedmodel.batch`), without a timer. The path is that of a model,
or a folder of versions (`PATH/<integer>/`): then each replica serves the newest one that can be loaded, and
takes newer ones while it serves. HTTP requests have TensorFlow Serving's columns: POST {"inputs": {"image":
[...]}}.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import savedmodel as sm
from savedmodel.integrations import _columns, _ray


def _is_folder_of_versions(path: str) -> bool:
    folder = Path(path)
    return folder.is_dir() and any(one.name.isdecimal() for one in folder.iterdir() if one.is_dir())


class SavedModelReplica:
    """What each replica runs; `app` deploys it.

    batch_options: as `savedmodel.batch` has them; None runs each request by itself. load_options: as
    `savedmodel.load`, or `watch`. `threads` is by default the CPUs of the replica (`num_cpus`).
    """

    def __init__(
        self,
        path: str,
        signature: str | None = None,
        batch_options: Mapping[str, Any] | None = None,
        load_options: Mapping[str, Any] | None = None,
    ) -> None:
        options = {"metrics": True, "threads": _ray.cpus_of_this_actor(), **(load_options or {})}
        versions = _is_folder_of_versions(path)
        self._model: sm.Model | sm.Watched = (
            sm.watch(path, **options) if versions else sm.load(path, **options)
        )
        self._signature = _columns.choose_signature(self._model, signature)
        self._batcher = None if batch_options is None else sm.batch(self._signature, **batch_options)

    async def __call__(self, request: Any) -> Any:
        """Of a handle: a dict of arrays, with the batch's axis, and the results as one. Of HTTP: JSON."""
        if hasattr(request, "json"):  # Starlette's request, which is a Mapping too
            return await self._answer(request)
        return await self._run(request)

    async def _run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if self._batcher is not None:
            return await self._batcher.run_async(inputs)
        if isinstance(self._signature, sm.Signature):
            return await self._signature.run_async(inputs)
        return await asyncio.to_thread(self._signature.run, inputs)  # of the version that is the newest now

    async def _answer(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        try:
            body = await request.json()
            columns = body["inputs"]
            if not isinstance(columns, Mapping):
                columns = {next(iter(self._signature.inputs)): columns}
            results = await self._run(columns)  # which checks and converts lists
        except (KeyError, TypeError, ValueError, sm.InvalidArgumentError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except sm.ResourceExhaustedError as error:
            return JSONResponse({"error": str(error)}, status_code=503)
        outputs = {key: np.asarray(value).tolist() for key, value in results.items()}
        return JSONResponse({"outputs": outputs})

    def check_health(self) -> None:
        """Ray Serve's: replaces the replica if this raises."""
        if self._model.closed:
            raise RuntimeError("the model is closed")

    def version(self) -> int | None:
        """The version that serves now, if the path is a folder of versions."""
        return self._model.version if isinstance(self._model, sm.Watched) else None

    def metrics(self) -> str:
        """In Prometheus' text format."""
        sources = [self._model] if self._batcher is None else [self._model, self._batcher]
        return sm.prometheus_text({"model": sources})


def app(
    path: str | os.PathLike[str],
    *,
    signature: str | None = None,
    batch_options: Mapping[str, Any] | None = {},
    load_options: Mapping[str, Any] | None = None,
    **deployment_options: Any,
) -> Any:
    """A `serve.Application` to run. deployment_options: as `serve.deployment` has them."""
    from ray import serve

    options = {"name": "SavedModel", "max_ongoing_requests": 256, **deployment_options}
    deployment = serve.deployment(**options)(SavedModelReplica)
    return deployment.bind(os.fspath(path), signature, batch_options, load_options)
