"""From the click that logs in to the first cell's output, by the clock; docs/performance.md tells what it was."""

import time
from collections.abc import Callable
from typing import Final

from playwright.sync_api import Page, expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import JUPYTER, Hub, Person, fill_login

_NOTEBOOK: Final = '.jp-LauncherCard[data-category="Notebook"]'


def seconds_to_first_cell(page: Page, hub_url: str, name: str, password: str) -> dict[str, float]:
    """Log in, have a server started, open a new notebook from the launcher, and run a cell, as fast as a script can.

    Nothing in it is Berth's own, so that another hub can be measured in the same way.

    Returns:
        Seconds from the click on, by what could be seen by then.
    """
    page.goto(f"{hub_url}/")
    expect(page.locator("#login_submit")).to_be_visible()
    found: dict[str, float] = {}
    began = time.monotonic()
    fill_login(page, name, password)
    expect(page.locator(JUPYTER).first).to_be_visible()
    found["JupyterLab's page"] = time.monotonic() - began
    page.locator(_NOTEBOOK).first.click()
    lab.wait_until_ready(page, "Untitled.ipynb")
    found["a notebook with a kernel"] = time.monotonic() - began
    expect(lab.run(page, "6 * 7")).to_have_text("42")
    found["the first cell's output"] = time.monotonic() - began
    return {what: round(seconds, 3) for what, seconds in found.items()}


def test_from_the_click_to_the_first_cells_output(
    hub: Hub,
    people: dict[str, Person],
    new_window: NewWindow,
    picture: Picture,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """Laura has never been there; no click but those that anybody makes. The seconds go into the results' XML."""
    laura, window = people["laura"], new_window("laura")
    for what, seconds in seconds_to_first_cell(window, hub.url, laura.name, laura.password).items():
        record_testsuite_property(f"seconds to {what}", seconds)
    picture(window, "first-cell")
