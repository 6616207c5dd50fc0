"""Hub, proxy, broker and engine are killed, a container goes; and what a berth does to itself stays with it."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import requests
import websocket
from converging import assert_converges_to_nothing, converge
from hub_client import HubClient, wait_until
from testinfra.host import Host

Took = Callable[[str, Callable[[], Any]], float]
InBerth = Callable[[str, str], Any]

NEIGHBOUR_SECONDS = 10
"""How long a cell of a neighbour's, or an answer of the hub's, may take meanwhile; at rest it is a few hundredths."""

LOG_BYTES_MAX = 3 * 10_000_000 + 1_000_000
"""Of a berth's output the engine keeps three files of 10 MB."""

START_ENGINE = Path(__file__).parents[3] / "roles/demo_host/files/start-engine"


@pytest.fixture(scope="module")
def kernel(hub: HubClient, people: tuple[str, str]) -> str:
    """Of alice's, with something to lose."""
    made = hub.new_kernel("alice")
    hub.execute("alice", made, "kept = 42")
    return made


@pytest.fixture
def works(hub: HubClient, kernel: str) -> Callable[[], None]:
    """Wait until alice goes on where she was."""

    def wait() -> None:
        wait_until(hub.healthy, every=0.05)
        wait_until(lambda: (hub.server("alice") or {}).get("ready"), every=0.05)
        wait_until(lambda: hub.execute("alice", kernel, "print(kept)").strip() == "42", every=0.05)

    return wait


@pytest.mark.parametrize("time_of_many", range(3))
def test_the_hub_is_killed(host: Host, took: Took, works: Callable[[], None], time_of_many: int) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value berth-hub.service")
    host.check_output("systemctl kill --signal=KILL berth-hub.service")
    wait_until(lambda: host.run("test -e /proc/%s", pid).failed)
    assert took("hub killed", works) < 15


@pytest.mark.parametrize("time_of_many", range(3))
def test_the_proxy_is_killed(host: Host, took: Took, works: Callable[[], None], time_of_many: int) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value berth-proxy.service")
    host.check_output("systemctl kill --signal=KILL berth-proxy.service")
    wait_until(lambda: host.run("test -e /proc/%s", pid).failed)
    assert took("proxy killed", works) < 15


def test_a_certificate_that_is_cut_off(host: Host, hub: HubClient) -> None:
    """The one before is served, and the next converge makes a new one."""
    place = urlsplit(hub.url)
    address = (place.hostname or "", place.port or 443)
    file = "/etc/berth/tls/hub.crt"
    before = ssl.get_server_certificate(address)
    host.check_output("truncate --size=300 %s", file)
    time.sleep(1)
    assert ssl.get_server_certificate(address) == before
    converge(tags=["proxy"])
    wait_until(hub.healthy)
    assert ssl.get_server_certificate(address).strip() in host.file(file).content_string
    assert_converges_to_nothing(tags=["proxy"])


def test_the_broker_and_the_engine_are_killed(
    host: Host, hub: HubClient, took: Took, works: Callable[[], None]
) -> None:
    host.check_output("systemctl kill --signal=KILL berth-dock.service docker.service")

    def starts() -> None:
        works()
        hub.stop("bob")
        wait_until(lambda: hub.start("bob"))

    assert took("broker and engine killed", starts) < 60


def test_a_hub_that_starts_without_an_engine_loses_nobody(
    host: Host, hub: HubClient, took: Took, works: Callable[[], None]
) -> None:
    host.check_output("systemctl stop docker.socket docker.service")
    host.check_output("systemctl restart berth-hub.service")
    wait_until(hub.healthy)
    time.sleep(3)
    host.check_output("systemctl start docker.socket docker.service")
    assert took("engine back after the hub", works) < 15


def test_an_engine_is_started_without_a_service_manager(host: Host, works: Callable[[], None]) -> None:
    """By the role demo_host, by two at once, and another process has the number of the last daemon's."""
    script = "/run/start-engine"
    host.check_output(f"install --mode=0755 /dev/stdin {script} <<'END'\n{START_ENGINE.read_text()}END")
    host.check_output("systemctl stop docker.socket docker.service")
    try:
        host.check_output("echo 1 >/run/docker.pid")
        told = host.check_output(f"{script} 30 & {script} 30; wait")
        assert told.split() == ["started"]
        assert host.check_output("docker inspect --format='{{.State.Status}}' berth-alice") == "running"
    finally:
        host.run("kill $(cat /run/docker.pid)")
        wait_until(lambda: not host.file("/run/docker.pid").exists)
        host.check_output("systemctl start docker.socket docker.service")
    works()


