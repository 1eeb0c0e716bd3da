# SPDX-License-Identifier: Apache-2.0
"""The adapters to other libraries, each with the real one, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm
from savedmodel.integrations import _columns

from .helpers import Load, eventually, run_python

ROOT = Path(__file__).resolve().parents[2]


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)}")


def run(code: str, **where: object) -> None:
    """Run a script that ends with "done"; `where` are its variables."""
    head = "".join(f"{name} = {str(value)!r}\n" for name, value in where.items())
    out, _ = run_python(head + code)
    assert out.splitlines()[-1] == "done", out


JSON = "application/json"


def post(port: int, path: str, body: object, kind: str = JSON) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


@contextmanager
def service(port: int, health: str, *command: str, **options: Any) -> Iterator[None]:
    """A process that serves on `port`."""
    log = Path(options.pop("log"))
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=stderr, stderr=stderr, **options)
        try:
            eventually(lambda: process.poll() is not None or answers(port, health), seconds=120)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                process.wait()


# ---- columns


def test_columns_become_inputs(load: Load) -> None:
    f = load("add").signatures["serving_default"]
    x = np.ones(3, np.float32)
    inputs = _columns.to_inputs({"x": x, "why": np.arange(3.0), "z": 1}, f, {"y": "why"})
    assert inputs["x"] is x
    assert inputs["y"].dtype == np.float32
    assert inputs["y"].tolist() == [0, 1, 2]
    with pytest.raises(KeyError, match="there is no column 'y' for the input 'y'; there are"):
        _columns.to_inputs({"x": x}, f, {})
    with pytest.raises(KeyError, match="there is no input 'q'"):
        _columns.check_names({"q": "x"}, f)
    with pytest.raises(KeyError, match="there is no output 'q'"):
        _columns.check_outputs(["q"], f)
    with pytest.raises(KeyError, match="there is no signature 'q': the model has"):
        _columns.choose_signature(load("add"), "q")
    with pytest.raises(KeyError, match="there is no signature 'serving_default'"):
        _columns.choose_signature(load("dtypes"), None)


def test_columns_that_do_not_fit_are_refused(load: Load) -> None:
    specs = {name: load("dtypes").signatures[name].inputs["x"] for name in ("int32", "float32", "string")}

    def convert(column: Any, dtype: str) -> Any:
        return _columns.to_array(column, specs[dtype], "x")

    assert convert(np.arange(3), "int32").dtype == np.int32
    with pytest.raises(ValueError, match="has numbers that do not fit"):
        convert(np.array([1 << 40]), "int32")
    with pytest.raises(ValueError, match="has numbers that do not fit"):
        convert(np.array([1.0, 1e300]), "float32")
    assert convert(np.array([0.1, np.inf, np.nan]), "float32").dtype == np.float32
    with pytest.raises(TypeError, match="input 'x' is int32, the column float64"):
        convert(np.array([1.0]), "int32")
    rows = np.empty(2, object)
    rows[:] = [np.ones(2), np.zeros(2)]
    assert convert(rows, "float32").tolist() == [[1, 1], [0, 0]]
    rows[1] = np.ones(3)
    with pytest.raises(ValueError, match="the rows have different shapes"):
        convert(rows, "float32")
    words = np.array(["a", "b"], object)
    assert convert(words, "string") is words


def test_nobody_else_imports_them() -> None:
    code = "import sys, savedmodel.cli\nprint([m for m in sys.modules if 'integrations' in m])"
    assert run_python(code)[0].strip() == "[]"


# ---- Ray


RAY = """
import os, sys, tempfile, time
import numpy as np, ray
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
"""


@needs("ray", "pandas")
def test_ray_data_sees_each_row_once_though_an_actor_dies(models: Path, tmp_path: Path) -> None:
    code = (
        RAY
        + """
from savedmodel.integrations.ray_data import SavedModelPredictor

class Dies(SavedModelPredictor):
    def __call__(self, batch):
        if 500 in batch["id"] and not os.path.exists(marker):
            open(marker, "w").close()
            os._exit(1)
        return super().__call__(batch)

def columns(batch):
    return {"id": batch["id"], "x": batch["id"].astype(np.float64), "two": 2 * batch["id"]}

actors = {"compute": ray.data.ActorPoolStrategy(size=1), "num_cpus": 1, "batch_size": 32}
ds = ray.data.range(1000, override_num_blocks=10).map_batches(columns)
try:
    ds.map_batches(SavedModelPredictor, fn_constructor_args=[add], **actors).take_all()
    raise SystemExit("a column is missing")
