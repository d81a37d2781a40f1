"""The notebooks in ``examples/`` run from top to bottom in a fresh clone."""

import os
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from support.freqtrade import CONFIG, ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

pytestmark = pytest.mark.freqtrade


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the notebooks find in a clone, and Jupyter's own files in it."""
    shutil.copy(CONFIG, tmp_path)
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    (tmp_path / "examples").mkdir()
    return tmp_path


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebook_runs_from_top_to_bottom(file: Path, clone: Path) -> None:
    """A cell that raises fails here, as do the comparisons in its cells."""
    notebook = nbformat.read(file, as_version=4)
    folder = {"metadata": {"path": str(clone / "examples")}}
    NotebookClient(notebook, resources=folder, startup_timeout=600).execute()
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert figures


def test_notebooks_are_stored_without_outputs() -> None:
    """Stored outputs would be those of an older version."""
    assert NOTEBOOKS
    for file in NOTEBOOKS:
        for cell in nbformat.read(file, as_version=4).cells:
            assert not cell.get("outputs"), file.name
            assert cell.get("execution_count") is None, file.name
