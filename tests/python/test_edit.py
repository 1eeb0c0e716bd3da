"""`Edit`: what it writes is loaded by TensorFlow in both ways and by us, with the right answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from .editing import BODY, Check, X, change_object_graph, shape
from .helpers import Array, run_python
from .tensorflow_child import TensorFlow


def test_an_added_signature(models: Path, dst: Path, check: Check, tensorflow: TensorFlow) -> None:
    edit = sm.Edit(models / "multi")
    edit.add_signature("plus_one", {"value": "serving_default_x:0"}, {"more": "PartitionedCall_2"})
    edit.save(dst)
    signature = sm.inspect(dst).meta_graphs[0].signatures["plus_one"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert shape(signature.inputs["value"]) == ("float32", (None,))
    assert shape(signature.outputs["more"]) == ("float32", (None,))
    check(dst, "plus_one", {"value": np.array([1, 2], np.float32)}, {"more": np.array([2, 3], np.float32)})
    check(
        dst,
        "sum_prod",
        {"a": np.array([2], np.float32), "b": np.array([5], np.float32)},
        {"sum": [7.0], "prod": [10.0]},
    )
    assert set(tensorflow.signatures(dst)) == set(sm.inspect(models / "multi").meta_graphs[0].signatures) | {
        "plus_one"
    }
    shown = tensorflow.cli(dst)
    assert "inputs['value'] tensor_info" in shown
    assert "name: PartitionedCall_2:0" in shown


def test_an_output_from_inside_a_function(
    models: Path, dst: Path, check: Check, mlp: dict[str, Array], tensorflow: TensorFlow
) -> None:
    sm.Edit(models / "mlp").add_outputs("serving_default", {"hidden": f"{BODY}/Relu_1:0"}).save(dst)
    hidden = sm.inspect(dst).meta_graphs[0].signatures["serving_default"].outputs["hidden"]
    assert shape(hidden) == ("float32", (None, 128))
    check(dst, "serving_default", {"x": X}, {"probs": mlp["probs"], "hidden": mlp["second"]})
    assert tensorflow.signatures(dst) == {"serving_default": ["hidden", "probs"]}


def test_tensorflows_python_is_not_imported(models: Path, dst: Path) -> None:
    code = f"""
        import sys
        import savedmodel as sm
        edit = sm.Edit({str(models / "mlp")!r}).add_outputs("serving_default", {{"h": "{BODY}/Relu"}})
        edit.prune().save({str(dst)!r}, format="pbtxt")
        print({{"tensorflow", "google.protobuf"}} & set(sys.modules))
    """
    assert run_python(code)[0] == "set()\n"
    assert (dst / "saved_model.pbtxt").is_file()


def test_an_input_from_inside_a_function(
    models: Path, dst: Path, check: Check, mlp: dict[str, Array]
) -> None:
    edit = sm.Edit(models / "mlp")
    edit.add_signature("head", {"hidden": f"{BODY}/Relu_1"}, {"probs": f"{BODY}/Softmax"})
    edit.save(dst)
    check(dst, "head", {"hidden": mlp["second"]}, {"probs": mlp["probs"]})
    check(dst, "serving_default", {"x": X}, {"probs": mlp["probs"]})


def test_an_input_that_is_an_output(models: Path, dst: Path, check: Check) -> None:
    edit = sm.Edit(models / "multi")
    edit.add_outputs("double", {"same": "double_x:0"}).save(dst)
    x = np.array([1, 2], np.float32)
    check(dst, "double", {"x": x}, {"same": x, "y": 2 * x})


def test_signatures_renamed_and_removed(
    models: Path, dst: Path, check: Check, tensorflow: TensorFlow
) -> None:
    edit = sm.Edit(models / "multi")
    edit.remove_signature("serving_default").rename_signature("double", "serving_default")
    edit.remove_signature("no_inputs")
    assert set(edit.signatures) == {"serving_default", "sum_prod"}
    edit.save(dst)
    check(dst, "serving_default", {"x": np.array([3], np.float32)}, {"y": np.array([6], np.float32)})
    assert tensorflow.signatures(dst) == {"serving_default": ["y"], "sum_prod": ["prod", "sum"]}
    assert sorted(sm.inspect(dst).meta_graphs[0].signatures) == ["serving_default", "sum_prod"]


def test_a_subset_of_outputs(models: Path, dst: Path, check: Check) -> None:
    sm.Edit(models / "multi").keep_outputs("sum_prod", ["prod"]).save(dst)
    check(
        dst,
        "sum_prod",
        {"a": np.array([2], np.float32), "b": np.array([5], np.float32)},
        {"prod": np.array([10], np.float32)},
    )


def test_effects_of_a_call_stay(models: Path, dst: Path, check: Check) -> None:
    """A signature that is made anew still changes its variable."""
    sm.Edit(models / "stateful").add_outputs("incr", {"by": "incr_by"}).save(dst)
    by = np.float32(3)
    check(dst, "incr", {"by": by}, {"by": by, "count": by})
    with sm.load(dst) as model:
        model.signatures["incr"].run({"by": by})
        assert model.signatures["incr"].run({"by": by})["count"] == 6


def test_method_names(
    models: Path, dst: Path, check: Check, mlp: dict[str, Array], tensorflow: TensorFlow
) -> None:
    sm.Edit(models / "mlp").set_method_name("serving_default", "tensorflow/serving/classify").save(dst)
    assert sm.inspect(dst).meta_graphs[0].signatures["serving_default"].method_name.endswith("classify")
    assert "tensorflow/serving/classify" in tensorflow.cli(dst)
    check(dst, "serving_default", {"x": X}, {"probs": mlp["probs"]})


def test_a_tensorflow_1_model(models: Path, dst: Path, check: Check) -> None:
    edit = sm.Edit(models / "v1_multi_tags")
    edit.add_signature("before", {"x": "x"}, {"product": "mul:0"}).rename_signature("lookup", "ids")
    edit.save(dst)
    x = np.array([[1, 2, 3]], np.float32)
    with sm.load(models / "v1_multi_tags") as model:
        expected = model.run("mul:0", {"x:0": x})
        ids = model.signatures["lookup"].run({"word": [b"two", b"?"]})["id"]
    check(dst, "before", {"x": x}, {"product": expected})
    check(dst, "ids", {"word": np.array([b"two", b"?"])}, {"id": ids})


def test_tags(models: Path, dst: Path, check: Check, tensorflow: TensorFlow) -> None:
    edit = sm.Edit(models / "v1_multi_tags")
    edit.drop_meta_graph({"train"}).drop_meta_graph(()).set_tags({"serve", "gpu"}, {"serve", "tpu"})
    edit.copy_meta_graph({"serve"}, {"canary"})
    edit.select_meta_graph({"canary"}).rename_signature("serving_default", "new").save(dst)
    graphs = {graph.tags: graph for graph in sm.inspect(dst).meta_graphs}
    assert set(graphs) == {frozenset({"serve"}), frozenset({"serve", "tpu"}), frozenset({"canary"})}
    assert "new" in graphs[frozenset({"canary"})].signatures
    assert "new" not in graphs[frozenset({"serve"})].signatures
    x = np.array([[1, 2, 3]], np.float32)
    with sm.load(models / "v1_multi_tags") as model:
        expected = model(x)
    check(dst, "new", {"x": x}, expected, tags=["canary"])
    check(dst, "serving_default", {"x": x}, expected)
    assert "'serve, tpu'" in tensorflow.cli(dst)


def test_a_copied_meta_graph_of_tf2(models: Path, dst: Path, check: Check) -> None:
    """With two MetaGraphs tf.saved_model.load reads no object graph; assets are found all the same."""
    sm.Edit(models / "table").copy_meta_graph({"serve"}, {"serve", "gpu"}).save(dst)
    words = np.array([b"two", b"nobody", b"zero"])
    for tags in {"serve"}, {"serve", "gpu"}:
        check(dst, "lookup", {"word": words}, {"id": np.array([2, -1, 0], np.int64)}, tags)


def test_meta_graphs_with_objects_of_their_own(
    models: Path, dst: Path, tmp_path: Path, check: Check, mlp: dict[str, Array]
) -> None:
    """The variables have other numbers in the object graph of the MetaGraph that is edited."""

    def shift(objects: str) -> str:
        first, root, rest = objects.partition("    nodes {\n")
        own, following, rest = rest.partition("    nodes {\n")
        added = '    nodes { user_object { identifier: "_generic_user_object" version { producer: 1 } } }\n'
        shifted = first + root + own + added + following + rest
        return re.sub(r"(node_id|bound_inputs): (\d+)", lambda m: f"{m[1]}: {int(m[2]) + 1}", shifted)

    two = tmp_path / "two"
    sm.Edit(models / "mlp").copy_meta_graph({"serve"}, {"gpu"}).save(two, format="pbtxt")
    change_object_graph(two, 1, shift)
    edit = sm.Edit(two).select_meta_graph({"gpu"})
    edit.add_outputs("serving_default", {"hidden": f"{BODY}/Relu_1:0"})
    edit.drop_meta_graph({"serve"}).save(dst)
    expected = {"probs": mlp["probs"], "hidden": mlp["second"]}
    check(dst, "serving_default", {"x": X}, expected, tags=["gpu"])


@pytest.mark.parametrize("name", ["table", "mlp", "stateful", "keras_dense"])
def test_without_the_object_graph(models: Path, dst: Path, check: Check, name: str) -> None:
    sm.Edit(models / name).drop_object_graph().save(dst)
    inputs: dict[str, Any] = {}
    with sm.load(models / name) as model:
        key = "get" if name == "stateful" else "serving_default"
        for arg, spec in model.signatures[key].inputs.items():
            filled = np.ones([2 if size is None else size for size in spec.shape or ()])
            inputs[arg] = np.array([b"one", b"?"]) if spec.dtype == object else filled.astype(spec.dtype)
        expected = model.signatures[key].run(inputs)
    check(dst, key, inputs, expected)


def test_devices_are_cleared(models: Path, dst: Path, check: Check) -> None:
    def names_a_gpu(path: Path) -> bool:
        return b"/device:GPU" in (path / "saved_model.pb").read_bytes()

    source = models / "two_devices"
    strict, soft = (sm.SessionOptions(allow_soft_placement=allowed) for allowed in (False, True))
    x = np.ones((2, 8), np.float32)
    with sm.load(source, session=soft) as model:
        expected = model(x)
    assert names_a_gpu(source)
    with pytest.raises(sm.InvalidArgumentError):
        sm.load(source, session=strict)
    sm.Edit(source).clear_devices().save(dst)
    assert not names_a_gpu(dst)
    with sm.load(dst, session=strict) as model:
        assert set(model.placement) == {"/job:localhost/replica:0/task:0/device:CPU:0"}
    check(dst, "serving_default", {"x": x}, expected)


@pytest.mark.parametrize(
    ("name", "signature", "inputs"),
    [
        ("tf__half_plus_two", "serving_default", {"x": np.array([[8], [3]], np.float32)}),
        ("tfjs__module_with_multiple_signatures", "timestwo", {"x": np.float32(8)}),
        ("gen__stateful_tf2", "collatz", {"n": np.int32(7)}),
        ("cppflow__multi_input_output", "serving_default", {}),
    ],
)
def test_third_party_models(
    shared_models: Path, dst: Path, check: Check, name: str, signature: str, inputs: dict[str, Any]
) -> None:
    """A signature that is made anew, alone in a model that is pruned."""
    with sm.load(shared_models / name) as model:
        specs = model.signatures[signature].inputs.items()
        inputs = inputs or {key: np.ones((2, 5), spec.dtype) for key, spec in specs}
        expected = model.signatures[signature].run(inputs)
        tensor = next(iter(model.signatures[signature].outputs.values())).name
    edit = sm.Edit(shared_models / name).add_outputs(signature, {"again": tensor})
    edit.rename_signature(signature, "only").save(dst)
    expected["again"] = next(iter(expected.values()))
    check(dst, "only", inputs, expected)
    for other in set(edit.signatures) - {"only"}:
        edit.remove_signature(other)
    edit.prune().save(dst, overwrite=True)
    check(dst, "only", inputs, expected)
