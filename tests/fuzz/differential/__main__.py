"""`python -m differential GENERATOR A:B`: see ../README.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .generators import GENERATORS
from .recipe import Recipe, listing
from .reduce import reduce
from .supervisor import Supervisor

PROGRAM = '''"""{title}

{listing}

{findings}
"""
import json, sys

sys.path.insert(0, {path!r})
from differential.replay import replay

sys.exit(replay(json.loads(r"""{recipe}""")))
'''


def _seeds(text: str) -> range:
    first, _, end = text.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


def lines(findings: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{f['path']}: {f['kind']} {f['output']} (call {f['call']}): {f['what']}" for f in findings
    )


def write_program(folder: Path, recipe: Recipe, findings: list[dict[str, Any]]) -> Path:
    path = folder / f"{recipe['generator']}_{recipe['seed']}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        PROGRAM.format(
            title=f"Seed {recipe['seed']} of {recipe['generator']}, cut down.",
            listing=listing(recipe).replace("\\", "/"),
            findings=lines(findings).replace("\\", "/").replace('"""', "'''"),
            path=str(Path(__file__).resolve().parents[1]),
            recipe=json.dumps(recipe, indent=1),
        )
    )
    return path


def run(names: list[str], seeds: range, folder: Path | None, log: Path | None, reduce_for: float) -> int:
    supervisor = Supervisor(log)
    failures = 0
    for name in names:
        start, counts = time.monotonic(), Counter[str]()
        for seed in seeds:
            recipe = GENERATORS[name](seed)
            answer = supervisor.judge(recipe)
            counts["seeds"] += 1
            counts["no graph"] += "invalid" in answer
            counts["refused by TensorFlow"] += bool(answer.get("refused"))
            counts["without float64"] += answer.get("exact") is False
            if "invalid" in answer:
                print(f"{name} {seed}: no graph: {answer['invalid'][:200]}", flush=True)
            if answer["died"]:
                counts["TensorFlow died"] += 1
                print(f"{name} {seed}: TensorFlow's {lines(answer['died'])}", flush=True)
            if not answer["findings"]:
                continue
            failures += 1
            counts["failed"] += 1
            print(f"{name} {seed}: FAILED\n{lines(answer['findings'])}", flush=True)
            if folder is not None:
                kinds = {f["kind"] for f in answer["findings"]}
                smaller, found = reduce(recipe, kinds, supervisor, reduce_for)
                program = write_program(folder, smaller, found.get("findings") or answer["findings"])
                print(f"reduced: {program}\n{listing(smaller)}", flush=True)
            else:
                print(listing(recipe), flush=True)
        took = time.monotonic() - start
        print(
            f"{name}: " + ", ".join(f"{n} {what}" for what, n in counts.items() if n) + f"; {took:.0f} s",
            flush=True,
        )
    supervisor.close()
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("generator", nargs="?", choices=[*GENERATORS, "all"], default="all")
    parser.add_argument(
        "seeds", nargs="?", type=_seeds, default=range(12), help="A:B (B not included), or one"
    )
    parser.add_argument("--out", type=Path, help="where reduced programs are written; not reduced without it")
    parser.add_argument("--log", type=Path, help="where the children's stderr goes")
    parser.add_argument("--reduce-for", type=float, default=120.0, help="seconds, for each failure")
    parser.add_argument("--show", action="store_true", help="print the recipes only")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        from .child import main as child

        child()
        return 0
    names = [*GENERATORS] if arguments.generator == "all" else [arguments.generator]
    if arguments.show:
        for name in names:
            for seed in arguments.seeds:
                print(listing(GENERATORS[name](seed)))
        return 0
    return run(names, arguments.seeds, arguments.out, arguments.log, arguments.reduce_for)


if __name__ == "__main__":
    sys.exit(main())
