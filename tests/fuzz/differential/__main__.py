"""`python -m differential GENERATOR=A:B`: see ../README.md."""

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


class Campaign:
    """Recipes of several generators, one after the other, and what became of them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.supervisor = Supervisor(arguments.log)
        self.failures = 0

    def run(self, name: str, seeds: range) -> None:
        start, counts = time.monotonic(), Counter[str]()
        try:
            for seed in seeds:
                self._judge(name, seed, counts)
        finally:  # an interrupted campaign says how far it came
            took = time.monotonic() - start
            said = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
            print(f"{name}: {said or 'no seeds'}; {took:.0f} s", flush=True)

    def _judge(self, name: str, seed: int, counts: Counter[str]) -> None:
        recipe = GENERATORS[name](seed)
        answer = self.supervisor.judge(recipe)
        counts["seeds"] += 1
        counts["no graph"] += "invalid" in answer
        counts["refused by TensorFlow"] += bool(answer.get("refused"))
        counts["without float64"] += answer.get("exact") is False
        counts["TensorFlow died"] += bool(answer["died"])
        counts["failed"] += bool(answer["findings"])
        if "invalid" in answer:
            print(f"{name} {seed}: no graph: {answer['invalid'][:200]}", flush=True)
        if answer["died"]:
            print(f"{name} {seed}: TensorFlow's {lines(answer['died'])}", flush=True)
        if answer["findings"]:
            self._failed(recipe, answer["findings"])

    def _failed(self, recipe: Recipe, findings: list[dict[str, Any]]) -> None:
        self.failures += 1
        print(f"{recipe['generator']} {recipe['seed']}: FAILED\n{lines(findings)}", flush=True)
        if self.arguments.out is not None:
            kinds = {f["kind"] for f in findings}
            recipe, found = reduce(recipe, kinds, self.supervisor, self.arguments.reduce_for)
            program = write_program(self.arguments.out, recipe, found.get("findings") or findings)
            print(f"reduced: {program}", flush=True)
        print(listing(recipe), flush=True)


def _request(text: str) -> list[tuple[str, range]]:
    name, _, seeds = text.partition("=")
    if name not in (*GENERATORS, "all"):
        raise argparse.ArgumentTypeError(f"generators are {', '.join(GENERATORS)}, all; not {name!r}")
    return [(each, _seeds(seeds or "0:12")) for each in (GENERATORS if name == "all" else [name])]


def main() -> int:
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument(
        "what", nargs="*", type=_request, help="GENERATOR=A:B (B not included), or GENERATOR=A"
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
    campaign = Campaign(arguments)
    for name, seeds in (pair for pairs in arguments.what for pair in pairs):
        if arguments.show:
            print("\n".join(listing(GENERATORS[name](seed)) for seed in seeds))
        else:
            campaign.run(name, seeds)
    campaign.supervisor.close()
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
