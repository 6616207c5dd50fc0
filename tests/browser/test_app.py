"""A notebook as an app: for those who want to use it, and neither read nor change its code."""

from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Request, expect

from .conftest import NewWindow, Picture
from .hub import Hub, Person, fill_login, stop_server, wait_for_server

STARTED_MS: Final = 180_000
"""Patience for an app's first page: server, kernel and the notebook's cells come one after the other."""

FIELD: Final = ".widget-text input"

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

    field = window.locator(FIELD)
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


def test_the_address_of_an_app_works_after_its_server_was_stopped(
    hub: Hub, people: dict[str, Person], new_window: NewWindow
) -> None:
    """Dave has kept the address from the address bar: a server that has shown no app yet shows this one."""
    dave, window = people["dave"], new_window("dave")
    kept = hub.server(dave, "/voila/render/notebooks/hello.ipynb")
    window.goto(kept)
    fill_login(window, dave.name, dave.password)
    wait_for_server(window, FIELD, STARTED_MS)

    stop_server(window, hub)
    window.goto(kept)
    wait_for_server(window, FIELD, STARTED_MS)
    field = window.locator(FIELD)
    expect(field).to_have_value("Hello World ", timeout=STARTED_MS)
    assert urlsplit(window.url).path == urlsplit(kept).path
    field.fill("Hello again")
    expect(window.locator(".jp-OutputArea-output", has_text="'Hello again'").last).to_be_visible()
