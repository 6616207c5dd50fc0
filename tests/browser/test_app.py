"""A notebook as an app: for those who want to use it, and neither read nor change its code."""

from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Request, expect

from .conftest import NewWindow, Picture
from .hub import Hub, Person, fill_login

STARTED_MS: Final = 180_000
"""Patience for an app's first page: server, kernel and the notebook's cells come one after the other."""

CODE: Final = ".jp-CodeCell .jp-InputArea, .cm-editor, .highlight"


def test_hello_works_as_an_app_without_code(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Dave follows the link, logs in, types, and is answered by a kernel of his own; all of it comes from the hub."""
    dave, window = people["dave"], new_window("dave")
    elsewhere: list[str] = []

    def look(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.netloc != urlsplit(hub.url).netloc:
            elsewhere.append(request.url)

    window.on("request", look)
    window.goto(hub.links("hello.ipynb")["app"])
    fill_login(window, dave.name, dave.password)

    field = window.locator(".widget-text input")
    expect(field).to_have_value("Hello World ", timeout=STARTED_MS)
    assert window.url.startswith(hub.server(dave, "/voila/render/notebooks/hello.ipynb"))
    expect(window.get_by_role("heading", name="Hello")).to_be_visible()
    field.fill("Hello Dave")
    expect(window.locator(".jp-OutputArea-output", has_text="'Hello Dave'").last).to_be_visible()
    picture(window, "dave-app")

    expect(window.locator(CODE)).to_have_count(0)
    source = window.content()
    assert "interact(" not in source
    assert "Shift" not in source, "what only makes sense in a notebook is left out"
    assert elsewhere == []


def test_an_address_of_an_app_works_after_the_server_was_stopped(
    hub: Hub, people: dict[str, Person], new_window: NewWindow
) -> None:
    """Voila is loaded when it is first asked for, whichever of its pages that is."""
    dave, window = people["dave"], new_window("dave")
    window.goto(hub.links("hello.ipynb")["app"])
    fill_login(window, dave.name, dave.password)
    expect(window.locator(".widget-text input")).to_be_visible(timeout=STARTED_MS)
    kept = window.url

    window.goto(f"{hub.url}/hub/home")
    window.locator("#stop").click()
    expect(window.locator("#stop")).to_be_hidden()
    window.goto(f"{hub.url}/hub/spawn/{dave.name}?next={urlsplit(kept).path}")
    expect(window.locator(".widget-text input")).to_be_visible(timeout=STARTED_MS)
