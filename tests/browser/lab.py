"""Drives JupyterLab and Notebook 7 as a person does: with menus, clicks and keys.

Every function waits for what a person would wait for (a text on the page, a kernel that has come to rest), never for
a fixed time. What does not happen within Playwright's time-out (`TIMEOUT_MS`, set for every page by the `new_window`
fixture) is reported as an `AssertionError` or a Playwright `TimeoutError` that names the element waited for.
"""

import re
import time
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

TIMEOUT_MS: Final = 60_000
"""Patience for one step, in milliseconds: a busy machine with two cores needs several seconds to start a kernel."""

# Several notebooks may be open in tabs; the one in front is the one that is not hidden.
_PANEL: Final = ".jp-NotebookPanel:not(.lm-mod-hidden)"
# Before a kernel is asked for, the indicator says "idle", too, and running a cell does silently nothing.
_AT_REST: Final = (
    f"{_PANEL}:has(.jp-Toolbar-kernelName:not([aria-label='No Kernel']))"
    " .jp-Notebook-ExecutionIndicator[data-status='idle']"
)
_FINISHED: Final = re.compile(r"^\[\d+\]:$")
_FAILURES: Final = ", ".join(
    f'{_PANEL} .jp-Cell-outputArea [data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr")
)


def answer_questions(page: Page) -> None:
    """Answer what Jupyter asks by itself, whenever it does: news (no), which kernel (the one proposed).

    Other dialogs stay for the test to see: a file that changed on disk is something that a person has to decide.
    """
    news = page.locator(".jp-toastContainer").get_by_role("button", name="No", exact=True)
    page.add_locator_handler(news, lambda button: button.click())
    kernel = page.locator(".jp-Dialog", has_text="Select Kernel")
    page.add_locator_handler(kernel, lambda dialog: dialog.locator(".jp-mod-accept").click())


def wait_until_ready(page: Page, name: str) -> None:
    """Wait until the notebook of that file name is in front and its kernel is idle.

    JupyterLab first shows the tab that was in front the last time, so the name matters. What shows the kernel's state
    leaves the tool bar when the window is narrower than about 1,050 pixels.
    """
    tab_of_lab = page.locator(".lm-TabBar-tab.jp-mod-current", has_text=name)
    title_of_notebook_7 = page.locator("#jp-title", has_text=name.removesuffix(".ipynb"))
    expect(tab_of_lab.or_(title_of_notebook_7)).to_be_visible()
    expect(page.locator(f"{_PANEL} .jp-Cell").first).to_be_visible()
    expect(page.locator(_AT_REST)).to_be_visible()


def open_notebook(page: Page, url: str) -> None:
    """Go straight to a notebook's address, in JupyterLab (`/lab/tree/...`) or Notebook 7 (`/notebooks/...`)."""
    page.goto(url)
    wait_until_ready(page, PurePosixPath(urlsplit(url).path).name)


def reopen_until(page: Page, url: str, text: str) -> None:
    """Open a notebook, again and again, until it shows a text: what is delivered while the server starts comes later.

    Raises AssertionError when it does not come within `TIMEOUT_MS`.
    """
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    open_notebook(page, url)
    while page.locator(_PANEL, has_text=text).count() == 0:
        assert time.monotonic() < deadline, f"{url} still does not show {text!r} after {TIMEOUT_MS / 1000:.0f} s"
        open_notebook(page, url)


def open_listed(page: Page, *names: str) -> None:
    """Double-click through the list of files: folders first, the file last."""
    for name in names:
        page.locator(".jp-DirListing-item", has_text=name).dblclick()


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose an entry of the menu bar by the labels that a person reads."""
    page.locator(f'.lm-MenuBar-item:has(.lm-MenuBar-itemLabel:text-is("{menu}"))').click()
    page.locator(f'.lm-Menu-itemLabel:text-is("{entry}")').click()


def code_cells(page: Page) -> Locator:
    """Find all code cells of the notebook, in order."""
    return page.locator(f"{_PANEL} .jp-CodeCell")


def run_all(page: Page) -> None:
    """Run the notebook from top to bottom, and wait until the last cell has finished.

    Outputs of earlier runs are cleared first: a number that a cell already carries would look like the end.
    """
    choose(page, "Edit", "Clear Outputs of All Cells")
    choose(page, "Run", "Run All Cells")
    for cell in code_cells(page).all():
        _wait_until_finished(page, cell)


def run(page: Page, source: str) -> Locator:
    """Add a code cell at the end, run it, wait until it has finished, and find its outputs."""
    cells = code_cells(page)
    position = cells.count()
    page.locator(f"{_PANEL} .jp-Notebook-footer").click()
    cell = cells.nth(position)
    write(cell, source)
    cell.locator(".cm-content").press("Control+Enter")
    _wait_until_finished(page, cell)
    return output_of(cell)


def write(cell: Locator, source: str) -> None:
    """Replace what is written in a code cell."""
    cell.locator(".cm-content").fill(source)


def output_of(cell: Locator) -> Locator:
    """Find what a code cell printed, returned or displayed; Jupyter may draw it a moment after the cell is done."""
    return cell.locator(".jp-Cell-outputArea > .jp-OutputArea-child > .jp-OutputArea-output")


def failures(page: Page) -> Locator:
    """Find every error and every output on standard error that the notebook's cells show."""
    return page.locator(_FAILURES)


def say(page: Page, text: str) -> None:
    """Type into the text field that `interact` made in hello.ipynb."""
    page.locator(f"{_PANEL} .widget-text input").fill(text)


def said(page: Page) -> Locator:
    """Find what hello.ipynb answers, as Python shows text: in quotes."""
    return page.locator(f"{_PANEL} .widget-output .jp-OutputArea-output")


def save(page: Page) -> None:
    """Save the notebook in JupyterLab, and wait until it is no longer marked as changed."""
    press_save(page)
    expect(page.locator(".lm-TabBar-tab.jp-mod-current:not(.jp-mod-dirty)", has_text=".ipynb")).to_be_visible()


def press_save(page: Page) -> None:
    """Press the button in the notebook's tool bar, whatever comes of it."""
    page.locator(f'{_PANEL} .jp-NotebookPanel-toolbar [data-command="docmanager:save"]').click()


def _wait_until_finished(page: Page, cell: Locator) -> None:
    """Wait for the number that a cell then carries, and for the kernel, which sends outputs before it comes to rest."""
    expect(cell.locator(".jp-InputPrompt")).to_have_text(_FINISHED)
    expect(page.locator(_AT_REST)).to_be_visible()
