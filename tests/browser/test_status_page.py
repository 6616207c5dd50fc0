"""The status page: an admin sees who is on and what goes on; nobody else does."""

import re
import time
from typing import Final

from playwright.sync_api import Locator, Page, expect

from .conftest import ADMIN, NewWindow, Picture
from .hub import Hub, Person, fill_login, log_in

FIGURES_SECONDS: Final = 240
"""Patience until Prometheus, which looks every 15 s, has seen a new server often enough to tell what it uses."""

USE: Final = re.compile(r"\d.* MiB of 2\.0 GiB.*\d of 2\b", re.DOTALL)
"""Memory and processors, against the limits that berths have by themselves."""


def test_an_admin_sees_who_is_on(hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture) -> None:
    """Grace finds the page from the hub's navigation, and on it two people who work."""
    on = ("dave", "erin")
    for name in on:
        log_in(new_window(name), hub, people[name], "/lab")

    window = _at_home(new_window(ADMIN), hub, people[ADMIN])
    _link(window).click()
    expect(window).to_have_url(f"{hub.url}/hub/status")
    _look_until(window, [window.locator(f'#servers tr[data-user="{name}"]') for name in on])
    # Whether the machine is short of something, or a start was too slow for it, is not what this is about.
    expect(window.locator("#all-well, [data-alert]").first).to_be_visible()
    expect(window.locator("#no-failures, #failures")).to_be_visible()
    for figure in ("Memory", "Load", "Disk of /srv/berth/homes", "Certificate", "Starts, last day"):
        expect(window.locator("#host th", has_text=figure)).to_have_count(1)
    for span in ("day", "week"):
        expect(window.locator(f'[data-span="{span}"] figure svg[role="img"]')).to_have_count(6)
    window.set_viewport_size({"width": 1200, "height": 1400})
    picture(window, "status-page")


def test_nobody_else_gets_to_it(hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture) -> None:
    """Frank has no link to the page, and is refused at its address; who is not logged in is asked to."""
    window = new_window("frank")
    window.goto(f"{hub.url}/hub/status")
    expect(window.locator("#login_submit")).to_be_visible()
    expect(window.locator("#status-page")).to_have_count(0)

    _at_home(window, hub, people["frank"])
    expect(window.get_by_role("link", name="Token", exact=True)).to_be_visible()
    expect(_link(window)).to_have_count(0)
    answer = window.goto(f"{hub.url}/hub/status")
    assert answer is not None
    assert answer.status == 403
    expect(window.locator("#status-page")).to_have_count(0)
    picture(window, "status-page-refused")


def _at_home(window: Page, hub: Hub, person: Person) -> Page:
    """Log in and stay on the hub's own pages."""
    window.goto(f"{hub.url}/hub/login?next=/hub/home")
    fill_login(window, person.name, person.password)
    expect(window.locator("#logout")).to_be_visible()
    return window


def _link(window: Page) -> Locator:
    return window.locator("nav").get_by_role("link", name="Status", exact=True)


def _look_until(window: Page, rows: list[Locator]) -> None:
    """Look again, as the page offers it, until each row tells what the berth uses."""
    deadline = time.monotonic() + FIGURES_SECONDS
    while True:
        expect(window.locator("#status-page")).to_be_visible()
        said = [" ".join(row.all_inner_texts()) for row in rows]
        if all(USE.search(text) for text in said):
            return
        assert time.monotonic() < deadline, f"no figures after {FIGURES_SECONDS} s: {said}"
        time.sleep(2)
        with window.expect_navigation():
            window.get_by_role("link", name="Look again").click()
