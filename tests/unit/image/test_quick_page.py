"""JupyterLab's page as it is pinned, and as others may be: no wait before the launcher, or nothing changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.scripts import load

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "notebook_image" / "files" / "quick_page.py"
quick_page = load(SCRIPT)

PLACE = "if(l===a){return r}await _.invoke()}}),a.addCommand(h.reset,{label:1})"
"""As the minifier leaves it; `_`, `a` and `h` are its names of today."""


def test_jupyterlab_as_it_is_pinned_has_the_one_place(tmp_path: Path) -> None:
    """After a refresh of the pins: look whether JupyterLab still waits; if not, this program can go."""
    (static,) = Path(sys.prefix, "share", "jupyter", "lab", "static").glob("jlab_core.*.js")
    copy = tmp_path / static.name
    shutil.copy(static, copy)
    done = subprocess.run([sys.executable, "-I", SCRIPT, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == f"JupyterLab's page no longer waits for its workspace to be saved ({static.name})\n"
    before, after = static.read_bytes(), copy.read_bytes()
    assert len(before) == len(after) + 1
    assert before.count(b"await ") == after.count(b"await ") + 1
    assert before.count(b"void ") == after.count(b"void ") - 1
    assert "left as it is: 0 places in 1 files" in quick_page.main(tmp_path), "once is enough"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "0 places in 0 files"),
        ({"jlab_core.1.js": "another JupyterLab"}, "0 places in 1 files"),
        ({"jlab_core.1.js": PLACE + PLACE}, "2 places in 1 files"),
        ({"jlab_core.1.js": PLACE, "jlab_core.2.js": PLACE}, "2 places in 2 files"),
        ({"other.1.js": PLACE}, "0 places in 0 files"),
    ],
)
def test_another_jupyterlab_is_left_as_it_is(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert quick_page.main(tmp_path) == f"JupyterLab's page is left as it is: {said}"
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == files


def test_other_names_of_the_minifier_are_followed(tmp_path: Path) -> None:
    file = tmp_path / "jlab_core.1.js"
    file.write_text(PLACE.replace("_.", "$e.").replace("a.add", "Q2.add").replace("h.", "i."), encoding="utf-8")
    assert "no longer waits" in quick_page.main(tmp_path)
    assert file.read_text(encoding="utf-8") == "if(l===a){return r}void $e.invoke()}}),Q2.addCommand(i.reset,{label:1})"
