# SPDX-License-Identifier: Apache-2.0
"""Metrics of models and batchers for Prometheus.

    from prometheus_client import REGISTRY, start_http_server
    from savedmodel.prometheus import Collector

    model = sm.load("models/resnet50", metrics=True)
    REGISTRY.register(Collector({"resnet50": [model, sm.batch(model)]}))
    start_http_server(9000)

`Collector` needs the package prometheus_client (the extra `prometheus`); `savedmodel.prometheus_text` needs
nothing. Durations are counted for models loaded with `metrics=True`; docs/serving.md lists the metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import savedmodel as sm

if TYPE_CHECKING:
    from prometheus_client import Metric

    Source = sm.Model | sm.Watched | sm.Batcher


class Collector:
    """Registers models with prometheus_client: `REGISTRY.register(Collector({"resnet50": model}))`.

    sources: as for `savedmodel.prometheus_text`; read at each scrape, so that a dict may change meanwhile.
    """

    def __init__(self, sources: Mapping[str, Source | Iterable[Source]]) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        self._parse = text_string_to_metric_families
        self._sources = sources

    def describe(self) -> list[Metric]:
        """None beforehand: what there is depends on the calls."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._parse(sm.prometheus_text(self._sources))
