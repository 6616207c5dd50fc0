"""The shared notebooks as files: what every home receives has to be valid, unrun, and mergeable cell by cell."""

import json
from pathlib import Path

import nbformat
import pytest

from .hub import NOTEBOOKS


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("**/*.ipynb")), ids=lambda path: path.name)
def test_is_valid_and_carries_no_results(path: Path) -> None:
    """A valid notebook of format 4.5, where every cell has an id, and nobody's outputs are handed to everybody."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