except ray.exceptions.RayTaskError as error:
    assert "there is no column 'y'" in str(error), error
ds = ray.data.range(1000, override_num_blocks=10).map_batches(
    lambda batch: {"id": batch["id"], "x": batch["id"].astype("f8"), "y": batch["id"].astype("f4")})
rows = ds.map_batches(Dies, fn_constructor_args=[add], **actors).take_all()
assert os.path.exists(marker)
assert sorted(row["id"] for row in rows) == list(range(1000))
assert all(row["z"] == 2 * row["id"] for row in rows)

x = np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)
import savedmodel as sm
wanted = sm.load(mlp)(x)["probs"]
ds = ray.data.from_numpy(x).rename_columns({"data": "features"})
for form in "numpy", "pyarrow":
    options = {"inputs": {"x": "features"}, "outputs": ["probs"], "keep": False}
    found = ds.map_batches(SavedModelPredictor, fn_constructor_args=[mlp], fn_constructor_kwargs=options,
                           batch_format=form, **actors).take_all()
    assert set(found[0]) == {"probs"}
    np.testing.assert_allclose(np.stack([row["probs"] for row in found]), wanted, rtol=1e-5)
print("done")
"""
    )
    run(code, add=models / "add", mlp=models / "mlp", marker=tmp_path / "killed")


@needs("pyarrow")
def test_arrow_tables(models: Path) -> None:
    import pyarrow as pa
    from savedmodel.integrations.ray_data import SavedModelPredictor, _from_arrow

    predictor = SavedModelPredictor(models / "add", threads=1)
    x = np.arange(4, dtype=np.float32)
    table = pa.table({"x": x, "y": x.astype(np.float64), "z": ["a", "b", "c", "d"]})
    found = predictor(table)
    assert found.column_names == ["x", "y", "z"]  # the output replaces the column of its name
    assert found["z"].to_pylist() == [0, 2, 4, 6]
    column = pa.chunked_array([x])
    assert np.shares_memory(_from_arrow(column), column.chunk(0).to_numpy())
    assert _from_arrow(pa.chunked_array([x[:1], x[1:]])).tolist() == x.tolist()
    with pytest.raises(ValueError, match="nulls"):
        predictor(pa.table({"x": [1.0, None], "y": [1.0, 2.0]}))
    mlp = SavedModelPredictor(models / "mlp", threads=1, keep=False)
    rows = np.ones((2, 64), np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 64)
    for made in pa.table({"x": lists}), pa.table({"x": pa.FixedShapeTensorArray.from_numpy_ndarray(rows)}):
        probs = mlp(made)["probs"].combine_chunks().to_numpy_ndarray()
        np.testing.assert_allclose(probs.sum(axis=1), [1, 1], rtol=1e-5)
    assert predictor({"x": x[:0], "y": x[:0]})["z"].shape == (0,)
    with pytest.raises(TypeError, match=r"a batch is a dict of arrays or a pyarrow\.Table, got list"):
        predictor([1])


@needs("ray", "starlette")
def test_ray_serve_takes_versions_and_outlives_a_replica(models: Path, tmp_path: Path) -> None:
    code = (
        RAY
        + """
import json, socket, threading, urllib.error, urllib.request
from ray import serve
from savedmodel.integrations import ray_serve

with socket.socket() as bound:
    bound.bind(("127.0.0.1", 0))
    port = bound.getsockname()[1]
serve.start(http_options={"port": port})
os.symlink(add, f"{folder}/1")
app = ray_serve.app(folder, num_replicas=2, ray_actor_options={"num_cpus": 0.5}, batch_options={},
                    load_options={"poll": 0.1})
handle = serve.run(app)
x = np.ones(3, np.float32)
assert handle.remote({"x": x, "y": x}).result()["z"].tolist() == [2, 2, 2]
assert "savedmodel_batch_requests_total" in handle.metrics.remote().result()

def post(body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())

assert post({"inputs": {"x": [1, 2], "y": [3, 4]}}) == (200, {"outputs": {"z": [4, 6]}})
status, answer = post({"inputs": {"x": ["a"], "y": [1]}})
assert status == 400 and "list of str" in answer["error"], answer
status, answer = post({"inputs": {"x": [1]}})
assert status == 400 and "missing input 'y'" in answer["error"], answer

os.symlink(add, f"{folder}/2")
end = time.monotonic() + 60
while {handle.version.remote().result() for _ in range(6)} != {2}:
    assert time.monotonic() < end
    time.sleep(0.1)

