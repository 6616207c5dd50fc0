"""The browser, its windows and their pictures, and the hub that most tests need.

Environment:
    BERTH_URL, BERTH_INVENTORY  test this hub; otherwise a demo host is made, and removed at the end
    BERTH_KEEP=1                keep that demo host and the users made
    BERTH_SCREENSHOTS           where pictures go, relative to the checkout (`.berth/screenshots`)
"""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from . import lab
from .hub import CHECKOUT, NOTEBOOKS, Hub, Person, call

NewWindow = Callable[[str], Page]
Picture = Callable[[Page, str], None]

DEMO: Final = {
    "BERTH_DEMO_NAME": "berth-browser",
    "BERTH_DEMO_HTTPS_PORT": "9443",
    "BERTH_DEMO_HTTP_PORT": "9080",
}
"""A demo host apart from the one that a person may have up."""

INSTALLED: Final = "molecule/resources/vars/installed.yml"
"""With its packages from the first: how they come to a bare host is not what these tests are about."""

STAFF: Final = "browser-test-staff"
"""A group that a profile of `OPTIONS` is for."""

NAMES: Final = ("alice", "bob", "carol", "dave", "erin", "frank", "heidi", "ivan", "judy", "kim", "laura")

ADMIN: Final = "grace"

GUEST: Final = "gina"
"""Signs up by herself."""

OPTIONS: Final = {
    "jupyterhub_signup": "approval",
    "notebook_image_profiles": [
        {"name": "usual", "title": "Usual", "description": "For the course.", "default": True},
        {"name": "small", "title": "Small", "description": "To read and try.", "memory": "1G", "cpus": 1},
        {
            "name": "large",
            "title": "Large",
            "description": "For staff, who compute.",
            "memory": "3G",
            "cpus": 1.5,
            "groups": [STAFF],
        },
    ],
}
"""What the tests of options want different from a hub as it comes."""

CHROMIUM_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_FAILED: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember on the test whether any phase of it failed, for `new_window` to know when the test is over."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


