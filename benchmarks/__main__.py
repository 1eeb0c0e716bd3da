"""`python -m benchmarks [compare | soak | scaling]`, from the repository root."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .compare import Settings, compare
from .models import MODELS
from .paths import PATHS
from .scaling import SCALING_PATHS, scaling
from .soak import soak

RESULTS = Path(__file__).resolve().parent / "results"


def names(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def numbers(text: str) -> tuple[int, ...]:
    values = tuple(int(word) for word in names(text))
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError("numbers of 1 and more, separated by commas")
    return values


def positive(text: str) -> int:
    (value,) = numbers(text)
    return value


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Times every way to call a SavedModel. benchmarks/README.md says how.",
    )
    add = result.add_argument
    add("what", nargs="?", default="compare", choices=["compare", "soak", "scaling"])
    add("--models", type=names, metavar="A,B", help=f"of {', '.join(MODELS)} (default: all)")
    add("--paths", type=names, metavar="A,B", help=f"of {', '.join(PATHS)} (default: all)")
    add("--batch", type=numbers, default=(), metavar="N,M", help="default: each model's own")
    add("--threads", type=positive, default=1, help="intra-op threads of every path (1)")
    add("--rounds", type=positive, help="rounds of each path (20)")
    add("--round-ms", type=positive, help="length of one round (250)")
    add("--cold", action=argparse.BooleanOptionalAction, default=True, help="time cold starts too")
    add("--cold-runs", type=positive, help="counted cold starts of each path (5)")
    add("--calls", type=positive, help="soak: calls of xy (1,000,000)")
    add("--cycles", type=positive, help="soak: load/close cycles of mlp (200)")
    add("--quick", action="store_true", help="a smoke run under a minute; says little of speed")
    add("--output", type=Path, metavar="DIR", help="default: benchmarks/results")
    return result


def main() -> int:
    options = parser().parse_args()
    quick = options.quick
    for given, known in ((options.models, MODELS), (options.paths, PATHS)):
        for name in given or ():
            if name not in known:
                parser().error(f"there is no {name!r}; choose from {', '.join(known)}")
    prefix = "quick-" if quick else ""
    folder = options.output or Path(os.path.relpath(RESULTS))
    rounds = options.rounds or (3 if quick else 20)
    seconds = (options.round_ms or (50 if quick else 250)) / 1000
    if options.what == "soak":
        calls = options.calls or (20_000 if quick else 1_000_000)
        cycles = options.cycles or (20 if quick else 200)
        return soak(calls, cycles, folder / f"{prefix}soak.json")
    if options.what == "scaling":
        paths = options.paths or SCALING_PATHS
        return scaling(paths, rounds, seconds, folder / f"{prefix}scaling.json")
    return compare(
        Settings(
            models=options.models or (("xy", "mlp") if quick else tuple(MODELS)),
            paths=options.paths or tuple(PATHS),
            batches=options.batch,
            threads=options.threads,
            rounds=rounds,
            seconds=seconds,
            cold_runs=(options.cold_runs or (1 if quick else 5)) if options.cold else 0,
            results=folder,
            name=f"{prefix}compare",
        )
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
