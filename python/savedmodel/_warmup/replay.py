# SPDX-License-Identifier: Apache-2.0
"""Recorded requests, sent to a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savedmodel._core import Error, InvalidArgumentError
from savedmodel._warmup import requests
from savedmodel._warmup.records import read_records

if TYPE_CHECKING:
    from savedmodel._model import Model

FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000
"""More are an error to TensorFlow Serving."""

_log = logging.getLogger("savedmodel.warmup")


def replay(model: Model) -> int:
    """Send a model its recorded requests. Returns how many there were: 0 without a file.

    Records that no signature can answer are skipped, with a warning. Raises DataLossError for a damaged file,
    and what a request raises, with its number.
    """
    file = Path(model.path) / FILE
    if not file.is_file():
        return 0
    done = 0
    for number, record in enumerate(read_records(file), 1):
        where = f"warm-up request {number} of {str(file)!r}"
        if number > MAX_RECORDS:
            _log.warning("%s: those after %d are left out", file, MAX_RECORDS)
            break
        try:
            found = list(requests.parse(record))
            for request in found:
                _send(model, request)
        except Error as error:
            raise type(error)(f"{where}: {error}") from None
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidArgumentError(f"{where}: {error.args[0] if error.args else error}") from None
        if not found:
            _log.warning("%s is of a kind that no signature answers; it is skipped", where)
        done += bool(found)
    return done


def _send(model: Model, request: requests.Request) -> None:
    signature = model.signatures[request.signature]
    inputs: dict[str, Any] = dict(request.inputs or {})
    if request.examples is not None:
        name = "inputs" if "inputs" in signature.inputs else next(iter(signature.inputs), "inputs")
        inputs = {name: request.examples}
    signature.run(inputs, outputs=request.outputs or None)
