"""Warm-up requests, compared with TensorFlow Serving's own protos and with TensorFlow's parser of tensors."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .warmup_files import FILE, field, frame, parse_tensor, read

serving_api = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_serving") is None, reason="no tensorflow-serving-api"
)


def with_tensorflow(code: str, *arguments: object) -> None:
    """TensorFlow's Python, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


WRITE = """
    import pickle, sys
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2, predict_pb2
    log = prediction_log_pb2.PredictionLog

    def example(**values):
        features = {k: tf.train.Feature(float_list=tf.train.FloatList(value=[v])) for k, v in values.items()}
        return tf.train.Example(features=tf.train.Features(feature=features))

    records, expected = [], []
    one = log()
    request = one.predict_log.request
    request.model_spec.name = "m"
    request.model_spec.version.value = 3
    request.model_spec.signature_name = "join"
    request.inputs["a"].CopyFrom(tf.make_tensor_proto([b"left", b"\\xff"]))
    request.inputs["b"].CopyFrom(tf.make_tensor_proto([b"", b"right"]))
    request.output_filter.append("ab")
    one.predict_log.response.outputs["ab"].CopyFrom(tf.make_tensor_proto([1.0]))
    one.log_metadata.sampling_config.sampling_rate = 0.5
    records.append(one)
    expected.append([("join", {"a": [b"left", b"\\xff"], "b": [b"", b"right"]}, ("ab",), None)])

    one = log()
    request = one.classify_log.request
    request.input.example_list.examples.extend([example(x=1.0), example(x=2.0)])
    records.append(one)
    expected.append([("serving_default", None, (), [{"x": 1.0}, {"x": 2.0}])])

    one = log()
    request = one.regress_log.request
    request.model_spec.signature_name = "regress"
    with_context = request.input.example_list_with_context
    with_context.examples.extend([example(x=1.0), example(x=2.0, y=5.0)])
    with_context.context.CopyFrom(example(y=3.0, z=4.0))
    records.append(one)
    expected.append([("regress", None, (), [{"x": 1.0, "y": 3.0, "z": 4.0}, {"x": 2.0, "y": 5.0, "z": 4.0}])])

    one = log()
    request = one.multi_inference_log.request
    for name in ("a", "b"):
        request.tasks.add().model_spec.signature_name = name
    request.input.example_list.examples.append(example(x=1.0))
    records.append(one)
    expected.append([(name, None, (), [{"x": 1.0}]) for name in ("a", "b")])

    one = log()
    one.session_run_log.request.feed.add().name = "x"
    records.append(one)
    expected.append([])

    with tf.io.TFRecordWriter(sys.argv[1]) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    pickle.dump(expected, open(sys.argv[2], "wb"))
"""

PARSE_EXAMPLES = """
    import pickle, sys
    import tensorflow as tf
    found = []
    for serialized in pickle.load(open(sys.argv[1], "rb")):
        features = tf.train.Example.FromString(serialized).features.feature
        found.append({name: feature.float_list.value[0] for name, feature in features.items()})
    pickle.dump(found, open(sys.argv[1], "wb"))
"""


@serving_api
def test_records_of_tensorflow_serving(tmp_path: Path) -> None:
    file, pickled = tmp_path / FILE, tmp_path / "pickle"
    file.parent.mkdir()
    with_tensorflow(WRITE, file, pickled)
    expected = pickle.loads(pickled.read_bytes())
    found = read(tmp_path)
    assert [len(one) for one in found] == [len(one) for one in expected]
    given = [request.examples for group in found for request in group]
    examples = [one for group in given if group is not None for one in group]
    pickled.write_bytes(pickle.dumps(examples))
    with_tensorflow(PARSE_EXAMPLES, pickled)
    parsed = iter(pickle.loads(pickled.read_bytes()))
    for ours, theirs in zip(found, expected, strict=True):
        for request, (signature, inputs, outputs, features) in zip(ours, theirs, strict=True):
            assert (request.signature, request.outputs) == (signature, outputs)
            assert (request.inputs is None) == (inputs is None)
            for name, values in (inputs or {}).items():
                assert request.inputs is not None
                assert request.inputs[name].tolist() == values
            if features is not None:
                assert [next(parsed) for _ in features] == features


TENSORS = """
    import pickle, sys
    import numpy as np
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2
    names = pickle.load(open(sys.argv[1], "rb"))
    protos = []
    for name in names:
        dtype = tf.as_dtype(name)
        values = [b"", b"a", b"x" * 300] if name == "string" else [0, 1, 1]
        for shape in ((3,), (3, 1), (1,), (), (0,), (2, 0), (5,), (2,)):
            proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
            for size in shape:
                proto.tensor_shape.dim.add().size = size
            for field, some in {
                "float_val": [0.5, -1.5, np.inf], "double_val": [0.5, -1.5, np.nan], "int_val": [0, -1, 1],
                "string_val": [b"", b"a", b"x" * 300], "scomplex_val": [1, 2, 3, 4], "int64_val": [0, -1],
                "bool_val": [True, False], "dcomplex_val": [1, 2, 3, 4], "half_val": [0, 15360, 16384],
                "uint32_val": [0, 2**32 - 1], "uint64_val": [1, 2**64 - 1], "float8_val": bytes([0, 56, 60]),
            }.items():
                one = tensor_pb2.TensorProto()
                one.CopyFrom(proto)
                if field == "float8_val":
                    one.float8_val = some
                else:
                    getattr(one, field).extend(some)
                protos.append(one)
            protos.append(proto)  # no values at all
        try:
            tensor = tf.cast(tf.constant([0, 1, 1]), dtype) if name != "string" else tf.constant(values)
            protos.append(tensor_pb2.TensorProto.FromString(tf.io.serialize_tensor(tensor).numpy()))
        except Exception:
            pass
        try:
            protos.append(tf.make_tensor_proto(np.array(values).astype(dtype.as_numpy_dtype), dtype))
        except Exception:
            pass
    results = []
    for proto in protos:
        try:
            tensor = tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype))
            raw = np.array(tensor.numpy(), object) if proto.dtype == 7 else tensor.numpy()
            values = raw.ravel().tolist() if proto.dtype == 7 else raw.tobytes()
            results.append((proto.SerializeToString(), list(raw.shape), values))
        except tf.errors.OpError as error:
            results.append((proto.SerializeToString(), None, str(error)))
    pickle.dump(results, open(sys.argv[1], "wb"))
"""

