"""`python -m benchmarks [compare | peers | int8 | batching | mlperf | soak | scaling | serving]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .batching import PATHS as BATCHING_PATHS
from .batching import BatchingSettings, batching
from .compare import Settings, compare
from .files import RESULTS
from .int8 import NETWORKS, int8
from .mlperf import PATHS as MLPERF_PATHS
from .mlperf import MlperfSettings, mlperf
from .models import COMPARED, MODELS
from .paths import PATHS, PEER_PATHS
from .peers import PeerSettings, peers
from .scaling import SCALING_PATHS, scaling
from .serving import ServingSettings, serving
from .soak import soak


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
    add(
        "what",
        nargs="?",
        default="compare",
        choices=["compare", "peers", "int8", "batching", "mlperf", "soak", "scaling", "serving"],
    )
    known = f"of {', '.join(MODELS)} (default: peers all, compare the first {len(COMPARED)})"
    add("--models", type=names, metavar="A,B", help=known)
    known = f"compare: of {', '.join(PATHS)}; peers: of {', '.join(PEER_PATHS)} (default: all)"
    add("--paths", type=names, metavar="A,B", help=known)
    add("--batch", type=numbers, default=(), metavar="N,M", help="compare: each model's own; peers: 1,8")
    add("--threads", type=numbers, metavar="N,M", help="intra-op threads of every path (1; peers: 1,2)")
    add("--precision", type=names, metavar="A,B", help="peers: of float32, bf16, int8 (default: all)")
    add("--missing", action="store_true", help="peers: leave out what the results have from this setup")
    add("--rounds", type=positive, help="rounds of each path (20; peers: 10)")
    add("--round-ms", type=positive, help="length of one round (250; mlperf: 10,000)")
    add("--cold", action=argparse.BooleanOptionalAction, default=True, help="time cold starts too")
    add("--cold-runs", type=positive, help="counted cold starts of each path (5)")
    add("--connections", type=numbers, default=(1, 8, 32), metavar="N,M", help="serving (1,8,32)")
    add("--calls", type=positive, help="soak: calls of xy (1,000,000)")
    add("--cycles", type=positive, help="soak: load/close cycles of mlp (200)")
    add("--requests", type=positive, help="soak: requests for batches of gru (4,000,000: ten minutes)")
    add("--quick", action="store_true", help="a smoke run under a minute; says little of speed")
    add("--output", type=Path, metavar="DIR", help="default: benchmarks/results")
    return result


def main() -> int:
    options = parser().parse_args()
    quick = options.quick
    known_paths: dict[str, Mapping[str, Any]]
    known_paths = {"peers": PEER_PATHS, "mlperf": PEER_PATHS, "batching": BATCHING_PATHS}
    paths = known_paths.get(options.what, PATHS)
    precisions = ("float32", "bf16", "int8")
    for given, known in (
        (options.models, NETWORKS if options.what == "int8" else MODELS),
        (options.paths, paths),
        (options.precision, precisions),
    ):
        for name in given or ():
            if name not in known:
                parser().error(f"there is no {name!r}; choose from {', '.join(known)}")
    if options.what != "peers" and len(options.threads or ()) > 1:
        parser().error("several thread counts at once: only in peers")
    prefix = "quick-" if quick else ""
    folder = options.output or Path(os.path.relpath(RESULTS))
    rounds = options.rounds or (3 if quick else 10 if options.what == "peers" else 20)
    cold_runs = (options.cold_runs or (1 if quick else 5)) if options.cold else 0
    seconds = (options.round_ms or (50 if quick else 250)) / 1000
    if options.what == "soak":
        totals = {
            "calls": options.calls or (20_000 if quick else 1_000_000),
            "cycles": options.cycles or (20 if quick else 200),
            "requests": options.requests or (20_000 if quick else 4_000_000),
        }
        return soak(totals, folder / f"{prefix}soak")
    if options.what == "scaling":
        return scaling(options.paths or SCALING_PATHS, rounds, seconds, folder / f"{prefix}scaling")
    if options.what == "int8":
        return int8(options.models or NETWORKS, folder / f"{prefix}int8")
    if options.what == "batching":
        all_models = ("wide_deep", "mlp", "gru", "lstm", "mobilenet_v2", "resnet50", "bert_base")
        return batching(
            BatchingSettings(
                models=options.models or (("wide_deep",) if quick else all_models),
                paths=options.paths or tuple(BATCHING_PATHS),
                threads=(options.threads or (1,))[0],
                rounds=options.rounds or (2 if quick else 7),
                seconds=(options.round_ms or (200 if quick else 1000)) / 1000,
                stem=folder / f"{prefix}batching",
            )
        )
    if options.what == "mlperf":
        return mlperf(
            MlperfSettings(
                models=options.models or (("mlp",) if quick else ("resnet50", "bert_base")),
                paths=options.paths or MLPERF_PATHS,
                threads=(options.threads or (1 if quick else 2,))[0],
                seconds=(options.round_ms or (1000 if quick else 10_000)) / 1000,
                stem=folder / f"{prefix}mlperf",
            )
        )
    if options.what == "serving":
        return serving(
            ServingSettings(
                models=options.models or (("xy", "mlp") if quick else ("xy", "mlp", "mobilenet_v2")),
                connections=options.connections,
                threads=(options.threads or (1,))[0],
                rounds=rounds,
                seconds=seconds,
                stem=folder / f"{prefix}serving",
            )
        )
    if options.what == "peers":
        wanted = options.precision or precisions
        return peers(
            PeerSettings(
                models=options.models or (("xy", "mlp", "wide_deep") if quick else tuple(MODELS)),
                paths=options.paths or tuple(n for n in paths if paths[n].precision in wanted),
                batches=options.batch or ((1,) if quick else (1, 8)),
                threads=options.threads or ((1,) if quick else (1, 2)),
                rounds=rounds,
                seconds=seconds,
                cold_runs=cold_runs,
                missing=options.missing,
                stem=folder / f"{prefix}peers",
            )
        )
    return compare(
        Settings(
            models=options.models or (("xy", "mlp") if quick else COMPARED),
            paths=options.paths or tuple(PATHS),
            batches=options.batch,
            threads=(options.threads or (1,))[0],
            rounds=rounds,
            seconds=seconds,
            cold_runs=cold_runs,
            results=folder,
            name=f"{prefix}compare",
        )
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
