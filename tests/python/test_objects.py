"""Variables by the object graph, functions of the saved object, ops as targets, variables written back."""

from __future__ import annotations

import json
import re
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm

from . import commands, goldens
from .helpers import Load
from .tensorflow_child import TensorFlow

KERAS = ["keras_saved", "keras_saved_lstm", "keras_saved_trained", "keras_in_module"]


def read(models: Path, name: str) -> goldens.Run:
    return goldens.read(models / f"{name}.npz")["", "serving_default"]


def check_golden(model: sm.Model, models: Path, name: str) -> None:
    run, signature = read(models, name), model.signatures["serving_default"]
    goldens.check(signature.run(goldens.feeds(run, signature)), run, signature)


@pytest.mark.parametrize("name", ["keras_dense", "keras_lstm", "keras_conv"])
def test_every_variable_has_a_value(load: Load, models: Path, name: str) -> None:
    """Keras's export leaves handles of variables that nothing assigns: they are no variables."""
    model = load(name)
    values = dict(model.variables)
    assert values.keys() == model.variables.keys() == sm.inspect(models / name).variables.keys()
    assert all(values[key].shape == spec.shape for key, spec in sm.inspect(models / name).variables.items())


class TestKerasSaved:
    """Keras 3 models that tf.saved_model.save wrote: restored and read variables have different names."""

    @pytest.mark.parametrize("optimize", ["none", "default"])
    @pytest.mark.parametrize("name", KERAS)
    def test_runs(self, load: Load, models: Path, name: str, optimize: Any) -> None:
        check_golden(load(name, optimize=optimize), models, name)

    def test_on_a_device(self, load: Load, models: Path) -> None:
        check_golden(load("keras_saved", device="cpu"), models, "keras_saved")

    def test_variables_have_one_name_each(self, load: Load, models: Path) -> None:
        model = load("keras_in_module")
        names = [name for name in model.variables if not re.search(r"seed|Variable", name)]
        assert list(model.variables) == names
        assert sm.inspect(models / "keras_in_module").variables.keys() == model.variables.keys()
        kernels = [model.variables[name] for name in names if "kernel" in name]
        assert len(kernels) == 2
        assert not np.array_equal(kernels[0], kernels[1])

    def test_saved_optimized(self, load: Load, models: Path, tmp_path: Path) -> None:
        load("keras_saved").save_optimized(tmp_path / "saved")
        with sm.load(tmp_path / "saved") as model:
            check_golden(model, models, "keras_saved")
            assert any("earlier" in note for note in model.prepare()[0].notes)

    def test_an_edit_mends_it_for_everybody(
        self, models: Path, tmp_path: Path, tensorflow: TensorFlow
    ) -> None:
        notes = sm.Edit(models / "keras_saved").save(tmp_path / "mended")
        assert "variables to the names" in notes[0]
        run = read(models, "keras_saved")
        inputs = {key: parts[""] for key, parts in run.inputs.items()}
        for how in "v1", "v2":
            results = tensorflow.run(how, tmp_path / "mended", "serving_default", inputs)
            for key, parts in run.outputs.items():
                np.testing.assert_allclose(results[key], parts[""], rtol=1e-5, atol=1e-5)

    def test_pruned(self, models: Path, tmp_path: Path) -> None:
        sm.Edit(models / "keras_saved_trained").prune().save(tmp_path / "pruned")
        with sm.load(tmp_path / "pruned") as model:
            check_golden(model, models, "keras_saved_trained")

    def test_without_an_object_graph_it_is_refused(self, models: Path) -> None:
        with pytest.raises(sm.FailedPreconditionError, match=r"'serving_default' reads the variable.*export"):
            sm.load(models / "bad_no_object_graph")


