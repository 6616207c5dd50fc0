"""The first minutes of a new user: log in, find the notebooks, run the first cell."""

from playwright.sync_api import expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import Hub, Person, fill_login, log_in, wait_for_server


def test_from_login_to_the_first_output(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Erin knows the hub's address, her name and her password, and has never seen Jupyter."""
    window = new_window("erin")
    window.goto(hub.url)
    expect(window.locator("#login_submit")).to_be_visible()
    picture(window, "login")

    fill_login(window, people["erin"].name, people["erin"].password)
    wait_for_server(window)
    lab.open_listed(window, "notebooks", "hello.ipynb")
    lab.wait_until_ready(window, "hello.ipynb")

    cell = lab.code_cells(window).first
    cell.locator(".cm-content").click()
    window.keyboard.press("Shift+Enter")
    expect(lab.said(window)).to_have_text("'Hello World '")
    lab.say(window, "Good morning")
    expect(lab.said(window)).to_have_text("'Good morning'")
    expect(lab.failures(window)).to_have_count(0)
    picture(window, "first-output")


def test_notebook_7_opens_too(hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture) -> None:
    """Whoever prefers one page for each notebook finds the files at /tree, and opens them from there."""
    window = new_window("erin")
    log_in(window, hub, people["erin"], "/tree")
    lab.open_listed(window, "notebooks")
    with window.expect_popup() as popup:
        lab.open_listed(window, "why-a-hub.ipynb")
    notebook = popup.value
    lab.wait_until_ready(notebook, "why-a-hub.ipynb")
    lab.run_all(notebook)
    expect(lab.failures(notebook)).to_have_count(0)
    who = lab.output_of(lab.code_cells(notebook).first)
    expect(who).to_contain_text("erin")
    expect(who).to_contain_text("yours alone")
    picture(notebook, "notebook-7")
