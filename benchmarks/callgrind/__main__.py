# SPDX-License-Identifier: Apache-2.0
"""python -m benchmarks.callgrind MODEL: instructions of one call from C++, by the library that they are in.

Needs valgrind and a compiler. Counts are the same on a busy machine, but valgrind's CPU has AVX2 at most.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import savedmodel as sm

HERE = Path(__file__).resolve().parent
RUN = "savedmodel::Function::Run(savedmodel::Span<savedmodel::Tensor const>, savedmodel::Span<*"
PARTS = (
    ("core", "libsavedmodel.so"),
    ("engine", "libsavedmodel_tensorflow.so"),
    ("TensorFlow", "libtensorflow"),
    ("libc", "libc.so"),
)


def build(folder: Path) -> Path:
    """Compiles the program that calls the model."""
    prefix = subprocess.check_output([sys.executable, "-m", "savedmodel", "--cmake-dir"], text=True).strip()
    for command in (
        ["cmake", "-S", str(HERE), "-B", str(folder), f"-DCMAKE_PREFIX_PATH={prefix}"],
        ["cmake", "--build", str(folder)],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "calls"


def count(program: Path, model: Path, calls: int) -> collections.Counter[str]:
    """Instructions inside of Function::Run, by shared object."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "callgrind.out"
        subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--toggle-collect={RUN}",
                f"--callgrind-out-file={output}",
                "--compress-strings=no",
                "--compress-pos=no",
                "-q",
                program,
                model,
                str(calls),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        return read(output.read_text())


def read(text: str) -> collections.Counter[str]:
    """Own cost of each object (lines `ob=`); the line after `calls=` is what was called, and no own cost."""
    costs: collections.Counter[str] = collections.Counter()
    name = ""
    called = False
    for line in text.splitlines():
        if line.startswith("ob="):
            name = Path(line[3:]).name
        elif line.startswith("calls="):
            called = True
        elif re.match(r"[0-9+*-]", line):
            if not called:
                costs[name] += int(line.split()[1])
            called = False
    return costs


def main() -> None:
    """Print what one call takes, from the difference of two counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callgrind", description=__doc__)
    parser.add_argument("model", type=Path, help="a SavedModel of two float32 inputs of one element")
    parser.add_argument("--calls", type=int, default=1000)
    arguments = parser.parse_args()
    sm.inspect(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        few = count(program, arguments.model, arguments.calls)
        many = count(program, arguments.model, 2 * arguments.calls)
    many.subtract(few)
    total = sum(many.values())
    rest = total
    print(f"{total / arguments.calls:.0f} instructions a call")
    for part, prefix in PARTS:
        own = sum(cost for name, cost in many.items() if name.startswith(prefix))
        rest -= own
        print(f"  {part:<11} {own / arguments.calls:8.0f}")
    print(f"  {'others':<11} {rest / arguments.calls:8.0f}")


if __name__ == "__main__":
    main()
