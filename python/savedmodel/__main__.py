# SPDX-License-Identifier: Apache-2.0
"""Prints where the package's C++ parts are, for CMake and compilers.

`python -m savedmodel COMMAND ...` is the command line `savedmodel COMMAND ...`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from savedmodel import _core


def main() -> int:
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        from savedmodel.cli import main as command_line

        return command_line()
    # The compiled parts are in one place, even where an editable install keeps the Python files elsewhere.
    root = Path(_core.__file__).resolve().parent
    parser = argparse.ArgumentParser(prog="python -m savedmodel", description=__doc__)
    parser.add_argument("--version", action="version", version=_core.__version__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--cmake-dir", action="store_true", help="for find_package: -Dsavedmodel_DIR=DIR")
    choice.add_argument("--pkg-config-dir", action="store_true", help="for PKG_CONFIG_PATH")
    choice.add_argument("--include-dir", action="store_true", help="the public C++ headers")
    choice.add_argument("--library-dir", action="store_true", help="libsavedmodel.so")
    arguments = parser.parse_args()
    if arguments.cmake_dir:
        print(root / "lib" / "cmake" / "savedmodel")
    elif arguments.pkg_config_dir:
        print(root / "lib" / "pkgconfig")
    elif arguments.include_dir:
        print(root / "include")
    else:
        print(root / "lib")
    return 0


if __name__ == "__main__":
    sys.exit(main())
