# SPDX-License-Identifier: Apache-2.0
"""Metrics of models and batchers as text: `savedmodel.prometheus_text`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from savedmodel import _core
from savedmodel._batch import Batcher
from savedmodel._model import Model
from savedmodel._watch.handle import Watched

Source = Model | Watched | Batcher
Sources = Mapping[str, Source | Iterable[Source]]


def _version(path: str) -> str:
    name = os.path.basename(os.path.normpath(path))
    return name if name.isdecimal() else ""


def _rows(sources: Sources) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, given in list(sources.items()):
        found: list[Source] = [given] if isinstance(given, Model | Watched | Batcher) else list(given)
        model: Model | None = None
        watched: object = None
        batchers = []
        for source in found:
            if isinstance(source, Watched):
                model, watched = source._switcher.model, source._switcher._core
            elif isinstance(source, Model):
                model = source
            elif isinstance(source, Batcher):
                batchers.append((source.signature, source))
            else:
                raise TypeError(f"{name!r}: a model, a watched model or a batcher, got {source!r}")
        version = "" if model is None else _version(model.path)
        rows.append((name, version, None if model is None else model._core, batchers, watched))
    return rows


def prometheus_text(sources: Sources) -> str:
    """The metrics in Prometheus' text format 0.0.4, for the body of /metrics.

    sources: by the name of a model, what it is served with: the model, or what `watch` returned, batchers, or
        a list of them.
    """
    return _core.prometheus_text(_rows(sources))