# A replica is killed: no request is lost that the client retries, none is answered wrong.
stop, counts, lost = threading.Event(), [0] * 4, []
def client(number):
    while not stop.is_set():
        for _ in range(50):
            try:
                result = handle.remote({"x": x * number, "y": x}).result(timeout_s=60)
            except Exception:
                time.sleep(0.1)
                continue
            if result["z"].tolist() != [number + 1] * 3:
                lost.append(result)
            counts[number] += 1
            break
        else:
            lost.append(number)

threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
time.sleep(1)
actors = [one for one in ray.util.list_named_actors(all_namespaces=True) if "SavedModel" in one["name"]]
ray.kill(ray.get_actor(actors[0]["name"], namespace=actors[0]["namespace"]))
before = list(counts)
end = time.monotonic() + 60
while any(count < then + 20 for count, then in zip(counts, before)):
    assert time.monotonic() < end, (counts, before)
    time.sleep(0.1)
stop.set()
for thread in threads:
    thread.join()
assert not lost, lost
serve.shutdown()
print("done")
"""
    )
    run(code, add=models / "add", folder=tmp_path)


# ---- MLflow


@needs("mlflow", "pandas")
def test_mlflow(models: Path, tmp_path: Path) -> None:
    code = """
import os
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow, numpy as np, pandas as pd, savedmodel as sm
from savedmodel.integrations import mlflow as flavor

flavor.save_model(mlp, f"{folder}/mlp")
model = mlflow.pyfunc.load_model(f"{folder}/mlp")
x = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
wanted = sm.load(mlp)(x)["probs"]
for given in pd.DataFrame(x), pd.DataFrame(x.astype(float)), pd.DataFrame({"x": list(x)}):
    np.testing.assert_allclose(np.stack(model.predict(given)["probs"]), wanted, rtol=1e-5)
for given in x, {"x": x}:
    np.testing.assert_allclose(model.predict(given)["probs"], wanted, rtol=1e-5)

flavor.save_model(multi, f"{folder}/multi", signature_name="sum_prod", load_options={"threads": 1})
model = mlflow.pyfunc.load_model(f"{folder}/multi")
frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=[7, 8])
found = model.predict(frame)
assert found.index.tolist() == [7, 8]
assert found["sum"].tolist() == [4, 6] and found["prod"].tolist() == [3, 8]
try:
    model.predict(pd.DataFrame({"a": [1.0]}))
    raise SystemExit("a column is missing")
except KeyError as error:
    assert "there is no column 'b'" in str(error)
for bad, error in ((f"{folder}/nothing", sm.NotFoundError), (multi, KeyError)):
    try:
        flavor.save_model(bad, f"{folder}/bad", signature_name="nope")
        raise SystemExit("it was written")
    except error:
        assert not os.path.exists(f"{folder}/bad")
print("done")
"""
    run(code, mlp=models / "mlp", multi=models / "multi", folder=tmp_path)


# ---- KServe


@needs("kserve", "tritonclient")
def test_kserve(models: Path, tmp_path: Path) -> None:
    script, port, grpc = tmp_path / "main.py", free_port(), free_port()
    script.write_text(f"""
import kserve
from savedmodel.integrations.kserve import SavedModel

if __name__ == "__main__":
    folder = {str(models)!r}
    served = [
        SavedModel("mlp", f"{{folder}}/mlp", batch_options={{}}),
        SavedModel("add", f"{{folder}}/add", threads=1),
        SavedModel("upper", f"{{folder}}/strings", signature="upper"),
        SavedModel("int32", f"{{folder}}/dtypes", signature="int32"),
    ]
    for one in served:
        one.load()
    kserve.ModelServer(http_port={port}, grpc_port={grpc}, workers=1).start(served)
