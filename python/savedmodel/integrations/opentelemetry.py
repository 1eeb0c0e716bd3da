# SPDX-License-Identifier: Apache-2.0
"""Spans for OpenTelemetry (`opentelemetry-api`); nothing makes them unless a signature is wrapped.

    from savedmodel.integrations.opentelemetry import traced

    f = traced(model.signatures["serving_default"])
    y = f(x)  # the span "savedmodel.run"

A span has the attributes `savedmodel.signature` and `savedmodel.rows`, and the error of a call that fails,
with its class (`savedmodel.error`). It is a child of the span that is current where the call is made.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode, Tracer

import savedmodel as sm

_NAME = "savedmodel.run"


class Traced:
    """A signature, or a batcher, whose calls make spans: `traced` makes it. `inputs`, `outputs` and all else
    are the signature's."""

    def __init__(self, source: Any, tracer: Tracer, ops: bool) -> None:
        self._source = source
        self._tracer = tracer
        self._ops = ops
        self._attributes = {"savedmodel.signature": getattr(source, "name", None) or source.signature}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        given = next(iter([*args, *kwargs.values()]), None)
        with self._span({"": given} if given is not None else {}):
            return self._source(*args, **kwargs)

    def run(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        with self._span(inputs) as span:
            if not self._ops or not span.is_recording() or options.get("trace"):
                return self._source.run(inputs, **options)
            results, ran = self._source.run(inputs, **{**options, "trace": True})
            self._add_ops(ran)
            return results

    async def run_async(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        with self._span(inputs):
            return await self._source.run_async(inputs, **options)

    def submit(
        self, inputs: Mapping[str, Any] | None = None, **options: Any
    ) -> concurrent.futures.Future[Any]:
        span = self._tracer.start_span(_NAME, attributes=self._attributes_of(inputs))

        def done(future: concurrent.futures.Future[Any]) -> None:
            error = None if future.cancelled() else future.exception()
            if future.cancelled():
                span.set_attribute("savedmodel.error", "CancelledError")
            elif error is not None:
                _set_error(span, error)
            span.end()

        try:
            future: concurrent.futures.Future[Any] = self._source.submit(inputs, **options)
        except BaseException as error:
            _set_error(span, error)
            span.end()
            raise
        future.add_done_callback(done)
        return future

    def _attributes_of(self, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
        shape = np.shape(next(iter(inputs.values()))) if inputs else ()
        return {**self._attributes, **({"savedmodel.rows": shape[0]} if shape else {})}

    @contextmanager
    def _span(self, inputs: Mapping[str, Any] | None) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            _NAME,
            attributes=self._attributes_of(inputs),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                _set_error(span, error)
                raise

    def _add_ops(self, ran: sm.Trace) -> None:
        for event in ran.events:
            if event.part:
                continue
            attributes = {
                "savedmodel.node": event.node,
                "savedmodel.origins": [op for _, op in event.origins],
            }
            child = self._tracer.start_span(event.op, start_time=event.start_ns, attributes=attributes)
            child.end(event.start_ns + event.duration_ns)


def _set_error(span: Span, error: BaseException) -> None:
    span.set_attribute("savedmodel.error", type(error).__name__)
    span.record_exception(error)
    span.set_status(StatusCode.ERROR, str(error))


def traced(source: Any, *, tracer: Tracer | None = None, ops: bool = False) -> Any:
    """Wrap a signature, a watched one or a batcher so that each call makes a span.

    tracer: by default that of the global provider. ops: `run` also makes a child span for each op of the
    graph that ran; such calls take some microseconds longer, and a batcher has none.
    """
    return Traced(source, tracer if tracer is not None else trace.get_tracer("savedmodel"), ops)
