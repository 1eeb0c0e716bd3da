# SPDX-License-Identifier: Apache-2.0
"""savedmodel itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import savedmodel as sm
from savedmodel._bench.runtime import Array, Call, Inputs, Request


class SavedModel:
    """`load`, and the signature called by position, because keywords would cost 0.1 us."""

    def __init__(self, request: Request, session: sm.SessionOptions | None = None) -> None:
        self.version = sm.__version__
        optimize: Any = request.optimize
        self._model = sm.load(
            request.path,
            tags=request.tags,
            threads=request.threads if session is None else None,
            session=session,
            optimize=optimize,
        )
        self.function = self._model.signatures[request.signature]

    def buffers(self, inputs: Inputs) -> dict[str, Array]:
        """Aligned copies, which calls borrow. Strings are always copied."""
        feeds = {}
        for key, array in inputs.items():
            if array.dtype.kind not in "OS":
                aligned = sm.empty(array.shape, array.dtype)
                aligned[...] = array
                array = aligned
            feeds[key] = array
        return feeds

    def call(self, inputs: Inputs) -> Call:
        feeds = self.buffers(inputs)
        if feeds.keys() == self.function.inputs.keys():
            return partial(self.function, *(feeds[key] for key in self.function.inputs))
        return partial(self.function.run, feeds)

    def outputs(self, inputs: Inputs) -> dict[str, Array]:
        return dict(self.function.run(self.buffers(inputs)))


open_runtime = SavedModel