QUANTISED = ["qint8", "quint8", "qint32", "qint16", "quint16"]


def test_tensors_are_what_tensorflow_makes_of_them(models: Path, tmp_path: Path) -> None:
    """All dtypes, contents and typed fields: too few values, too many, none."""
    names = [*sm.inspect(models / "dtypes").meta_graphs[0].signatures, *QUANTISED]
    pickled = tmp_path / "pickle"
    pickled.write_bytes(pickle.dumps(names))
    with_tensorflow(TENSORS, pickled)
    results: list[tuple[bytes, list[int] | None, Any]] = pickle.loads(pickled.read_bytes())
    compared = set()
    for data, shape, content in results:
        if shape is None:
            with pytest.raises((sm.DataLossError, sm.UnimplementedError)):
                parse_tensor(data, tmp_path)
            continue
        array = parse_tensor(data, tmp_path)
        assert list(array.shape) == shape
        if array.dtype == object:
            assert array.ravel().tolist() == content, data
        elif array.dtype.name in ("int2", "int4", "uint2", "uint4"):  # bits beyond the value's may differ
            expected = np.frombuffer(content, array.dtype).astype(np.int64)
            assert array.ravel().astype(np.int64).tolist() == expected.tolist(), data
        else:
            assert array.tobytes() == content, data
        compared.add(array.dtype)
    assert len(compared) >= len(names) - len(QUANTISED)


def test_numbers_that_are_not_packed(tmp_path: Path) -> None:
    """Writers of proto2 leave them so."""
    two = b"\x12\x04\x12\x02\x08\x02"  # tensor_shape { dim { size: 2 } }
    floats = b"\x08\x01" + two + b"\x2d\x00\x00\x80\x3f\x2d\x00\x00\x00\x40"
    assert parse_tensor(floats, tmp_path).tolist() == [1.0, 2.0]
    integers = b"\x08\x03" + two + b"\x38\x05\x3a\x01\x06"  # one by one, and packed
    assert parse_tensor(integers, tmp_path).tolist() == [5, 6]


READ = """
    import pickle, sys
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2
    found = []
    for record in tf.data.TFRecordDataset(sys.argv[1]):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        inputs = {}
        for name, proto in request.inputs.items():
            tensor = tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype))
            inputs[name] = (tensor.dtype.name, tensor.numpy().tolist())
        found.append((request.model_spec.signature_name, inputs, list(request.output_filter)))
    pickle.dump(found, open(sys.argv[2], "wb"))
"""


@serving_api
def test_tensorflow_serving_reads_our_records(models: Path, tmp_path: Path) -> None:
    mlp = Path(shutil.copytree(models / "mlp", tmp_path / "mlp"))
    strings = Path(shutil.copytree(models / "strings", tmp_path / "strings"))
    sm.record_warmup(
        strings, {"a": ["\u20ac", b"\xff"], "b": ["", "y" * 300]}, signature="join", outputs=["ab"]
    )
    sm.record_warmup(strings, {"s": np.array([], object)}, signature="upper", append=True)
    pickled = tmp_path / "pickle"
    with_tensorflow(READ, strings / FILE, pickled)
    assert pickle.loads(pickled.read_bytes()) == [
        (
            "join",
            {"a": ("string", ["\u20ac".encode(), b"\xff"]), "b": ("string", [b"", b"y" * 300])},
            ["ab"],
        ),
        ("upper", {"s": ("string", [])}, []),
    ]
    x = (
        np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    )  # a record that is checked by arrays
    sm.record_warmup(mlp, {"x": x})
    with_tensorflow(READ, mlp / FILE, pickled)
    assert pickle.loads(pickled.read_bytes()) == [
        ("serving_default", {"x": ("float32", x.astype(float).tolist())}, [])
    ]


def test_classification_and_regression(shared_models: Path, tmp_path: Path) -> None:
    """Of tf.train.Examples, in a model that parses them."""
    found = [path for path in sorted(shared_models.iterdir()) if path.name.endswith("half_plus_two")]
    if not found:
        pytest.skip("no half_plus_two among the third-party models")
    model = Path(shutil.copytree(found[0], tmp_path / "half_plus_two"))
    # Example{features{feature{key: "x" value{float_list{value: 2.0}}}}}
    example = bytes.fromhex("0a0f 0a0d 0a0178 1208 1206 0a0400000040")
    given = field(1, field(1, example))
    spec = field(3, b"regress_x_to_y")
    record = field(3, field(1, field(1, spec) + field(2, given)))
    (model / FILE).parent.mkdir(exist_ok=True)
    (model / FILE).write_bytes(frame(record))
    with sm.load(model, warmup=True) as loaded:
        assert loaded.warmed_up == 1
