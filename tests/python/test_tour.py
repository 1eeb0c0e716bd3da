"""The notebook `examples/tour.ipynb`, from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tour.ipynb"


def test_the_tour(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    written = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs for cell in written), "it is committed without outputs"
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in written for output in cell.outputs]
    shown = "".join(output.get("text", "") for output in outputs)
    assert shown.count("accuracy 0.9") == 2, "float32 and int8"
    assert "signature 'serving_default': sequential executor" in shown
    assert "version 1\nversion 2 gives " in shown
    assert "297 results" in shown
    assert "tensorflow imported: False" in shown
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"text/html", "image/png"} <= kinds
