"""`savedmodel bench`, `compare` and `profile`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .commands import error, in_terminal, output, savedmodel, visible, widest
from .graphs import node, save

QUICK = ("--rounds", "2", "--seconds", "0.02", "--warmup", "0.01")
PNG = b"\x89PNG\r\n\x1a\n"


def _bench(*arguments: str | Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(output("bench", *arguments, *QUICK, "--json"))
    return report


def test_bench_measures_every_setting(models: Path) -> None:
    report = _bench(models / "mlp", "--batch", "1,4", "--threads", "1,2", "--concurrency", "1,2")
    settings = {(one["threads"], one["batch"], one["concurrency"]) for one in report["cases"]}
    assert settings == {(t, b, c) for t in (1, 2) for b in (1, 4) for c in (1, 2)}
    for one in report["cases"]:
        assert 0 < one["min_seconds"] <= one["p50_seconds"] <= one["p90_seconds"] <= one["p99_seconds"]
        assert one["items_per_second"] == pytest.approx(one["calls_per_second"] * one["batch"])
        assert one["calls"] > 0
    assert [one["threads"] for one in report["starts"]] == [1, 2]
    for one in report["starts"]:
        assert 0 < one["load_seconds"] < one["cold_start_seconds"] < 60
        assert 50e6 < one["peak_bytes"] < 10e9
    assert report["machine"]["cpus"] >= 1
    assert report["settings"]["rounds"] == 2
    assert report["settings"]["seed"] == 0


def test_bench_against_others_with_a_plot(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "plot.png"
    done = savedmodel(
        "bench",
        models / "mlp",
        *QUICK,
        "--against",
        "tf,openvino,onnxruntime",
        "--batch",
        "1,2",
        "--plot",
        plot,
    )
    assert done.returncode == 0, done.stderr
    assert plot.read_bytes().startswith(PNG)
    assert re.search(r"^  tf +1 ", done.stdout, re.MULTILINE)
    for name in "openvino", "onnxruntime":  # in the table, or why not
        assert re.search(rf"^  {name} +(\d|left out: )", done.stdout, re.MULTILINE), done.stdout
    for word in ("machine", "versions", "2 rounds", "cold start", "peak memory", "CPU", "seed 0"):
        assert word in done.stdout
    assert "ATTENTION" not in done.stdout
    assert widest("\n".join(done.stdout.splitlines()[1:])) <= 80


def test_bench_shows_its_progress_in_a_terminal_only(models: Path) -> None:
    status, sent = in_terminal("bench", models / "add", *QUICK, "--batch", "1")
    assert status == 0
    assert "━" in sent
    assert "p99" in visible(sent)
    assert "━" not in savedmodel("bench", models / "add", *QUICK).stderr


def test_bench_errors(models: Path, tmp_path: Path) -> None:
    assert "'1,x' is not a list of positive integers" in error("bench", models / "mlp", "--batch", "1,x")
    assert "--against: no runtime 'torch'; there are: tf, onnxruntime" in error(
        "bench", models / "mlp", "--against", "torch"
    )
    assert "must end in .png" in error("bench", models / "mlp", "--plot", tmp_path / "x.pdf")
    assert "there is no directory" in error("bench", models / "mlp", "--plot", tmp_path / "none" / "x.png")
    assert "is sparse: no value can be generated" in error(
        "bench", models / "composite", "--signature-def", "sparse"
    )
    assert "no such directory" in error("bench", tmp_path / "none")


def test_what_savedmodel_refuses_is_an_error_of_bench(models: Path) -> None:
    assert "missing; is the copy complete?" in error("bench", models / "bad_missing_shard", *QUICK)


def test_compare_finds_the_same(models: Path) -> None:
    text = output("compare", models / "multi")
    assert "all outputs are the same" in text
    assert text.count("same") > 5
    assert widest(text) <= 80


def test_compare_finds_a_difference(tmp_path: Path) -> None:
    tensor = "tensor { dtype: DT_INT32 tensor_shape { dim { size: 1 } } int_val: 4 }"
    of_four = (
        f'attr {{ key: "value" value {{ {tensor} }} }} attr {{ key: "dtype" value {{ type: DT_INT32 }} }}'
    )
    shape = node("shape", "Const", attributes=of_four)
    kinds = 'attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "T" value { type: DT_INT32 } }'
    random = node("random", "RandomUniform", "shape", attributes=kinds)
    path = save(tmp_path / "m", shape + random, output="random:0")
    done = savedmodel("compare", path)
    assert done.returncode == 1
    assert "DIFFERENT" in done.stdout
    assert "1 of 1 outputs differ" in done.stdout


def test_compare_says_what_it_can_not_compare(models: Path) -> None:
    assert "no signature could be compared" in error("compare", models / "composite")


def test_compare_on_given_inputs(models: Path) -> None:
    given = ("--input-exprs", "x=np.ones((5, 64))", "--json")
    (one,) = json.loads(output("compare", models / "mlp", *given))["outputs"]
    assert one["shape"] == [5, 10]
    assert one["batch"] == 5


def test_profile(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot, trace = tmp_path / "ops.png", tmp_path / "trace.json"
    done = savedmodel("profile", models / "mlp", "--runs", "3", "--plot", plot, "--trace", trace)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  _SavedmodelDense +3 .* MatMul, AddV2, Relu$", done.stdout, re.MULTILINE)
    assert "of the optimized graph" in done.stdout
    assert "by node" in done.stdout
    assert widest(done.stdout) <= 80
    assert plot.read_bytes().startswith(PNG)
    events = json.loads(trace.read_text())["traceEvents"]
    assert sum(event["name"] == "_SavedmodelDense" for event in events if event["ph"] == "X") == 3
    done = savedmodel("profile", models / "mlp", "--runs", "3", "--level", "none")
    assert re.search(r"^  \w*MatMul +3 ", done.stdout, re.MULTILINE)
    assert "of the graph as it was loaded;" not in done.stdout
    config = tmp_path / "config.pbtxt"
    config.write_text('device_count { key: "CPU" value: 2 }')
    done = savedmodel("profile", models / "mlp", "--runs", "3", "--session-config", config)
    assert "of the graph as it was loaded, in a session" in " ".join(done.stdout.split())


def test_profile_for_programs(models: Path) -> None:
    report = json.loads(output("profile", models / "mlp", "--runs", "2", "--json"))
    outside = report["outside_seconds"] / report["wall_seconds"]
    assert sum(row["share"] for row in report["by_op"]) + outside == pytest.approx(1)
    dense = next(row for row in report["by_node"] if row["op"] == "_SavedmodelDense")
    assert "MatMul" in dense["from_ops"]
    assert len(dense["from_ops"]) == len(dense["from_nodes"])
    assert sum(row["seconds"] for row in report["by_op"]) == pytest.approx(
        sum(row["seconds"] for row in report["by_node"])
    )
    assert report["wall_seconds"] > 0


def test_a_comparison_reads_values_of_every_kind() -> None:
    from savedmodel.cli._difference import Tolerance, difference

    near = Tolerance(relative=1e-3, absolute=1e-6)

    def same(a: Any, b: Any) -> bool:
        return difference(("f", 1, "y"), np.asarray(a), np.asarray(b), near).same

    assert same([1.0, np.nan, np.inf], [1.0005, np.nan, np.inf])
    assert not same([1.0], [1.01])
    assert not same([np.inf], [-np.inf])
    assert not same([np.nan], [1.0])
    assert not same([1], [2])
    assert not same([1.0], [[1.0]])
    assert not same(np.ones(1, np.float32), np.ones(1, np.float64))
    assert same(np.array([b"a"], object), np.array([b"a"], object))
    one = difference(("f", 1, "y"), np.array([1.0, 2.0]), np.array([1.0, 2.5]), near)
    assert (one.max_abs_error, one.max_rel_error) == (0.5, 0.2)


@pytest.mark.parametrize("name", ["click", "rich"])
def test_the_command_without_its_libraries(models: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('no', name={name!r})")
    code = "import sys; from savedmodel.cli import main; sys.exit(main(['show', sys.argv[1]]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(models / "add")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"savedmodel: the command line needs {name}")
    assert name in done.stderr.partition("pip install")[2]


def test_serialized_examples_can_not_be_generated(models: Path) -> None:
    said = error("bench", models / "examples", "--signature_def", "sum", "--seconds", "0.01")
    assert said.startswith("savedmodel: InvalidArgumentError: Could not parse example input")
    assert said.endswith("give some with --input-examples")
    text = output("compare", models / "examples")
    assert "sum  not compared: Could not parse example input" in text
    assert "the outputs that were compared are the same; 6 signatures left out" in text
