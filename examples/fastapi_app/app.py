# SPDX-License-Identifier: Apache-2.0
"""A service on FastAPI: `MODEL=models/mlp uvicorn app:app`. Needs fastapi, uvicorn, prometheus_client.

The model is loaded when the service starts, in each worker process, and requests that come together share
runs.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import savedmodel as sm
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel


class Predict(BaseModel):
    """Columns: arrays with the batch's axis, by input."""

    inputs: dict[str, Any]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with sm.load(os.environ["MODEL"], threads=1, metrics=True) as model, sm.batch(model) as batcher:
        app.state.model, app.state.batcher = model, batcher
        yield


app = FastAPI(title="A SavedModel", lifespan=lifespan)


@app.post("/predict")
async def predict(body: Predict) -> dict[str, Any]:
    batcher: sm.Batcher = app.state.batcher
    try:
        results = await batcher.run_async(body.inputs, timeout=1.0)  # which checks and converts lists
    except (KeyError, TypeError, ValueError, sm.InvalidArgumentError) as error:
        raise HTTPException(400, str(error)) from error
    except sm.ResourceExhaustedError as error:
        raise HTTPException(503, str(error)) from error
    except sm.DeadlineExceededError as error:
        raise HTTPException(504, str(error)) from error
    return {"outputs": {key: np.asarray(value).tolist() for key, value in results.items()}}


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ready": not app.state.model.closed}


@app.get("/metrics")
def metrics() -> Response:
    text = sm.prometheus_text({"model": [app.state.model, app.state.batcher]})
    return Response(text, media_type="text/plain; version=0.0.4")
