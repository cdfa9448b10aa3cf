"""The notebook of the docs runs from its first cell to its last, and its frame is the report's rows."""

import contextlib
import json
import runpy
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import pandas as pd
import pytest

import prunelab
from prunelab.core.errors import Refusal

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder in which all cells ran, in this process, and the names that they left."""
    mpl.use("agg")
    folder = tmp_path_factory.mktemp("notebook")
    with contextlib.chdir(folder):
        cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
        script = Path("notebook.py")
        script.write_text("\n".join(cell.source for cell in cells))
        return folder, runpy.run_path(str(script))


def test_it_is_a_notebook_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs")]


def test_it_runs_and_leaves_a_report(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, names = ran
    assert (folder / "report" / "report.html").is_file()
    assert list(names["outcomes"]) == ["Magnitude", "Random"]
    assert all(preview.stills for outcome in names["outcomes"].values() for preview in outcome.previews)


def test_a_frame_holds_the_rows(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = ran
    rows = json.loads((folder / "report" / "report.json").read_text())["rows"]
    frame = prunelab.read_report(folder / "report").frame()
    assert list(frame["address"]) == [row["address"] for row in rows]
    for number, row in enumerate(rows):
        line = frame.iloc[number]
        assert (line["state"], line["macs"]) == (row["state"], row["cost"]["macs"])
        assert line["removed parameters"] == row["sparsity"]["parameters"]
        for name, estimate in row["metrics"].items():
            for end, side in {"": "value", " low": "low", " high": "high"}.items():
                held = line[f"{name}{end}"]
                assert pd.isna(held) if estimate[side] is None else held == estimate[side]
    assert prunelab.read_report(folder / "report" / "report.json").rows == rows


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="give the folder of a run"):
        prunelab.read_report(tmp_path)