_ORDER: Final = ("hub", "edition", "hub_with_options")
"""By what they ask for, tests are run in this order: what changes the hub need not be put back for others then."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first what needs no hub, or one as it comes, and last what changes it."""

    def place(item: pytest.Item) -> int:
        asked = getattr(item, "fixturenames", ())
        return max((number for number, name in enumerate(_ORDER, start=1) if name in asked), default=0)

    items.sort(key=place)


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Make the folder for pictures."""
    folder = CHECKOUT / os.environ.get("BERTH_SCREENSHOTS", ".berth/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium as the distribution packages it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium is not on PATH: the browser tests drive it; apt-get install chromium", pytrace=False)
    expect.set_options(timeout=lab.TIMEOUT_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def new_window(browser: Browser, screenshots: Path, request: pytest.FixtureRequest) -> Iterator[NewWindow]:
    """Open a window with cookies of its own, as on another person's computer; the name tells windows apart.

    When the test fails, each window's picture, page and console are kept as `failed-<test>-<window>.*`.
    """
    prefix = f"failed-{request.node.name}"
    for left_over in screenshots.glob(f"{prefix}-*"):
        left_over.unlink()
    windows: dict[str, tuple[BrowserContext, list[str]]] = {}

    def open_window(name: str) -> Page:
        context = browser.new_context(
            ignore_https_errors=True,  # the demo's certificate authority is its own; test_certificate.py verifies it
            viewport={"width": 1200, "height": 750},
            device_scale_factor=1.5,
        )
        context.set_default_timeout(lab.TIMEOUT_MS)
        console: list[str] = []

        def prepare(page: Page) -> None:
            page.on("console", lambda message: console.append(_as_line(message)))
            page.on("pageerror", lambda error: console.append(f"uncaught: {error}"))
            lab.answer_questions(page)

        context.on("page", prepare)
        windows[name] = (context, console)
        return context.new_page()

    yield open_window
    failed = request.node.stash.get(_FAILED, False)
    for name, (context, console) in windows.items():
        if failed:
            _keep(context, console, screenshots / f"{prefix}-{name}")
        context.close()


def _keep(context: BrowserContext, console: list[str], place: Path) -> None:
    """Keep what a window shows and has told, for whoever looks into the failure; its tabs are numbered."""
    place.with_suffix(".log").write_text("\n".join([*console, ""]), encoding="utf-8")
    for number, page in enumerate(context.pages, start=1):
        tab = place.with_name(f"{place.name}-{number}")
        tab.with_suffix(".html").write_text(f"<!-- {page.url} -->\n{page.content()}", encoding="utf-8")
        page.screenshot(path=tab.with_suffix(".png"))


def _as_line(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text} ({message.location['url']})"


@pytest.fixture
def picture(screenshots: Path) -> Picture:
    """Take a picture of a page, kept as `<name>.png`.

    Notifications are left out of it: they come and go by themselves, and pictures should not differ from run to run.
    """

    def take(page: Page, name: str) -> None:
        page.screenshot(path=screenshots / f"{name}.png", style=".jp-toastContainer { display: none }")

    return take


@pytest.fixture(scope="session")
def hub(screenshots: Path) -> Iterator[Hub]:
    """Find the hub named by BERTH_URL, or make a demo host for these tests."""
    if url := os.environ.get("BERTH_URL"):
        given = os.environ.get("BERTH_INVENTORY")
        inventory = None if given is None else (CHECKOUT / given).resolve()
        yield _find_hub(url, inventory, {})
        return
    berth = str(CHECKOUT / "berth")
    try:
        log = call([berth, "up", "--extra-vars", f"@{INSTALLED}"], DEMO)
        (screenshots / "berth-up.log").write_text(log, encoding="utf-8")
        yield _find_hub(None, None, DEMO)
    finally:
        if not _stays():
            call([berth, "down", "--yes"], DEMO)


def _stays() -> bool:
    """Whether the hub is there after the tests."""
    return "BERTH_URL" in os.environ or os.environ.get("BERTH_KEEP") == "1"


def _find_hub(url: str | None, inventory: Path | None, environment: dict[str, str]) -> Hub:
    """Ask `berth status` which host serves `url`; None takes the first host that reports."""
    arguments = [] if inventory is None else ["--inventory", str(inventory)]
    reports = json.loads(call([str(CHECKOUT / "berth"), "status", "--json", *arguments], environment))
    for host, report in reports.items():
        if url is None or urlsplit(url).netloc == urlsplit(report["url"]).netloc:
            return Hub((url or report["url"]).rstrip("/"), host, inventory, environment)
    served = ", ".join(report["url"] for report in reports.values()) or "nothing"
    where = inventory or "inventory/demo"
    raise RuntimeError(f"BERTH_URL={url}: hosts of {where} serve {served}; name its inventory in BERTH_INVENTORY")


@pytest.fixture(scope="session")
def people(hub: Hub) -> Iterator[dict[str, Person]]:
    """People with logins and fresh homes, by name. Each test module uses its own, so that none sees another's work.

    Whom the tests did not make they do not remove either, except on the demo host that is theirs.
    """
    everybody = {*NAMES, ADMIN}
    present = hub.user_names() & {*everybody, GUEST}
    if present and "BERTH_URL" in os.environ:
        pytest.fail(
            f"{hub.url} has users that the browser tests want to make: {', '.join(sorted(present))}. "
            "Test another hub, or remove them with their homes: ./berth users remove NAME --delete-home",
            pytrace=False,
        )
    if present:
        hub.remove_users(present)
    groups = {"heidi": (STAFF,)}
    made = {name: Person(name, secrets.token_urlsafe(12), groups.get(name, ()), name == ADMIN) for name in everybody}
    hub.add_users(made.values())
    yield made
    if "BERTH_URL" in os.environ and os.environ.get("BERTH_KEEP") != "1":
        hub.remove_users(hub.user_names() & {*everybody, GUEST})


@pytest.fixture(scope="session")
def hub_with_options(hub: Hub) -> Iterator[Hub]:
    """Have the hub offer `OPTIONS`; it gets back what its inventory says, unless it is removed anyway."""
    hub.converge(OPTIONS)
    yield hub
    if _stays():
        hub.converge({})


@pytest.fixture(scope="session")
def edition(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the shared notebooks to change and publish; the hub's own are published at the end, if it stays."""
    folder = tmp_path_factory.mktemp("edition") / "notebooks"
    shutil.copytree(NOTEBOOKS, folder)
    yield folder
    if _stays():
        hub.publish()
