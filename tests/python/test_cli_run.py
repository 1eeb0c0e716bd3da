"""`savedmodel run`: inputs from files, expressions and examples; printed and written outputs."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import savedmodel as sm
from savedmodel.cli._random import random_inputs

from . import anchor, goldens
from .commands import error, in_terminal, many, output, savedmodel, visible
from .helpers import Array

Path_ = str | Path
EXAMPLES = [
    ("tf__half_plus_two", "classify_x_to_y", 'inputs=[{"x":[8.0],"x2":[5.0]},{"x":[1.5]}]'),
    ("tf__half_plus_two_main_op", "regress_x_to_y2", 'inputs=[{"x":[-2.0]}]'),
    ("tf__half_plus_two_pbtxt", "regress_x_to_y", 'inputs=[{"x":[0.25]},{"x":[3.5]}]'),
    ("serving__half_plus_two_tf2_cpu", "regress_x_to_y", 'inputs=[{"x":[8.0]}]'),
]
# Refused at load: its assets lie outside of it.
REFUSED = {"neg__asset_path_traversal"}


@dataclass(frozen=True)
class Job:
    model: Path
    tags: str
    signature: str
    inputs: str = ""
    exprs: str = ""
    examples: str = ""

    def ours(self) -> tuple[Path_, ...]:
        given = (
            ("--inputs", self.inputs),
            ("--input_exprs", self.exprs),
            ("--input_examples", self.examples),
        )
        options = [text for name, value in given if value for text in (name, value)]
        pickles = ["--allow-pickle"] if self.inputs else []
        where = ["--dir", str(self.model), "--tag_set", self.tags, "--signature_def", self.signature]
        return "run", *where, *options, *pickles

    def theirs(self) -> tuple[str, ...]:
        return "run", str(self.model), self.tags, self.signature, self.inputs, self.exprs, self.examples


def _dense(run: goldens.Run) -> bool:
    return bool(run.inputs) and all(
        set(parts) == {""} for parts in (*run.inputs.values(), *run.outputs.values())
    )


def _literal(array: Array) -> str:
    return repr(array.tolist()).replace("nan", "float('nan')")


def _jobs(folder: Path, golden: Path, scratch: Path) -> Iterator[Job]:
    """Each recorded run, as files and as expressions; and runs on examples."""
    for path in sorted(golden.glob("*.npz")):
        model = folder / path.stem
        if not model.is_dir() or path.stem in REFUSED:
            continue
        for (tags, signature), run in goldens.read(path).items():
            if not _dense(run):
                continue
            arrays = {name: parts[""] for name, parts in run.inputs.items()}
            if any(array.dtype.kind not in "biufcO" for array in arrays.values()):
                continue  # saved_model_cli has no form for them
            file = scratch / f"{path.stem}-{tags}-{signature.replace('/', '_')}.npz"
            stored: dict[str, Any] = {f"v{number}": array for number, array in enumerate(arrays.values())}
            np.savez(file, **stored)
            tag_set = tags.replace("+", ",") or _only_tags(path.stem)
            files = ";".join(f"{name}={file}[v{number}]" for number, name in enumerate(arrays))
            yield Job(model, tag_set, signature, inputs=files)
            exprs = ";".join(f"{name}={_literal(array)}" for name, array in arrays.items())
            if len(exprs) < 4000 and "float(" not in exprs and "inf" not in exprs and "j" not in exprs:
                yield Job(model, tag_set, signature, exprs=exprs)
    for name, signature, examples in EXAMPLES:
        yield Job(folder / name, "serve", signature, examples=examples)


def _only_tags(name: str) -> str:
    return "train,serve" if name == "tfrust__regression-model" else "serve"


def _numbers(text: str) -> Array:
    return np.array([float(word) for word in re.findall(r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|nan|inf)", text)])


def _check(jobs: list[Job]) -> None:
    """Assert that both print the same."""
    ours = many([job.ours() for job in jobs])
    for job, (text, why), (status, out, err) in zip(
        jobs, anchor.ask([job.theirs() for job in jobs]), ours, strict=True
    ):
        assert (why, status, err) == (None, 0, ""), job
        if out != text:  # the optimizer's rounding; everything else is the same
            assert re.sub(r"[-\d.e+ ]+", "#", out) == re.sub(r"[-\d.e+ ]+", "#", text), job
            np.testing.assert_allclose(_numbers(out), _numbers(text), rtol=1e-5, atol=1e-6)


def test_third_party_models_print_what_saved_model_cli_prints(shared_models: Path, tmp_path: Path) -> None:
    jobs = list(_jobs(shared_models, shared_models.parent / "golden", tmp_path))
    assert len(jobs) > 100
    assert len({job.model for job in jobs}) > 15
    _check(jobs)


def test_generated_models_print_what_saved_model_cli_prints(models: Path, tmp_path: Path) -> None:
    names = ["mlp", "strings", "scalar", "v1_ref_counter", "keras_embedding_strings"]
    scratch = tmp_path / "golden"
    scratch.mkdir()
    for name in names:
        (scratch / f"{name}.npz").symlink_to(models / f"{name}.npz")
    jobs = [job for job in _jobs(models, scratch, tmp_path) if not job.examples]
    assert len(jobs) >= 10
    _check(jobs)


# Files.


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Path]:
    x = np.ones((2, 64), np.float32)
    paths = {
        name: tmp_path / name for name in ("x.npy", "one.npz", "two.npz", "x.pkl", "objects.npy", "not.npy")
    }
    np.save(paths["x.npy"], x)
    np.savez(paths["one.npz"], x=x)
    np.savez(paths["two.npz"], x=x, y=x * 2)
    paths["x.pkl"].write_bytes(pickle.dumps({"x": x}))
    np.save(paths["objects.npy"], np.array([[b"a"]], object))
    paths["not.npy"].write_text("no array")
    return paths


def test_files(models: Path, files: Mapping[str, Path]) -> None:
    expected = output("run", models / "mlp", "--inputs", f"x={files['x.npy']}")
    assert expected.startswith("Result for output key probs:\n[[")
    for value in (files["one.npz"], f"{files['two.npz']}[x]"):
        assert output("run", models / "mlp", "--inputs", f"x={value}") == expected
    pickled = ("run", models / "mlp", "--inputs", f"x={files['x.pkl']}[x]")
    assert output(*pickled, "--allow-pickle") == expected
    named = savedmodel("run", models / "mlp", "--inputs", f"x={files['x.npy']}[name]")
    assert (named.returncode, named.stdout) == (0, expected)
    assert re.fullmatch(
        r"savedmodel: warning: .*x\.npy holds one array; its name 'name' is ignored\n", named.stderr
    )


def test_files_that_can_not_be_used(models: Path, files: Mapping[str, Path]) -> None:
    def said(value: Path_, *more: str) -> str:
        return error("run", models / "mlp", "--inputs", f"x={value}", *more)

    assert "holds 2 arrays: choose one" in said(files["two.npz"])
    assert "has no array 'z'; it has: x, y" in said(f"{files['two.npz']}[z]")
    for name in "x.pkl", "objects.npy", "not.npy":
        assert re.search(r"reading one can run any code.*--allow-pickle", said(files[name]))
    assert "nor a pickle" in said(files["not.npy"], "--allow-pickle")
    assert "No such file" in said("nothing.npy")
    assert "write KEY=FILE" in error("run", models / "mlp", "--inputs", "x")
    assert "no input 'z'; there are: 'x'" in error("run", models / "mlp", "--inputs", f"z={files['x.npy']}")
    for name in "one.npz", "x.npy":
        files[name].write_bytes(files[name].read_bytes()[:-100])
        assert f"{name} is damaged" in said(files[name])


def test_a_pickle_is_not_read_without_leave(models: Path, tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "was_here"), "w")

    (tmp_path / "bad.npy").write_bytes(pickle.dumps(Bad()))
    error("run", models / "mlp", "--inputs", f"x={tmp_path / 'bad.npy'}")
    assert not (tmp_path / "was_here").exists()


# Casts.


def test_numbers_are_cast_where_that_loses_nothing(models: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 64), np.int64))
    ones = output("run", models / "mlp", "--input-exprs", "x=np.ones((1,64))")
    assert output("run", models / "mlp", "--inputs", f"x={tmp_path / 'x.npy'}") == ones
    np.save(tmp_path / "large.npy", np.full((1, 64), 2**53 + 1))
    assert "input 'x' takes float32, which can't hold 9007199254740993 of the int64" in error(
        "run", models / "mlp", "--inputs", f"x={tmp_path / 'large.npy'}"
    )


CASTS = [
    ("int8", "[1.0, -3.0]", "[ 1 -3]"),
    ("int8", "[127]", "[127]"),
    ("int8", "[128]", "can't hold 128"),
    ("int8", "[1.5]", "can't hold 1.5"),
    ("uint8", "[-1]", "can't hold -1"),
    ("uint64", "[18446744073709551615]", "[18446744073709551615]"),
    ("int64", "[18446744073709551615]", "can't hold 18446744073709551615"),
    ("float32", "[0.1]", "[0.1]"),
    ("float32", "[1e300]", "can't hold 1e+300"),
    ("float32", "[16777217]", "can't hold 16777217"),
    ("float16", "[1]", "[1.]"),
    ("bfloat16", "[0.5]", "[0.5]"),
    ("int4", "[7]", "[7]"),
    ("int4", "[8]", "can't hold 8"),
    ("bool", "[1, 0]", "[ True False]"),
    ("bool", "[2]", "can't hold 2"),
    ("complex64", "[1]", "[1.+0.j]"),
    ("float32", "[1j]", "complex numbers"),
    ("string", "['a', b'b']", "[b'a' b'b']"),
    ("string", "[1]", "takes strings, got int64"),
    ("string", "['a', 1]", "strings and numbers"),
    ("float32", "['a']", "takes float32, got strings"),
    ("float32", "[[1], [1, 2]]", "differ in length"),
]


def test_casts(models: Path) -> None:
    commands = [
        ("run", models / "dtypes", "--signature-def", dtype, "--input-exprs", f"x={given}")
        for dtype, given, _ in CASTS
    ]
    for (dtype, given, printed), (status, out, err) in zip(CASTS, many(commands), strict=True):
        assert printed in (out if status == 0 else err), (dtype, given)
        assert status == (0 if printed.startswith("[") else 2), (dtype, given)


# Examples.


def test_examples_are_those_of_tensorflow(models: Path) -> None:
    features: dict[str, object] = {
        "age": [22, -24, 2**40],
        "weight": [0.5, 2, float("inf")],
        "education": ["BS", b"\xff", "é"],
    }
    code = """
        import sys, tensorflow as tf
        example = tf.train.Example.FromString(bytes.fromhex(sys.stdin.read()))
        f = example.features.feature
        print(list(f["age"].int64_list.value), list(f["weight"].float_list.value),
              list(f["education"].bytes_list.value))
    """
    import subprocess
    import sys
    import textwrap

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        input=sm.serialize_example(features).hex(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (
        done.stdout.split("\n")[0]
        == r"[22, -24, 1099511627776] [0.5, 2.0, inf] [b'BS', b'\xff', b'\xc3\xa9']"
    )


WRONG_EXAMPLES = [
    ('[{"age":[22,"x"]}]', "feature 'age': str 'x' is not an integer, as the first value is"),
    ('[{"age":[22, 1.5]}]', "feature 'age': float 1.5 is not an integer"),
    ('[{"age":[[1]]}]', "feature 'age': a tf.train.Example can't hold list [1]"),
    ('[{"age":22}]', "feature 'age' must be a list of values"),
    ('[{"age":[]}]', "feature 'age' must be a list of values"),
    ('{"age":[1]}', "examples must be a list of dicts"),
    ("[1]", "an example must be a dict of features"),
    ('[{"age":[99999999999999999999]}]', "does not fit int64"),
    ('[{"age":[1e300]}]', "feature 'age': a number does not fit float32"),
]


def test_examples_that_do_not_fit(models: Path) -> None:
    commands = [
        ("run", models / "strings", "--input_examples", f"a={examples}") for examples, _ in WRONG_EXAMPLES
    ]
    for (examples, message), (status, _, err) in zip(WRONG_EXAMPLES, many(commands), strict=True):
        assert (status, err.count("\n")) == (2, 1), examples
        assert message in err, examples


def test_examples_are_strings(models: Path) -> None:
    assert "takes float32, got strings" in error("run", models / "mlp", "--input_examples", 'x=[{"a":[1]}]')


# The rest.


def test_sparse_inputs_by_their_parts(models: Path) -> None:
    where = ("run", models / "composite", "--signature-def", "sparse", "--input-exprs")
    text = output(*where, "x#indices=[[0,1]];x#values=[3];x#dense_shape=[2,4]")
    assert text.startswith("Result for output key ")
    assert "missing part x#dense_shape" in error(*where, "x#indices=[[0,1]];x#values=[3]")
    assert "is sparse: give its parts, x#indices" in error(*where, "x=[1]")


def test_the_empty_tag_set(models: Path) -> None:
    assert output("run", models / "v1_multi_tags", "--tag_set", "", "--random").startswith("Result")


def test_outdir(models: Path, tmp_path: Path) -> None:
    where = ("run", models / "mlp", "--input-exprs", "x=np.ones((2,64))", "--outdir", tmp_path / "a" / "b")
    text = output(*where)
    file = tmp_path / "a" / "b" / "probs.npy"
    assert f"Output probs is saved to {file}" in text
    assert np.load(file).shape == (2, 10)
    before = file.stat().st_mtime_ns
    assert "exists already; --overwrite replaces it" in error(*where)
    assert file.stat().st_mtime_ns == before
    output(*where, "--overwrite")


def test_an_output_key_chooses_no_folder(models: Path, tmp_path: Path) -> None:
    where = ("--signature-def", "tensorflow/serving/predict", "--random", "--outdir", tmp_path)
    output("run", models / "odd_names", *where)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class.npy", "out_0.npy"]


def test_random_inputs_are_seeded(models: Path) -> None:
    first = output("run", models / "mlp", "--random", "--seed", "7")
    assert output("run", models / "mlp", "--random", "--seed", "7", "--threads", "1") == first
    assert output("run", models / "mlp", "--random", "--seed", "8") != first
    assert output("run", models / "mlp", "--random", "--batch", "3").count("\n") > first.count("\n")
    assert output("run", models / "mlp", "--input_exprs", "x=np.random.rand(1,64)").startswith("Result")


def test_session_config(models: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.pbtxt"
    config.write_text("intra_op_parallelism_threads: 1\ninter_op_parallelism_threads: 1\n")
    where = ("run", models / "mlp", "--random", "--session-config", config)
    assert output(*where).startswith("Result")
    config.write_text("device_count { key: 'CPU' value: 1 }\nnonsense: 3\n")
    assert re.search(r"not a ConfigProto in text form: line 2, column \d+: .*nonsense", error(*where))


def test_device(models: Path) -> None:
    assert output("run", models / "mlp", "--random", "--device", "cpu").startswith("Result")
    assert "no device '/device:TPU:3' on this machine" in error(
        "run", models / "mlp", "--random", "--device", "tpu:3"
    )


def test_what_is_missing_is_said(models: Path) -> None:
    assert "no value for 'x'" in error("run", models / "mlp")
    assert "which signature?" in error("run", models / "stateful", "--random")
    assert "no signature 'nope'" in error("run", models / "mlp", "--random", "--signature_def", "nope")


def test_a_value_given_twice(models: Path, files: Mapping[str, Path]) -> None:
    given = ("--inputs", f"x={files['x.npy']}", "--input-exprs", "x=np.zeros((1, 64))")
    done = savedmodel("run", models / "mlp", *given)
    assert "given more than once; --input-exprs is used" in done.stderr
    assert done.stdout == output("run", models / "mlp", "--input-exprs", "x=np.zeros((1,64))")


def test_debug_shows_the_traceback(models: Path, tmp_path: Path) -> None:
    for arguments in (("--debug", "run", tmp_path / "none"), ("run", tmp_path / "none", "--debug")):
        assert "Traceback" in savedmodel(*arguments).stderr


def test_in_a_terminal(models: Path) -> None:
    status, sent = in_terminal("run", models / "mlp", "--random")
    assert status == 0
    assert visible(sent) == output("run", models / "mlp", "--random")


def test_outputs_as_json(models: Path, tmp_path: Path) -> None:
    text = output("run", models / "mlp", "--random", "--json", "--seed", "3")
    with sm.load(models / "mlp") as model:
        x = random_inputs(model.signatures["serving_default"].inputs, batch=1, seed=3)
        expected = model(**x)["probs"]
    printed = json.loads(text)
    assert list(printed) == ["probs"]
    np.testing.assert_array_equal(np.array(printed["probs"], np.float32), expected)
    assert max(len(digits) for digits in re.findall(r"0\.(\d+)", text)) <= 10  # those of float32
    done = savedmodel("run", models / "mlp", "--random", "--json", "--outdir", tmp_path)
    assert json.loads(done.stdout)
    assert "is saved to" in done.stderr
    strings = ("run", models / "strings", "--signature_def", "upper", "--json", "--input_exprs")
    assert json.loads(output(*strings, "s=[b'a', b'\\xff']")) == {"t": ["A", {"b64": "/w=="}]}


def test_flags_that_mean_nothing_here(models: Path) -> None:
    done = savedmodel("run", models / "add", "--random", "--use_tfrt", "--init_tpu", "--tf_debug")
    assert done.returncode == 0
    assert "Result for output key" in done.stdout
    for flag in ("--use-tfrt", "--init-tpu", "--tf-debug"):
        assert f"savedmodel: note: {flag} has no effect: " in done.stderr
    assert "not on a remote worker" in error("run", models / "add", "--random", "--worker", "grpc://a:1")


def test_a_model_of_functions_only(models: Path) -> None:
    assert "the model has no signatures; give --function, one of '__call__'" in error(
        "run", models / "functions"
    )
