"""The constants of the format: those of TensorFlow's tf.saved_model, and of the C++ header."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import savedmodel as sm
from savedmodel import _constants

from .helpers import Load

HEADER = Path(__file__).resolve().parents[2] / "cpp" / "include" / "savedmodel" / "constants.h"


def constants() -> dict[str, object]:
    return {name: value for name, value in vars(_constants).items() if name.isupper()}


def test_all_are_in_the_package() -> None:
    for name, value in constants().items():
        assert name in sm.__all__
        assert getattr(sm, name) == value


def test_they_are_those_of_tensorflow() -> None:
    program = (
        "import json, tensorflow.compat.v1 as tf;"
        "names = {**vars(tf.saved_model), **vars(tf.compat.v2.saved_model)};"
        "print(json.dumps({n: v for n, v in names.items() if n.isupper()}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    theirs = json.loads(done.stdout)
    assert len(theirs) > 20
    assert {name: value for name, value in constants().items() if name != "EVAL"} == theirs


def test_the_header_has_the_same_values() -> None:
    values = re.findall(r"constexpr (?:char|int) k\w+(?:\[\])? = (\S+);", HEADER.read_text())
    assert {value.strip('"') for value in values} == {*map(str, constants().values()), "assets.extra"}


def test_they_name_what_a_load_takes(load: Load) -> None:
    model = load("add", tags=[sm.SERVING])
    signature = model.signatures[sm.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
    assert signature.method_name == sm.PREDICT_METHOD_NAME
