"""Somebody without an account asks for one, an admin approves it, and they are in."""

from playwright.sync_api import Page, expect

from .conftest import ADMIN, GUEST, NewWindow, Picture
from .hub import Hub, Person, fill_login

GINA = Person(GUEST, "gina-has-a-password-of-her-own")


def test_who_signs_up_is_let_in_by_an_admin(
    hub_with_options: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    hub, window = hub_with_options, new_window("gina")
    window.goto(f"{hub.url}/hub/login")
    window.locator("#signup_link").click()
    _ask(window, GINA)
    picture(window, "signup")
    window.locator("#ask").click()
    expect(window.locator("#done")).to_contain_text("Once an administrator has approved it")
    assert hub.waiting() == {GINA.name}
    window.goto(f"{hub.url}/hub/login")
    fill_login(window, GINA.name, GINA.password)
    expect(window.locator(".login_error")).not_to_be_empty()

    admin = new_window("admin")
    admin.goto(f"{hub.url}/hub/login?next=/hub/people")
    fill_login(admin, people[ADMIN].name, people[ADMIN].password)
    expect(admin.locator("#waiting")).to_contain_text("Gina G., second row")
    picture(admin, "people-waiting")
    admin.get_by_role("button", name="Approve gina").click()
    expect(admin.locator("#done")).to_have_text("gina can log in now.")
    expect(admin.locator("#accounts")).to_contain_text(GINA.name)

    window.goto(f"{hub.url}/hub/login?next=/hub/home")
    fill_login(window, GINA.name, GINA.password)
    expect(window.locator("#login_widget")).to_contain_text(GINA.name)


def _ask(window: Page, person: Person) -> None:
    window.locator("#username").fill(person.name)
    window.locator("#password").fill(person.password)
    window.locator("#password_confirmation").fill(person.password)
    window.locator("#note").fill("Gina G., second row")
