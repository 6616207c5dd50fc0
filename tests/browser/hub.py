"""The hub under test: its operator's commands, and its own pages (login, home) as a person uses them."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, Request, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

CHECKOUT: Final = Path(__file__).resolve().parents[2]

NOTEBOOKS: Final = CHECKOUT / "files" / "notebooks"

JUPYTER: Final = "#jupyterlab-splash, .jp-LabShell, .jp-DirListing, .jp-Notebook"
"""What shows that the browser is at a user's server."""

STOPPED_SECONDS: Final = 120
"""Patience for a server to stop."""


@dataclass(frozen=True)
class Person:
    """Somebody with a login."""

    name: str
    password: str = field(repr=False)
    groups: tuple[str, ...] = ()
    admin: bool = False


@dataclass(frozen=True)
class Hub:
    """A provisioned hub.

    `url` has no slash at its end. `inventory` is what the operator's commands get as `--inventory`; None means the
    demo host. `environment` is added to this process's own for each of those commands.
    """

    url: str
    host: str
    inventory: Path | None
    environment: dict[str, str]

    def server(self, person: Person, path: str) -> str:
        """Return the address of a page on somebody's own server; `path` as in `/lab` or `/tree`."""
        return f"{self.url}/user/{person.name}{path}"

    @property
    def ca_certificate(self) -> Path:
        """Where `berth up` leaves the certificate authority's certificate; a hub with a public one has none."""
        # A demo host beside the default one keeps its files under a name of its own.
        return CHECKOUT / ".berth" / self.environment.get("BERTH_DEMO_NAME", self.host) / "ca.crt"

    def user_names(self) -> set[str]:
        """Everybody who has a login."""
        listing = json.loads(self._berth("users", "list", "--json"))
        return {user["name"] for user in listing[self.host]}

    def add_users(self, people: Iterable[Person]) -> None:
        """Make logins, all of them in one go."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".csv") as file:
            lines = csv.writer(file)
            lines.writerow(["name", "password", "groups", "admin"])
            for one in people:
                lines.writerow([one.name, one.password, ";".join(one.groups), "yes" if one.admin else "no"])
            file.flush()
            self._berth("users", "add", "--csv", file.name)

    def remove_users(self, names: set[str]) -> None:
        """Remove logins, servers and homes."""
        self._berth("users", "remove", *sorted(names), "--delete-home", "--yes")

    def waiting(self) -> set[str]:
        """Everybody who has signed up and waits for approval."""
        listing = json.loads(self._berth("users", "list", "--waiting", "--json"))
        return {one["name"] for one in listing[self.host]}

    def converge(self, variables: Mapping[str, object]) -> None:
        """Converge the hub with these variables on top of the inventory's; the proxy's part waits until it answers."""
        self._berth("up", "--tags", "jupyterhub,proxy", "--extra-vars", json.dumps(variables))

    def publish(self, folder: Path | None = None) -> None:
        """Publish a folder of notebooks to everybody; None publishes what the inventory names."""
        inventory = self.inventory or CHECKOUT / "inventory" / "demo"
        # The module's name rather than the program's: it is found in whichever environment runs the tests.
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), "playbooks/notebooks.yml"]
        if folder is not None:
            command += ["-e", json.dumps({"shared_notebooks_source": str(folder)})]
        call(command, {**self.environment, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")})

    def links(self, name: str) -> dict[str, str]:
        """Links to a shared notebook that lead whoever follows them to their own copy, by what opens it there."""
        listing = json.loads(self._berth("notebooks", "list", "--json"))
        found: dict[str, str] = next(notebook["links"] for notebook in listing[self.host] if notebook["name"] == name)
        return found

    def _berth(self, *arguments: str, given: str = "") -> str:
        inventory = [] if self.inventory is None else ["--inventory", str(self.inventory)]
        return call([str(CHECKOUT / "berth"), *arguments, *inventory], self.environment, given)


def call(command: list[str], environment: dict[str, str], given: str = "") -> str:
    """Run a command in the checkout and return what it printed.

    `given` is its standard input. Raises RuntimeError with the end of its output when the exit code is not 0.
    """
    done = subprocess.run(
        command,
        check=False,
        input=given,
        env={**os.environ, **environment},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}; its last lines:\n{tail}")
    return done.stdout


def fill_login(page: Page, name: str, password: str) -> None:
    """Fill in the form on the hub's login page, and send it."""
    page.locator("#username_input").fill(name)
    page.locator("#password_input").fill(password)
    page.locator("#login_submit").click()


def log_in(page: Page, hub: Hub, person: Person, path: str) -> None:
    """Open a page of one's own server without being logged in: log in, start the server, arrive.

    `path` as in `/lab/tree/notebooks/hello.ipynb`. Returns once the browser is at Jupyter.
    """
    page.goto(hub.server(person, path))
    fill_login(page, person.name, person.password)
    wait_for_server(page)


def wait_for_server(page: Page, shown: str = JUPYTER, patience_ms: float | None = None) -> None:
    """Wait until Jupyter's own page is there, launching the server where the hub asks for it.

    `shown` is what tells that page, for one that is not Jupyter's usual one; `patience_ms`, in milliseconds, is for one
    that takes longer than others.
    """
    jupyter = page.locator(shown)
    launch = page.locator("#start")
    expect(jupyter.or_(launch).first).to_be_visible(timeout=patience_ms)
    if launch.is_visible():
        # The hub may move on by itself at this very moment; what counts is whether Jupyter appears.
        with suppress(PlaywrightTimeoutError):
            launch.click(timeout=5_000)
    expect(jupyter.first).to_be_visible(timeout=patience_ms)


def log_out(page: Page, hub: Hub) -> None:
    """Log out from the hub's home page."""
    page.goto(f"{hub.url}/hub/home")
    page.locator("#logout").click()
    expect(page.locator("#login_submit")).to_be_visible()


def stop_server(page: Page, hub: Hub) -> None:
    """Stop one's server from the hub's home page, and wait until it can be started again.

    Looks anew and presses again when nothing happens: the button works once the page's script is there, which may be
    later than the page; and Chromium gives up on requests when a container comes or goes on its machine.
    """
    deadline = time.monotonic() + STOPPED_SECONDS
    stop, start = page.locator("#stop"), page.locator("#start")
    page.goto(f"{hub.url}/hub/home")
    while True:
        with suppress(PlaywrightTimeoutError, AssertionError):
            with page.expect_request(_stops_a_server, timeout=5_000):
                stop.click(timeout=5_000)
            expect(stop).to_be_hidden(timeout=30_000)
        page.goto(f"{hub.url}/hub/home")
        expect(start).to_be_visible()
        if "Start" in start.inner_text():
            return
        assert time.monotonic() < deadline, f"the server is not stopped after {STOPPED_SECONDS} s"


def _stops_a_server(request: Request) -> bool:
    return request.method == "DELETE" and request.url.endswith("/server")


def start_server(page: Page, hub: Hub) -> None:
    """Start one's server from the hub's home page, and wait until Jupyter is there."""
    page.goto(f"{hub.url}/hub/home")
    page.locator("#start").click()
    wait_for_server(page)
