"""Sleep: whoever comes back to an idle server finds it where it was, and may stop it for good."""

from typing import Final

from playwright.sync_api import Page, expect

from . import lab
from .conftest import ADMIN, NewWindow, Picture
from .hub import Hub, Person, fill_login, log_in

NAME: Final = "kim"


def test_who_comes_back_finds_the_kernel(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Kim's notebook goes on after a sleep; Grace sees on the status page that Kim sleeps."""
    notebook = "/lab/tree/notebooks/hello.ipynb"
    window = new_window(NAME)
    log_in(window, hub, people[NAME], "/lab")
    lab.reopen_until(window, hub.server(people[NAME], notebook), "Hello")
    lab.run(window, "count = 41")
    lab.save(window)

    grace = new_window(ADMIN)
    grace.goto(f"{hub.url}/hub/login?next=/hub/home")
    fill_login(grace, ADMIN, people[ADMIN].password)
    _put_to_sleep(grace)
    grace.goto(f"{hub.url}/hub/status")
    expect(grace.locator(f'#sleepers tr[data-user="{NAME}"]')).to_be_visible()
    expect(grace.locator(f'#servers tr[data-user="{NAME}"]')).to_have_count(0)

    lab.open_notebook(window, hub.server(people[NAME], notebook))
    expect(lab.run(window, "print(count + 1)").last).to_have_text("42")

    _put_to_sleep(grace)
    window.goto(f"{hub.url}/hub/home")
    expect(window.locator("#asleep")).to_contain_text("sleeps since")
    picture(window, "asleep")
    window.get_by_role("button", name="Stop it for good").click()
    expect(window.locator("#asleep")).to_have_count(0)
    expect(window.locator("#start")).to_have_text("Start My Server")


def _put_to_sleep(admin: Page) -> None:
    """As the hub's own service does, which waits for an hour before."""
    expect(admin.locator("#logout")).to_be_visible()
    answer = admin.evaluate(
        """async (name) => {
            const address = `${jhdata.base_url}api/berth/sleep/${name}?_xsrf=${jhdata.xsrf_token}`;
            return (await fetch(address, { method: "POST" })).status;
        }""",
        NAME,
    )
    assert answer in (202, 204)