class TestFunctions:
    CALLS = (
        ("__call__", "x", "t(x)"),
        ("__call__", "x, training=True", "t(x), training=True"),
        ("__call__", "x, True", "t(x), True"),
        ("encoder.call", "x", "t(x)"),
        ("nested", "{'x': 1.0, 'y': [2.0]}", "{'x': t(1.0), 'y': [t(2.0)]}"),
        ("nested", "{'x': 1.0, 'y': [2.0]}, c=3.0", "{'x': t(1.0), 'y': [t(2.0)]}, c=3.0"),
        ("look_up", "['a', 'c', 'x', 'm', '?']", "t(['a', 'c', 'x', 'm', '?'])"),
        ("vocabulary", "", ""),
        ("ragged", "ragged", "ragged([[1.0, 2.0], [3.0]])"),
        ("twice", "np.int32(4)", "t(4)"),
        ("twice", "np.float32([1, 2, 3])", "t([1.0, 2.0, 3.0])"),
        ("twice", "np.float64([[1, 2]])", "t([[1.0, 2.0]], 'float64')"),
    )
    REFUSED = (
        ("__call__", "np.float32([[1, 2, 3]])", "t([[1.0, 2.0, 3.0]])"),
        ("nested", "{'x': 1.0, 'y': [2.0]}, c=4.0", "{'x': t(1.0), 'y': [t(2.0)]}, c=4.0"),
        ("nested", "{'x': 1.0}", "{'x': t(1.0)}"),
        ("nested", "{'x': 1.0, 'y': [2.0]}, d=1", "{'x': t(1.0), 'y': [t(2.0)]}, d=1"),
        ("twice", "np.int64(4)", "t(4, 'int64')"),
        ("encoder.call", "x, scale=2.0", "t(x), scale=2.0"),
    )

    @staticmethod
    def call(model: sm.Model, function: str, arguments: str) -> Any:
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        ragged = sm.RaggedTensor(np.array([1, 2, 3], np.float32), np.array([0, 2, 3]))
        scope = {"np": np, "x": x, "ragged": ragged, "call": lambda *a, **k: (a, k)}
        args, kwargs = eval(f"call({arguments})", scope)
        return model.functions[function](*args, **kwargs)

    @staticmethod
    def flat(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [one for key in sorted(value) for one in TestFunctions.flat(value[key])]
        if isinstance(value, sm.RaggedTensor):
            return [value.flat_values, *value.nested_row_splits]
        if isinstance(value, list | tuple):
            return [one for item in value for one in TestFunctions.flat(item)]
        return [value]

    @pytest.mark.parametrize("optimize", ["none", "default"])
    def test_as_tensorflow_does(
        self, load: Load, models: Path, tensorflow: TensorFlow, optimize: Any
    ) -> None:
        model = load("functions", optimize=optimize)
        x = "np.arange(8, dtype=np.float32).reshape(2, 4)"
        for function, ours, theirs in self.CALLS:
            theirs = theirs.replace("t(x)", f"t({x})")
            answer = tensorflow.of("function", models / "functions", function=function, arguments=theirs)
            results = self.flat(self.call(model, function, ours))
            assert len(results) == len(answer["results"]), function
            for result, expected in zip(results, answer["results"], strict=True):
                if expected is None:
                    assert result is None
                elif np.asarray(result).dtype == object:
                    assert np.asarray(result).astype("U").tolist() == expected
                else:
                    np.testing.assert_allclose(result, expected, rtol=1e-6, err_msg=function)

    def test_what_tensorflow_refuses(self, load: Load, models: Path, tensorflow: TensorFlow) -> None:
        model = load("functions")
        x = "np.arange(8, dtype=np.float32).reshape(2, 4)"
        for function, ours, theirs in self.REFUSED:
            theirs = theirs.replace("t(x)", f"t({x})")
            answer = tensorflow.of("function", models / "functions", function=function, arguments=theirs)
            assert answer == {"refused": True}, function
            with pytest.raises((TypeError, ValueError), match=function):
                self.call(model, function, ours)

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            ("listed", "[a, b]"),
            ("listed", "(a, b)"),
            ("listed", "Point(a, b)"),
            ("paired", "[a, b]"),
            ("paired", "(a, b)"),
            ("either", "[a]"),
            ("either", "(a,)"),
            ("point", "Point(a, b)"),
            ("point", "Other(a, b)"),
            ("point", "Swapped(a, b)"),
            ("point", "(a, b)"),
            ("sized", "x"),
            ("sized", "x, (2, 3)"),
            ("sized", "x, [2, 3]"),
            ("sized", "x, [3, 2]"),
            ("sized", "x, (3, 2)"),
            ("by_lambda", "x"),
            ("größer", "x"),
            ("cast", "x"),
            ("cast", "x, np.int32"),
            ("cast", "x, np.dtype('int32')"),
            ("cast", "x, dtype=np.int32"),
            ("cast", "x, np.float64"),
            ("cast", "x, 'int32'"),
            ("cast", "x, 'int64'"),
        ],
    )
    def test_lists_and_tuples_are_told_apart(
        self, load: Load, models: Path, tensorflow: TensorFlow, function: str, arguments: str
    ) -> None:
        values = {"a": "1.0", "b": "2.0", "x": "[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]"}
        theirs = re.sub(r"\b[abx]\b", lambda match: f"t({values[match[0]]})", arguments)
        answer = tensorflow.of("function", models / "structures", function=function, arguments=theirs)
        scope: dict[str, Any] = {key: np.array(eval(text), np.float32) for key, text in values.items()}
        scope |= {name: namedtuple(name, "a b") for name in ("Point", "Other")}
        scope |= {"np": np, "Swapped": namedtuple("Point", "b a"), "call": lambda *a, **k: (a, k)}
        given, named = eval(f"call({arguments})", scope)
        called = load("structures").functions[function]
        if answer == {"refused": True}:
            with pytest.raises(TypeError, match="no trace"):
                called(*given, **named)
        else:
            np.testing.assert_array_equal(called(*given, **named), np.float32(answer["results"][0]))

    def test_state_is_shared(self, load: Load) -> None:
        model = load("functions")
        arguments = {"x": 1.0, "y": [2.0]}
        for _ in range(3):
            model.functions["nested"](arguments)
        assert model.functions["counted"]() == 3
        assert model.functions["reset"]() is None
        assert model.functions["counted"]() == 0

    def test_a_model_without_signatures_is_called(self, load: Load) -> None:
        model = load("functions")
        x = np.ones((2, 4), np.float32)
        assert not model.signatures
        np.testing.assert_array_equal(model(x), model.functions["__call__"](x))
        np.testing.assert_allclose(model(x, training=True), model(x) + 100, rtol=1e-5)

    def test_verified(self, load: Load) -> None:
        verified = load("functions", verify=True).verified
        assert verified == {"__call__, trace 0": "", "__call__, trace 1": ""}
        assert load("many_functions", verify=True).verified == {"__call__": ""}
        plain = load("many_functions", optimize="none", verify=True)
        assert plain.verified == {"__call__": "optimize='none'"}

    def test_listed(self, load: Load) -> None:
        functions = load("functions").functions
        assert set(functions) == {
            "__call__", "counted", "encoder.call", "look_up", "nested", "never", "ragged", "reset", "twice",
            "vocabulary",
        }  # fmt: skip
        trace = functions["nested"].concrete[0]
        assert {key: str(spec) for key, spec in trace.inputs.items()} == {
            "a_x": "float32 []",
            "a_y_0": "float32 []",
        }
        assert list(trace.outputs) == ["more_0", "more_1_0", "sum"]
        assert "training=True" in repr(functions["__call__"])
        with pytest.raises(KeyError, match=r"encoder\.call"):
            functions["encoder.cal"]
        with pytest.raises(TypeError, match="never traced"):
            functions["never"](1.0)

    def test_runs_optimized(self, load: Load) -> None:
        model = load("functions")
        x = np.ones((2, 4), np.float32)
        results, trace = model.functions["__call__"].concrete[0].run({"x": x}, trace=True)
        assert trace.events
        np.testing.assert_allclose(results["output_0"], model(x), rtol=1e-6)
        assert model.functions["__call__"].concrete[0].explain(sm.empty((2, 4)))["x"] == "borrowed"

    def test_on_a_device(self, load: Load) -> None:
        x = np.ones((2, 4), np.float32)
        model = load("functions", device="cpu", session=sm.SessionOptions(inter_op_threads=2))
        np.testing.assert_allclose(model(x), load("functions")(x), rtol=1e-6)
        assert model.functions["look_up"](["a", "x", "m"])[2].tolist() == [-3, -3, 55]

    def test_made_a_signature(self, models: Path, tmp_path: Path, tensorflow: TensorFlow) -> None:
        edit = sm.Edit(models / "functions")
        edit.add_signature("serving_default", function="__call__")
        edit.add_signature("words", function="look_up")
        edit.add_signature("text", function="vocabulary")
        edit.add_signature("bigger", function="nested", trace=1)
        edit.save(tmp_path / "signed")
        x = np.ones((2, 4), np.float32)
        scalars = {"a_x": np.float32(1), "a_y_0": np.float32(2)}
        words = np.array([b"b", b"y", b"m"], object)
        with sm.load(models / "functions") as source, sm.load(tmp_path / "signed") as model:
            np.testing.assert_allclose(model(x)["output_0"], source(x), rtol=1e-6)
            found = model.signatures["words"](words)
            assert [found[f"output_{i}"].tolist() for i in range(3)] == [
                [1, -1, -1],
                [-2, 8, -2],
                [-3, -3, 55],
            ]
            assert model.signatures["text"]()["output_0"].item() == b"a\nb\nc\n"
        for how in "v1", "v2":
            results = tensorflow.run(how, tmp_path / "signed", "serving_default", {"x": x})
            with sm.load(tmp_path / "signed") as model:
                np.testing.assert_allclose(results["output_0"], model(x)["output_0"], rtol=1e-6)
            bigger = tensorflow.run(how, tmp_path / "signed", "bigger", scalars)
            assert bigger["more_0"] == 9.0

    def test_composites_in_a_signature(self, models: Path, tmp_path: Path, tensorflow: TensorFlow) -> None:
        sm.Edit(models / "structures").add_signature("all", function="composite").save(tmp_path / "signed")
        rows, by = np.array([1, 2, 3], np.float32), np.array([5, 6], np.float32)
        splits, indices, shape = np.array([0, 2, 3]), np.array([[0, 1], [1, 3]]), np.array([2, 4])
        inputs = {
            "rows": rows,
            "rows_1": np.array([10, 20], np.float32),  # an argument of this name
            "rows_2": splits,
            "by": indices,
            "by_1": by,
            "by_2": shape,
        }
        with sm.load(tmp_path / "signed") as model, sm.load(models / "structures") as source:
            expected = source.functions["composite"](
                sm.RaggedTensor(rows, splits), sm.SparseTensor(indices, by, shape), inputs["rows_1"]
            )
            signature = model.signatures["all"]
            assert set(signature.inputs) == set(inputs)
            assert {key: spec.encoding for key, spec in signature.outputs.items()} == {
                "also": "dense",
                "by": "sparse",
                "rows": "ragged",
                "total": "dense",
            }
            results = signature(inputs)
            np.testing.assert_array_equal(results["total"], [13, 23])
            np.testing.assert_array_equal(results["rows"].flat_values, [2, 4, 6])
            np.testing.assert_array_equal(results["by"].values, [15, 18])
            assert sorted(expected) == sorted(results)
            texts = ", ".join(
                f"{key}=t({value.tolist()}, {value.dtype.name!r})" for key, value in inputs.items()
            )
            answer = tensorflow.of("function", tmp_path / "signed", signature="all", arguments=texts)
            ours = [
                results["also"],
                *(results["by"].indices, results["by"].values, results["by"].dense_shape),
                *(results["rows"].flat_values, results["rows"].nested_row_splits[0]),
                results["total"],
            ]
            assert len(answer["results"]) == len(ours)
            for result, wanted in zip(ours, answer["results"], strict=True):
                np.testing.assert_array_equal(result, wanted)
        edited = tmp_path / "edited"  # which makes a function of the nodes that are left
        sm.Edit(tmp_path / "signed").keep_outputs("all", ["by", "rows"]).save(edited)
        answer = tensorflow.of("function", edited, signature="all", arguments=texts)
        for result, wanted in zip(ours[1:-1], answer["results"], strict=True):
            np.testing.assert_array_equal(result, wanted)

    def test_command_line(self, models: Path, tmp_path: Path) -> None:
        path = models / "functions"
        assert "encoder.call" in commands.output("show", path)
        text = commands.output("run", path, "--function", "look_up", "--input-exprs", "words=['a', 'm']")
        assert "[ 0 -1]" in text
        assert "encoder.call" in commands.error("run", path, "--function", "encode")
        commands.output("edit", path, tmp_path / "dst", "--add-signature", "f", "--function", "nested:1")
        assert list(sm.inspect(tmp_path / "dst").meta_graphs[0].signatures) == ["f"]

    @pytest.mark.parametrize(
        ("name", "inputs", "result"),
        [
            ("twice", "x=3", "6"),
            ("twice", "x=[1.5,2]", "[3. 4.]"),
            ("twice", "x=np.ones((2,2))", "[[2. 2.]\n [2. 2.]]"),
            ("__call__", "x=np.zeros((1,4))", None),
            ("__call__", "x=np.zeros((1,4));training=True", None),
            ("__call__", "x=np.zeros((1,4));training=False", None),
        ],
    )
    def test_command_line_chooses_a_trace(
        self, models: Path, name: str, inputs: str, result: str | None
    ) -> None:
        text = commands.output("run", models / "functions", "--function", name, "--input-exprs", inputs)
        if result is None:
            with sm.load(models / "functions") as model:
                training = "training=True" in inputs
                value = model.functions[name](np.zeros((1, 4), np.float32), training=training)
                other = model.functions[name](np.zeros((1, 4), np.float32), training=not training)
            assert str(value) != str(other)
            result = str(value)
        assert text.rstrip().endswith(f":\n{result}")

    def test_command_line_says_which_traces_there_are(self, models: Path) -> None:
        function = "run", models / "functions", "--function", "twice", "--input-exprs"
        error = commands.error(*function, "x=[1.5];y=1")
        assert "unexpected argument 'y'; it takes: x" in error
        error = commands.error(*function, "x=['a']")
        assert "no trace" in error
        assert "(x: float32 [?])" in error


