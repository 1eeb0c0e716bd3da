"""`python -m benchmarks.peers.table [FILE]`: the tables of the README, from the results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..files import RESULTS, data_file
from ..table import markdown
from .report import cell, duration, gain_cell, run_lines
from .results import Results, Row

DATA = data_file(RESULTS / "peers")


def peer_cells(row: Row) -> list[str]:
    return [cell(row.records.get(name)) for name in ("ort", "openvino")]


def readme(results: Results, batch: int) -> str:
    rows = [row for row in results.rows() if row.batch == batch]
    table = []
    for row in rows:
        if row.precision != "float32":
            continue
        same = (row.model, row.threads, "bf16")
        half = next((one for one in rows if (one.model, one.threads, one.precision) == same), None)
        ours = row.value("savedmodel")
        table.append(
            [
                row.model,
                str(row.threads),
                cell(row.records.get("tf2")),
                f"**{duration(ours)}**" if ours else "-",
                *peer_cells(row),
                gain_cell(row, row.best_peer()),
                cell(half.records.get("savedmodel") if half else None),
                cell(half.records.get("openvino") if half else None),
            ]
        )
    headers = ["one call, batch " + str(batch), "threads", "tf.saved_model", "**savedmodel**", "ONNX Runtime"]
    headers += ["OpenVINO", "better peer/ours", "savedmodel bf16", "OpenVINO bf16"]
    return markdown(headers, table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.table", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=DATA)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    results = Results.read(options.file)
    if not results.latency:
        print(f"{options.file} is missing or empty; to make it: python -m benchmarks peers", file=sys.stderr)
        return 1
    print("\n".join(run_lines(results.used_runs())))
    print("\n" + readme(results, options.batch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
