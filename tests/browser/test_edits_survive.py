"""Work is kept: over a stop of the server, and over new versions of the shared notebooks."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import Hub, Person, log_in, start_server, stop_server

HELLO = "/lab/tree/notebooks/hello.ipynb"
WHY_A_HUB = "/lab/tree/notebooks/why-a-hub.ipynb"


def test_an_edit_survives_a_stop_and_a_new_version_of_another_notebook(
    hub: Hub, people: dict[str, Person], edition: Path, new_window: NewWindow, picture: Picture
) -> None:
    """Carol edits one notebook and stops her server; another one is published anew: both are there when she is back."""
    carol, window = people["carol"], new_window("carol")
    _edit_hello(window, hub, carol, "'Carol was here'")

    stop_server(window, hub)
    picture(window, "carol-server-stopped")
    change(edition / "why-a-hub.ipynb", "# Why a hub?", "# Why a hub? (second edition)")
    hub.publish(edition)
    start_server(window, hub)

    lab.reopen_until(window, hub.server(carol, WHY_A_HUB), "(second edition)")
    lab.open_notebook(window, hub.server(carol, HELLO))
    expect(lab.code_cells(window).first).to_contain_text("'Carol was here'")
    picture(window, "carol-edit-survived")


def test_an_edit_wins_over_a_new_version_of_the_same_cell(
    hub: Hub, people: dict[str, Person], edition: Path, new_window: NewWindow, picture: Picture
) -> None:
    """Dave has rewritten the very cell that changes in the new version: his stays, what does not conflict arrives."""
    dave, window = people["dave"], new_window("dave")
    _edit_hello(window, hub, dave, "'Dave was here'")

    stop_server(window, hub)
    change(edition / "hello.ipynb", "Hello World ", "Hello everybody ")
    change(edition / "why-a-hub.ipynb", "# Why a hub?", "# Why a hub? (third edition)")
    hub.publish(edition)
    start_server(window, hub)

    # Arrived, so that the other change has had its chance, too.
    lab.reopen_until(window, hub.server(dave, WHY_A_HUB), "(third edition)")
    lab.open_notebook(window, hub.server(dave, HELLO))
    expect(lab.code_cells(window).first).to_contain_text("'Dave was here'")
    expect(lab.code_cells(window).first).not_to_contain_text("Hello everybody")
    picture(window, "dave-edit-won")


def change(path: Path, old: str, new: str) -> None:
    """Replace a text in a notebook's cells; fails when it is not there, as then nothing would be tested."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    sources = [cell["source"] for cell in notebook["cells"]]
    assert any(old in line for source in sources for line in source), f"{path} has no {old!r}"
    for cell in notebook["cells"]:
        cell["source"] = [line.replace(old, new) for line in cell["source"]]
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _edit_hello(page: Page, hub: Hub, person: Person, text: str) -> None:
    log_in(page, hub, person, HELLO)
    lab.wait_until_ready(page, "hello.ipynb")
    lab.write(lab.code_cells(page).first, text)
    lab.save(page)