class TestTargets:
    X = np.array([[1, 0], [0, 1], [1, 1], [2, 1]], np.float32)
    Y = np.array([2, -1, 1, 3], np.float32)  # 2 a - b

    def train(self, model: sm.Model, steps: int) -> list[float]:
        feeds = {"x:0": self.X, "y:0": self.Y}
        return [float(model.run("loss:0", feeds, targets=["train_op"])) for _ in range(steps)]

    @pytest.mark.parametrize("optimize", ["none", "default"])
    def test_steps(self, load: Load, optimize: Any) -> None:
        model = load("trained", tags={"train"}, optimize=optimize)
        before = model(self.X)["predicted"]
        assert not before.any()
        losses = self.train(model, 200)
        assert losses[-1] < 1e-2 * losses[0]
        assert model.run(targets="train_op", feeds={"x": self.X, "y": self.Y}) is None
        np.testing.assert_allclose(model(self.X)["predicted"], self.Y, atol=0.3)

    def test_mistakes(self, load: Load) -> None:
        model = load("trained", tags={"train"})
        with pytest.raises(sm.NotFoundError, match="no op 'train'"):
            model.run(targets=["train"])
        with pytest.raises(ValueError, match="empty"):
            model.run([])

    def test_variables_written(self, load: Load, tmp_path: Path, tensorflow: TensorFlow) -> None:
        model = load("trained", tags={"train"})
        self.train(model, 20)
        model.save_variables(tmp_path / "checkpoint")
        values = tensorflow.of("checkpoint", tmp_path / "checkpoint")["values"]
        assert values.keys() == {"w", "b"}
        np.testing.assert_array_equal(np.float32(values["w"]), model.variables["w"])
        model.save_variables(tmp_path / "copy", saved_model=True)
        with sm.load(tmp_path / "copy") as copy:  # its other MetaGraph
            np.testing.assert_allclose(copy(self.X)["predicted"], model(self.X)["predicted"], rtol=1e-6)
        with pytest.raises(sm.AlreadyExistsError):
            model.save_variables(tmp_path / "copy")

    def test_tables_written(self, load: Load, tmp_path: Path, tensorflow: TensorFlow) -> None:
        model = load("functions")
        model.functions["nested"]({"x": 1.0, "y": [2.0]})
        model.save_variables(tmp_path / "copy", saved_model=True)
        with sm.load(tmp_path / "copy") as copy:
            assert copy.functions["counted"]() == 1
            assert copy.functions["look_up"](["m"])[2] == [55]
        answer = tensorflow.of("function", tmp_path / "copy", function="counted", arguments="")
        assert answer["results"] == [1]

    def test_nothing_to_write(self, load: Load, tmp_path: Path) -> None:
        with pytest.raises(sm.FailedPreconditionError, match="no saver"):
            load("composite").save_variables(tmp_path / "none")


def test_check_and_publish_call_signatures(models: Path, tmp_path: Path) -> None:
    steps = json.loads(commands.output("check", models / "keras_saved", "--json"))["steps"]
    assert [step["outcome"] for step in steps] == ["done", "done"]
    refused = commands.savedmodel("check", models / "bad_no_object_graph")
    assert refused.returncode == 1
    assert "export" in refused.stdout
    with pytest.raises(sm.FailedPreconditionError, match="export"):
        sm.publish(models / "bad_no_object_graph", tmp_path / "model")