def test_a_container_that_is_removed_is_noticed(
    host: Host, hub: HubClient, took: Took, people: tuple[str, str]
) -> None:
    host.check_output("docker rm --force berth-bob")
    began = time.monotonic()
    # Whoever is at work meanwhile is told, and does not wait for half a minute.
    answer = hub.as_user("bob", "GET", "/api/status", allow_redirects=False)
    assert answer.status_code in (requests.codes.bad_gateway, requests.codes.gateway_timeout, requests.codes.found)
    assert time.monotonic() - began < 8
    assert took("container removed, until it is noticed", lambda: wait_until(lambda: hub.server("bob") is None)) < 30
    took("and starts again", lambda: hub.start("bob"))
    assert hub.execute("bob", hub.new_kernel("bob"), "print(6 * 7)").strip() == "42"


class Neighbour(threading.Thread):
    """Works on in a berth, and asks the hub, until told to stop; remembers the longest that either took."""

    def __init__(self, hub: HubClient, user: str) -> None:
        super().__init__(daemon=True)
        self._hub, self._user = hub, user
        self._kernel = hub.new_kernel(user)
        hub.token(user)
        self._over = threading.Event()
        self._failed: Exception | None = None
        self.cells: list[float] = []
        self.answers: list[float] = []

    def run(self) -> None:
        client = HubClient(self._hub.url, Path(self._hub.ca), "")
        client.operator, client._tokens = self._hub.operator, self._hub._tokens
        try:
            while not self._over.is_set():
                began = time.monotonic()
                assert client.execute(self._user, self._kernel, "print(6 * 7)") == "42\n"
                self.cells.append(time.monotonic() - began)
                began = time.monotonic()
                client.api("GET", "/users")
                self.answers.append(time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 (told by the test that waits for it)
            self._failed = error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(60)
        if self._failed:
            raise self._failed


@pytest.fixture
def undisturbed(hub: HubClient, people: tuple[str, str], took: Took) -> Iterator[None]:
    """Bob works while something happens to alice, and hardly notices."""
    with Neighbour(hub, "bob") as bob:
        yield
    assert len(bob.cells) > 3, "he did something meanwhile"
    assert max(bob.cells) < NEIGHBOUR_SECONDS
    assert max(bob.answers) < NEIGHBOUR_SECONDS
    print(f"cells {len(bob.cells)}, longest {max(bob.cells):.2f} s; hub's longest answer {max(bob.answers):.2f} s")


def test_memory_past_the_limit(
    host: Host, hub: HubClient, took: Took, undisturbed: None, works: Callable[[], None]
) -> None:
    limit = int(host.check_output("docker inspect --format '{{.HostConfig.Memory}}' berth-alice"))
    assert 0 < limit <= 4 * 2**30, "without a limit this test would take the machine's"
    hog = hub.new_kernel("alice")
    hub.execute("alice", hog, "mine = 1")

    def dies() -> None:
        # Nobody answers any more.
        with pytest.raises((AssertionError, OSError, websocket.WebSocketException)):
            hub.execute("alice", hog, f"all_of_it = b'x' * {limit + 2**28}", seconds=8)
        # Jupyter starts it anew, as it tells its user.
        wait_until(lambda: hub.execute("alice", hog, "print('mine' in globals())", seconds=3).strip() == "False")

    took("kernel that takes more memory than there is, until it is anew", dies)
    works()


FORK = """
import os, signal, time
most, end = 0, time.monotonic() + 6
while time.monotonic() < end:
    try:
        if os.fork() == 0:
            continue
        most += 1
    except OSError:
        pass
"""


def test_processes_without_end(
    host: Host, in_berth: InBerth, took: Took, undisturbed: None, works: Callable[[], None]
) -> None:
    limit = int(host.check_output("docker inspect --format '{{.HostConfig.PidsLimit}}' berth-alice"))
    assert 0 < limit <= 1024, "without a limit this test would take the machine's"
    identity = host.check_output("docker inspect --format '{{.Id}}' berth-alice")
    counter = host.check_output(f"find /sys/fs/cgroup -path '*{identity}*' -name pids.current | head -n 1")
    processes = []
    done: list[Any] = []
    bomb = threading.Thread(target=lambda: done.append(in_berth("alice", f"exec python3 -c '{FORK}'")))
    bomb.start()
    while bomb.is_alive():
        processes.append(int(host.check_output("cat %s", counter)))
        time.sleep(0.5)
    assert limit - 20 <= max(processes) <= limit
    took("processes without end, until its user works again", works)


def test_output_without_end(host: Host, hub: HubClient, people: tuple[str, str]) -> None:
    flood = "with open('/proc/1/fd/1', 'w') as out:\n    for _ in range(700): out.write(('x' * 999 + '\\n') * 100)"
    hub.execute("alice", hub.new_kernel("alice"), flood, seconds=120)
    path = host.check_output("docker inspect --format '{{.LogPath}}' berth-alice")
    kept = sum(map(int, host.check_output(f"stat -c %s {path}*").split()))
    assert 10_000_000 < kept <= LOG_BYTES_MAX
