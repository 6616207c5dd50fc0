"""A link to a shared notebook, as a teacher sends it around: whoever follows it lands in their own copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import NOTEBOOKS, Hub, Person, fill_login
from .test_edits_survive import change

AWKWARD: Final = "chapter two/größe? 100% #1.ipynb"
"""A name with what addresses give a meaning to."""


@pytest.fixture
def edition(hub: Hub, tmp_path: Path) -> Iterator[Path]:
    """A copy of the shared notebooks with one more, to change and publish; afterwards the hub's own are published."""
    folder = tmp_path / "edition"
    shutil.copytree(NOTEBOOKS, folder)
    (folder / AWKWARD).parent.mkdir()
    shutil.copy(NOTEBOOKS / "hello.ipynb", folder / AWKWARD)
    yield folder
    hub.publish()


def test_a_link_leads_through_login_to_ones_own_copy_in_its_newest_edition(
    hub: Hub, people: dict[str, Person], edition: Path, new_window: NewWindow, picture: Picture
) -> None:
    """Erin, not logged in, follows a link: login, server, notebook. A later edition comes with the next click."""
    erin, window = people["erin"], new_window("erin")
    hub.publish(edition)
    link = hub.links(AWKWARD)["lab"]

    window.goto(link)
    expect(window.locator("#login_submit")).to_be_visible()
    picture(window, "link-login")
    fill_login(window, erin.name, erin.password)
    lab.wait_until_ready(window, "größe? 100% #1.ipynb")
    assert window.url.startswith(hub.server(erin, "/lab/tree/notebooks/"))
    expect(window.get_by_role("heading", name="Hello")).to_be_visible()
    picture(window, "link-notebook")

    change(edition / AWKWARD, "# Hello", "# Good morning")
    hub.publish(edition)
    window.goto(link)
    lab.wait_until_ready(window, "größe? 100% #1.ipynb")
    expect(window.get_by_role("heading", name="Good morning")).to_be_visible()


def test_a_link_opens_notebook_7(hub: Hub, people: dict[str, Person], new_window: NewWindow) -> None:
    """The same, for those who want no more than the one notebook on their screen."""
    window = new_window("erin")
    window.goto(hub.links("why-a-hub.ipynb")["notebook"])
    fill_login(window, people["erin"].name, people["erin"].password)
    lab.wait_until_ready(window, "why-a-hub.ipynb")
    assert "/notebooks/notebooks/why-a-hub.ipynb" in window.url


def test_a_link_to_what_is_not_published_says_so(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """A name misspelt is told by name, on the person's own server."""
    window = new_window("erin")
    window.goto(hub.links("hello.ipynb")["lab"].replace("hello", "hullo"))
    fill_login(window, people["erin"].name, people["erin"].password)
    expect(window.get_by_text('There is no shared notebook "hullo.ipynb".')).to_be_visible()
    picture(window, "link-to-nothing")
