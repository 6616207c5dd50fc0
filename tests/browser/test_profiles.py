"""A hub with options: what is announced, its logo, and the choice between kinds of berths."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from .conftest import NewWindow, Picture
from .hub import CHECKOUT, Hub, Person, call, fill_login, wait_for_server

OPTIONS = {
    "jupyterhub_announcement": "Maintenance on Friday, see https://example.org/news",
    "jupyterhub_logo": str(CHECKOUT / "molecule" / "options" / "logo.svg"),
    "notebook_image_profiles": [
        {"name": "usual", "title": "Usual", "description": "For the course.", "default": True},
        {"name": "small", "title": "Small", "description": "For reading.", "memory": "512M", "cpus": 0.5},
    ],
}


@pytest.fixture
def with_options(hub: Hub) -> Iterator[None]:
    """Have the hub offer them, and take them back at the end."""
    if hub.inventory is not None:
        pytest.skip("changes the hub's configuration, which is the demo host's only")
    berth = str(CHECKOUT / "berth")
    call([berth, "up", "-t", "jupyterhub,proxy", "-e", json.dumps(OPTIONS)], hub.environment)
    yield
    call([berth, "up", "-t", "jupyterhub,proxy"], hub.environment)


@pytest.mark.usefixtures("with_options")
def test_a_profile_is_chosen_and_remembered(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Frank sees what is announced, chooses the small berth, and finds it chosen the next time."""
    frank = people["frank"]
    window = new_window("frank")
    window.goto(hub.url)
    expect(window.locator(".announcement a")).to_have_attribute("href", "https://example.org/news")
    expect(window.locator("#jupyterhub-logo img")).to_have_js_property("naturalWidth", 120)
    fill_login(window, frank.name, frank.password)

    profiles = window.locator("#berth-profiles")
    expect(profiles.locator("label")).to_have_count(2)
    expect(profiles.get_by_label("Usual")).to_be_checked()
    picture(window, "profiles")
    profiles.get_by_label("Small").check()
    window.locator("#spawn_form button[type=submit]").click()
    wait_for_server(window)

    window.goto(f"{hub.url}/hub/home")
    window.locator("#stop").click()
    expect(window.locator("#stop")).to_be_hidden()
    window.goto(f"{hub.url}/hub/spawn")
    expect(profiles.get_by_label("Small")).to_be_checked()
