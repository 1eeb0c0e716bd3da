"""Where results are written: tables and plots in the repository, what they are made of beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def data_file(stem: Path) -> Path:
    """The JSON file that belongs to FOLDER/NAME.md. git ignores its folder."""
    return stem.parent / "data" / f"{stem.name}.json"


def write_results(stem: Path, text: str, data: dict[str, Any]) -> str:
    """Write FOLDER/NAME.md, and the data. Returns the names of the files."""
    file = data_file(stem)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    table = stem.with_suffix(".md")
    table.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    return f"{table}, {file}"