""")
    with service(port, "/v2/health/ready", sys.executable, str(script), log=tmp_path / "log"):
        rows = [{"x": 1, "y": 2}, {"x": 3, "y": 4}]
        assert post(port, "/v1/models/add:predict", {"instances": rows}) == (200, {"predictions": [3.0, 7.0]})
        status, answer = post(port, "/v1/models/add:predict", {"instances": [1]})
        assert status == 400
        assert "'instances' names them" in answer["error"]

        form = "application/x-www-form-urlencoded"  # curl's, if none is given
        assert post(port, "/v1/models/add:predict", {"instances": rows}, form)[1] == {
            "predictions": [3.0, 7.0]
        }
        assert post(port, "/v1/models/add:predict", [1], form)[0] == 400

        status, answer = post(port, "/v1/models/int32:predict", {"instances": [1.5]})
        assert status == 400
        assert "is not an integer" in answer["error"]

        def infer(model: str, *inputs: dict[str, Any]) -> tuple[int, Any]:
            return post(port, f"/v2/models/{model}/infer", {"inputs": inputs})

        x = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}
        status, answer = infer("add", x, {**x, "name": "y"})
        assert (status, answer["outputs"][0]["data"]) == (200, [2.0, 4.0])
        assert infer("add", x)[0] == 400
        words = {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}
        assert infer("upper", words)[1]["outputs"][0]["data"] == ["A", "B"]

        import tritonclient.grpc as triton

        client = triton.InferenceServerClient(f"127.0.0.1:{grpc}")
        given = np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)
        x_input = triton.InferInput("x", [2, 64], "FP32").set_data_from_numpy(given)
        probs = client.infer("mlp", [x_input]).as_numpy("probs")
        np.testing.assert_allclose(probs, sm.load(models / "mlp")(given)["probs"], rtol=1e-5)
        client.close()


# ---- FastAPI


@needs("fastapi", "uvicorn")
def test_fastapi(models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples" / "fastapi_app", tmp_path / "app")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", f"--port={port}"]
    environment = {**os.environ, "MODEL": str(models / "add")}
    with service(port, "/health", *command, cwd=folder, env=environment, log=tmp_path / "log"):
        body = {"inputs": {"x": [1, 2], "y": [3, 4]}}
        assert post(port, "/predict", body) == (200, {"outputs": {"z": [4.0, 6.0]}})
        status, answer = post(port, "/predict", {"inputs": {"x": [1e300], "y": [1]}})
        assert status == 400
        assert "does not fit float32" in answer["detail"]
        status, answer = post(port, "/predict", {"inputs": {"x": [1]}})
        assert status == 400
        assert "missing input 'y'" in answer["detail"]
        assert post(port, "/predict", {"x": 1})[0] == 422
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
            assert "savedmodel_batch_requests_total" in response.read().decode()


# ---- OpenTelemetry


@needs("opentelemetry")
def test_opentelemetry(models: Path) -> None:
    code = """
import asyncio
import numpy as np, savedmodel as sm
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from savedmodel.integrations.opentelemetry import traced

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("test")

def spans():
    found = exporter.get_finished_spans()
    exporter.clear()
    return found

model = sm.load(mlp)
f = traced(model.signatures["serving_default"], tracer=tracer)
x = np.ones((2, 64), np.float32)
wanted = model(x)["probs"]
calls = [lambda: f(x), lambda: f(x=x), lambda: f.run({"x": x}), lambda: f.submit({"x": x}).result(60),
         lambda: asyncio.run(f.run_async({"x": x}))]
for call in calls:
    with tracer.start_as_current_span("request"):
        np.testing.assert_allclose(call()["probs"], wanted, rtol=1e-5)
    call_span, request = sorted(spans(), key=lambda span: span.name == "request")
    assert call_span.name == "savedmodel.run"
    assert call_span.parent.span_id == request.context.span_id
    assert dict(call_span.attributes) == {"savedmodel.signature": "serving_default", "savedmodel.rows": 2}
    assert call_span.status.is_unset
assert f.inputs.keys() == {"x"}

for call in [lambda: f.run({"x": x[:, :3]}), lambda: f.submit({"x": x[:, :3]}).result(60)]:
    try:
        call()
        raise SystemExit("no error")
    except ValueError:
        pass
    (span,) = spans()
    assert not span.status.is_ok and span.attributes["savedmodel.error"] == "ValueError"
    assert span.events[0].name == "exception"

deep = traced(model.signatures["serving_default"], tracer=tracer, ops=True)
deep.run({"x": x})
*ops, whole = spans()
assert [one.name for one in ops] == ["_SavedmodelDense"] * 3 + ["_SavedmodelSoftmax"]
assert all(one.parent.span_id == whole.context.span_id for one in ops)
assert ops[0].attributes["savedmodel.origins"] == ("MatMul", "AddV2", "Relu")
assert whole.start_time <= ops[0].start_time and ops[-1].end_time <= whole.end_time

batched = traced(sm.batch(model), tracer=tracer)
batched(x)
assert spans()[0].attributes["savedmodel.signature"] == "serving_default"
print("done")
"""
    run(code, mlp=models / "mlp")
