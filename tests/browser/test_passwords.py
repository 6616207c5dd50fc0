"""A user changes their own password, in the middle of work."""

from playwright.sync_api import Page, expect

from .conftest import NewWindow, Picture
from .hub import Hub, Person, fill_login, log_in

NEW = "something-else-that-is-long-enough"


def test_a_user_changes_the_password_and_works_on(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """The window that changed it goes on, with the server that ran; every other one has to log in anew.

    Nobody else's test logs in as Judy: the password stays changed.
    """
    person = people["judy"]
    window, elsewhere = new_window("judy"), new_window("judy-elsewhere")
    log_in(window, hub, person, "/lab")
    elsewhere.goto(f"{hub.url}/hub/login?next=/hub/home")
    fill_login(elsewhere, person.name, person.password)
    expect(elsewhere.locator("#logout")).to_be_visible()
    window.goto(f"{hub.url}/hub/home")
    window.get_by_role("link", name="Change Password").click()
    window.locator("#old_password").fill("not the old one")
    _choose(window, NEW)
    expect(window.locator("#problem")).to_have_text("The old password is wrong.")
    window.locator("#old_password").fill(person.password)
    expect(window.locator("#rules")).to_contain_text("characters")
    picture(window, "change-password")
    _choose(window, NEW)
    expect(window.locator("#done")).to_contain_text("The password is changed.")

    window.goto(hub.server(person, "/tree"))
    expect(window.locator(".jp-DirListing").first).to_be_visible()
    elsewhere.goto(f"{hub.url}/hub/home")
    expect(elsewhere.locator("#login_submit")).to_be_visible()
    fill_login(elsewhere, person.name, NEW)
    expect(elsewhere.locator("#logout")).to_be_visible()


def _choose(window: Page, password: str) -> None:
    window.locator("#new_password").fill(password)
    window.locator("#new_password_confirmation").fill(password)
    window.locator("#change").click()
