"""Profiles: whoever has a choice is asked on the start page, and gets what was chosen; groups have their own."""

from typing import Final

from playwright.sync_api import Locator, Page, expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import Hub, Person, fill_login, stop_server, wait_for_server

LIMITS: Final = """
from pathlib import Path

def read(*names):
    return next(path.read_text() for name in names if (path := Path("/sys/fs/cgroup", name)).exists()).split()

memory = read("memory.max", "memory/memory.limit_in_bytes")[0]
processors = read("cpu.max", "cpu/cpu.cfs_quota_us")[0]
print(memory, processors)
"""
"""What the kernel holds a berth to, asked from within, with control groups of either version."""


def test_a_member_gets_the_profile_of_the_group(
    hub_with_options: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Heidi, who is staff, chooses the large berth, is held to its limits, and finds it chosen the next time."""
    hub, heidi, window = hub_with_options, people["heidi"], new_window("heidi")
    window.goto(hub.url)
    fill_login(window, heidi.name, heidi.password)

    expect(_offered(window)).to_have_text(["Usual", "Small", "Large"])
    expect(window.get_by_role("radio", name="Usual")).to_be_checked()
    window.get_by_role("radio", name="Large").check()
    expect(window.locator("#berth-profiles label", has_text="Large")).to_contain_text("3 GB memory, 1.5 processors")
    window.locator("#spawn_form").get_by_role("button", name="Start").click()
    wait_for_server(window)

    lab.open_notebook(window, hub.server(heidi, "/lab/tree/notebooks/hello.ipynb"))
    expect(lab.run(window, LIMITS)).to_have_text(f"{3 * 1024**3} 150000")

    stop_server(window, hub)
    window.goto(f"{hub.url}/hub/spawn")
    expect(window.get_by_role("radio", name="Large")).to_be_checked()
    window.set_viewport_size({"width": 1200, "height": 500})
    picture(window, "profiles")


def test_nobody_else_sees_or_gets_it(
    hub_with_options: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Ivan, who is in no group, is offered the others; a link that asks for the large one starts nothing."""
    hub, ivan, window = hub_with_options, people["ivan"], new_window("ivan")
    window.goto(hub.url)
    fill_login(window, ivan.name, ivan.password)
    expect(_offered(window)).to_have_text(["Usual", "Small"])

    window.goto(f"{hub.url}/hub/spawn?opt-profile=large")
    expect(window.locator("body")).to_contain_text('there is no profile "large" for you; yours are: usual, small')
    picture(window, "profile-refused")
    window.goto(f"{hub.url}/hub/home")
    expect(window.locator("#start")).to_contain_text("Start")
    expect(window.locator("#stop")).to_be_hidden()


def _offered(window: Page) -> Locator:
    return window.locator("#berth-profiles label strong")
