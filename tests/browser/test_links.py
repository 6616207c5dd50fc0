"""A link to a shared notebook, as a teacher sends it around: whoever follows it lands in their own copy."""

import shutil
from pathlib import Path
from typing import Final

from playwright.sync_api import expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import NOTEBOOKS, Hub, Person, fill_login

AWKWARD: Final = "chapter two/größe? 100% #1.ipynb"
"""A name with what addresses give a meaning to."""


def test_a_link_leads_through_login_to_ones_own_copy(
    hub: Hub, people: dict[str, Person], edition: Path, new_window: NewWindow, picture: Picture
) -> None:
    """Erin, not logged in, follows a link: login, server, notebook."""
    erin, window = people["erin"], new_window("erin")
    (edition / AWKWARD).parent.mkdir()
    shutil.copy(NOTEBOOKS / "hello.ipynb", edition / AWKWARD)
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
