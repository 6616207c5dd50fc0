"""What the checks of all scenarios share: the platform, and its hub as people and operators reach it."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from hub_client import HubClient, wait_until
from testinfra.host import Host

PROJECT = Path(__file__).resolve().parents[1]
PLATFORM = os.environ.get("BERTH_DEMO_NAME", "berth-default")
PASSWORD = "a-long-enough-password"
FIGURES = Path(os.environ.get("BERTH_TEST_RESULTS", PROJECT / "test-results"), "seconds.json")


@pytest.fixture(scope="session")
def host() -> Host:
    """The platform."""
    return testinfra.get_host(f"docker://{PLATFORM}")


@pytest.fixture(scope="session")
def hub(host: Host) -> HubClient:
    """The hub, through its proxy, with the certificate checked."""
    return HubClient(
        url=f"https://localhost:{os.environ['BERTH_DEMO_HTTPS_PORT']}",
        ca=PROJECT / ".berth" / PLATFORM / "ca.crt",
        operator_token=host.check_output("cat /etc/berth/secrets/operator_token"),
    )


@pytest.fixture(scope="session")
def people(hub: HubClient) -> Iterator[tuple[str, str]]:
    """Two users with running servers."""
    names = ("alice", "bob")
    hub.add_users(*({"name": name, "password": PASSWORD} for name in names))
    for name in names:
        hub.start(name)
    yield names
    for name in names:
        hub.stop(name)


@pytest.fixture(scope="session")
def in_berth(host: Host) -> Callable[[str, str], Any]:
    """Run a shell command in a user's berth: `in_berth("alice", "id -u")`."""

    def run(user: str, command: str) -> Any:
        return host.run("docker exec %s sh -c %s", f"berth-{user}", command)

    return run


@pytest.fixture
def reboot(hub: HubClient) -> Callable[[], None]:
    """Restart the whole platform, as a machine restarts: every process ends, systemd starts all anew."""

    def run() -> None:
        subprocess.run(["docker", "restart", "--time=60", PLATFORM], check=True, capture_output=True)
        wait_until(hub.healthy, 120)

    return run


@pytest.fixture(scope="session")
def took() -> Iterator[Callable[[str, Callable[[], Any]], float]]:
    """Do something and return the seconds that it took, which are written down: `took("hub killed", hub.healthy)`."""
    figures: dict[str, list[float]] = {}

    def run(what: str, do: Callable[[], Any]) -> float:
        began = time.monotonic()
        do()
        seconds = time.monotonic() - began
        figures.setdefault(what, []).append(round(seconds, 2))
        return seconds

    yield run
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
