"""What calls came to: `Model.metrics`, and the same for Prometheus."""

from __future__ import annotations

import asyncio
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm
from savedmodel import prometheus

from .helpers import Load

ONE = {"i": np.array([1], np.int32)}
BAD = {"i": np.array([9], np.int32)}


def test_calls_are_counted_by_signature(load: Load) -> None:
    model = load("batching", metrics=True)
    picky = model.signatures["picky"]
    for _ in range(20):
        picky.run(ONE)
    for _ in range(3):
        with pytest.raises(sm.InvalidArgumentError):
            picky.run(BAD)
    picky.submit(ONE).result(30)
    (told,) = [one for one in model.metrics() if one.calls]
    assert (told.signature, told.outputs) == ("picky", ("squares",))
    assert (told.successes, told.errors, told.calls) == (21, {"INVALID_ARGUMENT": 3}, 24)
    assert sum(told.latency.values()) == 21
    assert sum(told.error_latency["INVALID_ARGUMENT"].values()) == 3
    assert 0 < told.error_seconds["INVALID_ARGUMENT"] < 60
    assert 0 < told.seconds < 60
    assert 0 < told.quantile(0.5) <= told.quantile(0.99) <= max(told.latency)
    assert told.queued == 1
    assert told.queue_seconds > 0
    with pytest.raises(ValueError, match="0 to 1"):
        told.quantile(2)


def test_bytes_of_weights(load: Load) -> None:
    """Variables first; then constants in the same memory, and packed copies of them."""
    model = load("large_weights", optimize="none")
    variables = sum(value.nbytes for value in model.variables.values())
    assert variables > 1 << 20
    assert model.weight_bytes == variables
    model.close()
    assert model.weight_bytes == 0
    model = load("mlp")
    variables = sum(value.nbytes for value in load("mlp").variables.values())
    assert model.weight_bytes == variables
    model(np.zeros((1, 64), np.float32))
    packed = model.weight_bytes
    assert variables < packed < 3 * variables
    assert f'savedmodel_weight_bytes{{model="m",version=""}} {packed}\n' in sm.prometheus_text({"m": model})


def test_a_model_that_does_not_count_says_so(load: Load) -> None:
    model = load("batching")
    with pytest.raises(sm.FailedPreconditionError, match="load it with metrics=True"):
        model.metrics()
    with pytest.raises(TypeError, match="metrics must be a bool"):
        load("batching", metrics="yes")


def samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name not in found
            found[name] = float(value)
    return found


def test_prometheus_text(load: Load) -> None:
    model = load("batching", metrics=True)
    picky = model.signatures["picky"]
    for _ in range(5):
        picky.run(ONE)
    picky.run(ONE, outputs=["squares"])  # another function of the same signature
    with pytest.raises(sm.InvalidArgumentError):
        picky.run(BAD)
    batcher = sm.batch(model, max_batch_size=4, max_delay=1, pad_to=[4])

    async def main() -> None:
        x = np.ones((1, 4), np.float32)
        await asyncio.gather(*(batcher.run_async({"x": x}) for _ in range(4)))

    asyncio.run(main())
    found = samples(sm.prometheus_text({'a "model"': [model, batcher]}))
    labels = r'{model="a \"model\"",version="",signature="%s"'
    of_picky, of_batch = labels % "picky", labels % "serving_default"
    for code, calls in (("OK", 6), ("INVALID_ARGUMENT", 1)):
        of_code = of_picky + f',code="{code}"'
        assert found["savedmodel_request_duration_seconds_count" + of_code + "}"] == calls
        assert found["savedmodel_request_duration_seconds_bucket" + of_code + ',le="+Inf"}'] == calls
        assert found["savedmodel_request_duration_seconds_sum" + of_code + "}"] > 0
    assert found["savedmodel_batch_requests_total" + of_batch + "}"] == 4
    assert found["savedmodel_batch_rows_bucket" + of_batch + ',le="2"}'] == 0
    assert found["savedmodel_batch_rows_bucket" + of_batch + ',le="4"}'] == 1
    assert found["savedmodel_batch_rows_sum" + of_batch + "}"] == 4
    assert found["savedmodel_batch_waiting_requests" + of_batch + "}"] == 0


def test_buckets_are_cumulative(load: Load) -> None:
    model = load("batching", metrics=True)
    for _ in range(50):
        model.signatures["picky"].run(ONE)
    text = sm.prometheus_text({"m": model})
    counts = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if 'picky",code="OK",le=' in line]
    assert len(counts) == 34
    assert counts == sorted(counts)
    assert counts[-1] == 50


def test_versions(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "batching", tmp_path / "3")
    with sm.watch(tmp_path, poll=1000, metrics=True) as watched:
        watched(np.ones((1, 4), np.float32))
        labels = 'model="m",version="%d",signature="serving_default",code="OK"'
        name = "savedmodel_request_duration_seconds_count{" + labels + "}"
        found = samples(sm.prometheus_text({"m": watched}))
        assert found[name % 3] >= 1
        assert found['savedmodel_loaded_versions{model="m"}'] == 1
        shutil.copytree(models / "batching", tmp_path / "4")
        watched.refresh()
        watched(np.ones((1, 4), np.float32))
        found = samples(sm.prometheus_text({"m": watched}))
        assert found[name % 4] >= 1
        assert name % 3 not in found
        assert found['savedmodel_version_switches_total{model="m"}'] == 1


def test_prometheus_s_own_client_reads_them(load: Load) -> None:
    client = pytest.importorskip("prometheus_client")
    model = load("batching", metrics=True)
    registry = client.CollectorRegistry()
    sources: dict[str, Any] = {"m": model}
    registry.register(prometheus.Collector(sources))
    model.signatures["picky"].run(ONE)
    labels = {"model": "m", "version": "", "signature": "picky", "code": "OK"}
    assert registry.get_sample_value("savedmodel_request_duration_seconds_count", labels) == 1
    sources["other"] = sm.batch(model)
    server, thread = client.start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=30) as reply:
            page = reply.read().decode()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "# TYPE savedmodel_request_duration_seconds histogram" in page
    assert 'savedmodel_batch_requests_total{model="other",signature="serving_default",version=""} 0.0' in page
    with pytest.raises(TypeError, match="'m': a model, a watched model or a batcher, got 1"):
        sm.prometheus_text({"m": [1]})  # type: ignore[list-item]
