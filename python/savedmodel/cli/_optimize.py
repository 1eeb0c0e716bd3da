# SPDX-License-Identifier: Apache-2.0
"""`savedmodel optimize SRC DST`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import savedmodel as sm

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_ABOUT = """Copy a SavedModel, and put its optimized signatures beside it.

The copy is the SavedModel as it was; other programs load it as ever. A load through
savedmodel with the same TensorFlow on the same kind of CPU takes the optimized graphs
from there. With SRC as DST they are added to it.

example: savedmodel optimize models/resnet50 models/resnet50_optimized"""


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "optimize",
        help="write a SavedModel with its optimized graphs, which loads sooner",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("src", metavar="SRC", help="a SavedModel directory")
    parser.add_argument("dst", metavar="DST", help="a directory that does not exist yet, or SRC")
    parser.add_argument(
        "--tag_set", "--tag-set", default="serve", metavar="A,B", help="tags of the MetaGraph (serve)"
    )
    parser.add_argument("--level", choices=["default", "bf16"], default="default", help="load's optimize=")
    parser.add_argument("--verify", action="store_true", help="first compare its results with the original's")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    tags = [tag for tag in options.tag_set.split(",") if tag]
    with sm.load(options.src, tags=tags, optimize=options.level, verify=options.verify) as model:
        model.save_optimized(options.dst)
        for name, why_not in model.verified.items():
            print(f"{name}: {'not compared: ' + why_not if why_not else 'same results'}")
    with sm.load(options.dst, tags=tags, optimize=options.level) as model:
        for report in model.optimization:
            print(report)
