"""Writes the small SavedModels that the tests run on, and what TensorFlow itself makes of them.

Usage: python tests/models/generate.py DEST [NAME ...]

Every model goes to DEST/<name>/, its golden inputs and outputs to DEST/<name>.npz; README.md tells
how to read those. This is the only part of the test suite that imports TensorFlow's Python package.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

# Before TensorFlow is imported: goldens come from the CPU, and only errors are worth a line.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what native code writes to stderr: TensorFlow's static initialisers obey no setting."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dest", type=Path, help="folder to write to; made if it is not there")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to write (default: all)")
    args = parser.parse_args(argv)

    with quiet_stderr():
        from zoo import MODELS, generate

    unknown = [name for name in args.names if name not in MODELS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}; there are: {', '.join(MODELS)}")

    with tempfile.TemporaryDirectory() as scratch:
        for name in args.names or MODELS:
            print(f"{name}: {generate(name, args.dest, Path(scratch))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
