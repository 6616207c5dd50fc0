"""A hub to be measured: by its API, as any program may use it, and by its front, where a browser comes from."""

import http.client
import json
import os
import re
import ssl
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE_SECONDS = 120
"""For a server to be ready, and for one to be gone."""

WITHOUT_PEER = "BERTH_BENCH_WITHOUT_PEER"
"""Environment variable that, if it is not empty, leaves out a stock hub that is there."""

_POLL_SECONDS = 0.01

_SELDOM_SECONDS = 0.5


class BenchError(Exception):
    """Something that cannot be measured, said in one sentence."""


@dataclass(frozen=True)
class Start:
    """How long a server took from the request on, in seconds.

    Attributes:
        ready: Until the hub said that it is ready.
        usable: Until it answered at its address, through the front.
    """

    ready: float
    usable: float


@dataclass(frozen=True)
class Hub:
    """One hub.

    Attributes:
        name: What it is called in tables.
        api: Address of the hub's own API, with the slash.
        front: Address that browsers come to, with the slash.
        token: Token that may make users and servers.
    """

    name: str
    api: str
    front: str
    token: str

    def start(self, user: str, patience: float = PATIENCE_SECONDS) -> Start:
        """Start a user's server and wait until it answers.

        Args:
            user: Whose.
            patience: Longest to wait, in seconds.

        Raises:
            BenchError: It did not start, or not in time.
        """
        began = time.monotonic()
        status, body = self.ask("POST", f"users/{user}/server")
        if status == 202:
            self._wait_until_ready(user, began + patience)
        elif status != 201:
            raise BenchError(f"{self.name}: {status} to the request to start a server: {body.decode()[:300]}")
        ready = time.monotonic() - began
        while (status := request("GET", f"{self.front}user/{user}/api", {})[0]) != 200:
            waited = time.monotonic() - began
            if waited > patience:
                raise BenchError(f"{self.name}: the server of {user} is said to be ready, and answers {status}")
            # Many who wait for what does not come must not be what keeps the machine busy.
            time.sleep(_POLL_SECONDS if waited < ready + 1 else _SELDOM_SECONDS)
        return Start(ready, time.monotonic() - began)

    def stop(self, user: str) -> None:
        """Stop a user's server and wait until the hub says so."""
        status, body = self.ask("DELETE", f"users/{user}/server")
        if status not in (202, 204):
            raise BenchError(f"{self.name}: {status} to the request to stop a server: {body.decode()[:300]}")
        self._wait_until_gone(user)

    def put_to_sleep(self, user: str) -> None:
        """Have a user's server fall asleep.

        Raises:
            BenchError: It did not.
        """
        status, body = self.ask("POST", f"berth/sleep/{user}")
        if status not in (202, 204):
            raise BenchError(f"{self.name}: {status} to the request to sleep: {body.decode()[:300]}")
        self._wait_until_gone(user)

    def page(self) -> None:
        """Look at the page for log-in, through the front."""
        if request("GET", f"{self.front}hub/login", {})[0] != 200:
            raise BenchError(f"{self.name}: the page for log-in does not come")

    def add(self, user: str) -> None:
        """Make a user that there has not been."""
        status, body = self.ask("POST", f"users/{user}")
        if status != 201:
            raise BenchError(f"{self.name}: user {user} cannot be made ({status}): {body.decode()[:300]}")

    def remove(self, user: str) -> None:
        """Remove a user, whatever has become of the server."""
        with suppress(BenchError):
            self.stop(user)
        self.ask("DELETE", f"users/{user}")

    def wait(self) -> None:
        """Wait until the hub answers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(OSError):
                if request("GET", f"{self.api}hub/health", {})[0] == 200 == self.ask("GET", "users?limit=1")[0]:
                    return
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: the hub does not answer at {self.api}")
            time.sleep(0.1)

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Ask the API; returns status and body."""
        return request(method, f"{self.api}hub/api/{path}", {"Authorization": f"token {self.token}"})

    def _wait_until_gone(self, user: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while json.loads(self.ask("GET", f"users/{user}")[1]).get("servers"):
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: the server of {user} did not stop")
            time.sleep(0.05)

    def _wait_until_ready(self, user: str, deadline: float) -> None:
        connection = _connection(self.api)
        try:
            path = urlsplit(self.api).path
            headers = {"Authorization": f"token {self.token}", "Accept": "text/event-stream"}
            connection.request("GET", f"{path}hub/api/users/{user}/server/progress", headers=headers)
            for line in connection.getresponse():  # an empty one every eight seconds, if there is nothing to tell
                if time.monotonic() > deadline:
                    raise BenchError(f"{self.name}: the server of {user} is not ready in time")
                if not line.startswith(b"data:"):
                    continue
                told = json.loads(line.removeprefix(b"data:"))
                if told.get("ready"):
                    return
                if told.get("failed"):
                    break
            else:
                told = {"message": "its progress ended"}
        finally:
            connection.close()
        raise BenchError(f"{self.name}: the server of {user} did not start: {told.get('message')}")


@cache
def of_own_front() -> ssl.SSLContext:
    """For the host's own front, reached by a loopback address, for which no certificate is made.

    Once: reading all the certificates that a machine trusts takes as long as a request.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _connection(url: str, patience: float = PATIENCE_SECONDS) -> http.client.HTTPConnection:
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme == "https":
        return http.client.HTTPSConnection(host, address.port, timeout=patience, context=of_own_front())
    return http.client.HTTPConnection(host, address.port, timeout=patience)


def request(
    method: str, url: str, headers: dict[str, str], body: str | None = None, patience: float = PATIENCE_SECONDS
) -> tuple[int, bytes]:
    """Ask whoever is at an address, with whatever certificate, and wait so many seconds; returns status and body."""
    connection = _connection(url, patience)
    try:
        connection.request(method, urlsplit(url)._replace(scheme="", netloc="").geturl(), body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def berth() -> Hub:
    """The host's Berth."""
    settings = json.loads(Path("/etc/berth/hub.json").read_text(encoding="utf-8"))
    if settings.get("subdomains"):
        raise BenchError(
            "jupyterhub_subdomains is on, and the bench asks for servers by the hub's own name: measure a host without"
        )
    token = Path("/etc/berth/secrets/operator_token").read_text(encoding="utf-8").strip()
    base = settings["base_url"]
    return Hub("berth", f"{settings['hub_url']}{base}", f"{front()}{base}", token)


def stock() -> Hub | None:
    """The stock hub that role ``bench`` has put beside it; None if it has not, or if it is not to be measured."""
    unit = Path("/run/systemd/system/berth-bench-peer.service")
    if os.environ.get(WITHOUT_PEER) or not unit.exists():
        return None
    found = dict(re.findall(r"^Environment=(PEER_\w+)=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE))
    return Hub("stock", f"http://{found['PEER_GATEWAY']}:8701/", "http://127.0.0.1:8700/", found["PEER_TOKEN"])


def front() -> str:
    """Address of Traefik's public entry point, as it listens on this host."""
    text = Path("/etc/berth/proxy/traefik.yml").read_text(encoding="utf-8")
    found = re.search(r'^  public:\n    address: "?[^"\n]*:(\d+)"?\n((?:    .*\n)*)', text, re.MULTILINE)
    if not found:
        raise BenchError("/etc/berth/proxy/traefik.yml has no entry point that is called public")
    scheme = "https" if re.search(r"^ +tls:", found[2], re.MULTILINE) else "http"
    return f"{scheme}://127.0.0.1:{found[1]}"


def run(*command: str) -> str:
    """What a command prints.

    Raises:
        BenchError: It failed; with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()
