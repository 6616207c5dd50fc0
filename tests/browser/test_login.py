"""Who gets in, who does not, and what those see who do not."""

import time

from playwright.sync_api import Page, expect

from .conftest import NewWindow, Picture
from .hub import Hub, Person, fill_login, log_in, log_out


def _refusal(page: Page, hub: Hub, name: str, password: str) -> str:
    """Try to log in in vain, and return what the page says."""
    page.goto(f"{hub.url}/hub/login")
    fill_login(page, name, password)
    message = page.locator(".login_error")
    expect(message).not_to_be_empty()
    expect(page.locator("#login_submit")).to_be_visible()
    return message.inner_text().strip()


def test_a_wrong_password_and_an_unknown_user_are_told_the_same(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Nobody finds out by trying which names have a login."""
    window = new_window("frank")
    wrong_password = _refusal(window, hub, people["frank"].name, "not the password of frank")
    picture(window, "login-wrong-password")
    unknown_user = _refusal(window, hub, "nobody-of-that-name", "not the password of frank")
    picture(window, "login-unknown-user")
    assert wrong_password == unknown_user


def test_logging_out_ends_the_session(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """After it the browser is asked to log in again, and a copy of the old cookies is worth nothing.

    The hub refuses it at once; the server, which remembers for a while whom the hub has let in, within a minute.
    """
    window, thief = new_window("frank"), new_window("copy-of-frank")
    log_in(window, hub, people["frank"], "/lab")
    home, server = f"{hub.url}/hub/home", hub.server(people["frank"], "/api/status")
    thief.context.add_cookies(window.context.cookies())  # type: ignore[arg-type]  # what one returns, the other takes
    assert thief.request.get(server, max_redirects=0).status == 200
    assert thief.request.get(home, max_redirects=0).status == 200

    log_out(window, hub)
    picture(window, "logged-out")
    window.goto(home)
    expect(window.locator("#login_submit")).to_be_visible()

    thief.goto(home)
    expect(thief.locator("#login_submit")).to_be_visible()
    picture(thief, "logged-out-copy-of-cookies")
    deadline = time.monotonic() + 60
    while thief.request.get(server, max_redirects=0).status == 200:
        assert time.monotonic() < deadline, f"{server} still lets in a session that was logged out a minute ago"
        time.sleep(1)


def test_nobody_signs_up_by_themselves(hub: Hub, new_window: NewWindow, picture: Picture) -> None:
    """The login page offers no sign-up, and the page for it is not there."""
    window = new_window("stranger")
    window.goto(f"{hub.url}/hub/login")
    expect(window.locator("#login_submit")).to_be_visible()
    expect(window.locator('a[href*="signup"]')).to_have_count(0)
    answer = window.goto(f"{hub.url}/hub/signup")
    assert answer is not None
    assert answer.status == 404
    picture(window, "sign-up-closed")
