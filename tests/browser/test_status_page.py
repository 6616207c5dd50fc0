"""The status page: an admin sees who is on, what they use and the plots; a user is refused."""

import re
import secrets

from playwright.sync_api import expect

from .conftest import NewWindow, Picture
from .hub import Hub, Person, fill_login, log_in

FIGURES_MS = 180_000
"""Until Prometheus has looked at the new servers a few times, on a machine that is busy."""


def test_an_admin_sees_who_is_on(hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture) -> None:
    for name in ("carol", "dave"):
        log_in(new_window(name), hub, people[name], "/lab")

    admin = Person("grace", secrets.token_urlsafe(12))
    hub.add_users([admin], admin=True)
    window = new_window("grace")
    window.goto(f"{hub.url}/hub/status")
    fill_login(window, admin.name, admin.password)
    expect(window.locator("#status-page")).to_be_visible()

    for name in ("carol", "dave"):
        row = window.locator(f'#servers tr[data-user="{name}"]')
        expect(row).to_be_visible()
        for _ in range(FIGURES_MS // 5000):
            if re.search(r"MiB of .*\d of \d", row.inner_text()):
                break
            window.wait_for_timeout(5000)
            window.reload()
        expect(row).to_contain_text(re.compile(r"MiB of \d"))
        expect(row.locator("meter")).to_have_count(2)
    for span in ("day", "week"):
        expect(window.locator(f'[data-span="{span}"] figure')).to_have_count(6)
    expect(window.locator("#host")).to_contain_text("days left")
    expect(window.locator("nav")).to_contain_text("Status")
    window.set_viewport_size({"width": 1200, "height": 1400})
    picture(window, "status-page")
    hub.remove_users({admin.name})


def test_a_user_is_refused(hub: Hub, people: dict[str, Person], new_window: NewWindow) -> None:
    window = new_window("carol")
    window.goto(f"{hub.url}/hub/status")
    fill_login(window, people["carol"].name, people["carol"].password)
    expect(window.locator("body")).to_contain_text("403")
    expect(window.locator("#status-page")).to_have_count(0)
    window.goto(f"{hub.url}/hub/token")
    expect(window.get_by_role("link", name="Status", exact=True)).to_have_count(0)
