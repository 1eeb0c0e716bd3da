"""What saved_model_cli says, from one process for many jobs: importing TensorFlow takes seconds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_CHILD = """
import contextlib, io, json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import tensorflow as tf
from tensorflow.python.tools import saved_model_cli as cli

def show(path):
    cli._show_all(path)

def run(path, tags, signature, inputs, exprs, examples):
    feeds = cli.load_inputs_from_input_arg_string(inputs, exprs, examples)
    cli.run_saved_model_with_feed_dict(path, tags, signature, feeds, None, False)

results = []
for kind, *arguments in json.load(sys.stdin):
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            {"show": show, "run": run}[kind](*arguments)
        results.append([text.getvalue(), None])
    except BaseException as error:
        results.append([text.getvalue(), f"{type(error).__name__}: {error}"])
answers.write(json.dumps(results))
answers.close()
"""


def ask(jobs: Sequence[Sequence[str]]) -> list[tuple[str, str | None]]:
    """For each job what it printed and, if it failed, why.

    A job is ("show", path) or ("run", path, tags, signature, inputs, input_exprs, input_examples).
    """
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps([list(map(str, job)) for job in jobs]),
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_ENABLE_ONEDNN_OPTS": "0"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [(text, why) for text, why in json.loads(done.stdout)]


_TENSOR = re.compile(
    r"(inputs|outputs)\['(.*)'\] tensor_info:\n\s*dtype: (\S+)\n\s*shape: (.*)\n\s*name: ?(.*)"
)


def parse_show(text: str) -> dict[frozenset[str], dict[str, Any]]:
    """By tag set: the signatures, their method names and inputs and outputs by key: (dtype, shape, name)."""
    graphs: dict[frozenset[str], dict[str, Any]] = {}
    for block in re.split(r"\nMetaGraphDef with tag-set: ", text)[1:]:
        tags, _, rest = block.partition(" contains the following SignatureDefs:")
        found = graphs.setdefault(frozenset(filter(None, tags.strip("'").split(", "))), {})
        for part in re.split(r"\nsignature_def\['", rest)[1:]:
            name, _, body = part.partition("']:")
            method = re.search(r"Method name is: ?(.*)", body)
            sides: dict[str, dict[str, tuple[str, Any, str]]] = {"inputs": {}, "outputs": {}}
            for side, key, dtype, shape, tensor in _TENSOR.findall(body):
                sides[side][key] = (dtype, _shape(shape), tensor.strip())
            found[name] = {"method_name": method.group(1) if method else "", **sides}
    return graphs


def _shape(text: str) -> list[int | None] | None:
    if text.strip() == "unknown_rank":
        return None
    sizes = [int(size) for size in text.strip("() ").split(",") if size.strip()]
    return [None if size < 0 else size for size in sizes]


def parse_functions(text: str) -> dict[str, list[list[tuple[str, str, str]]]]:
    """By function, the argument lines of each of its options."""
    functions: dict[str, list[list[tuple[str, str, str]]]] = {}
    for part in re.split(r"\n  Function Name: '", text.partition("\nConcrete Functions:")[2])[1:]:
        name, _, body = part.partition("'")
        functions[name] = [
            re.findall(r"(\w+): TensorSpec\(shape=(.*), dtype=tf\.(\w+)", option)
            for option in re.split(r"    Option #\d+\n", body)[1:]
        ]
    return functions
