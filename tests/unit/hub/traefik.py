"""A real Traefik in a temporary directory, set up as role proxy does, but on the loopback address and without TLS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from berth_hub import secrets

from tests.unit.hub.conftest import free_ports, wait_until

PASSWORD = "a password of Traefik's own API"


@dataclass
class Traefik:
    """Started and stopped by the test; its routes are in a directory that outlives it.

    Attributes:
        name: What people call it; a test that gives another one has it resolved.
    """

    base: Path
    name: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None
    ports: list[int] = field(default_factory=lambda: free_ports(2))

    def __post_init__(self) -> None:
        self.routes.mkdir(parents=True)
        users = self.base / "traefik_users"
        users.write_text(secrets._htpasswd(secrets.TRAEFIK_USER, PASSWORD) + "\n")
        api = {
            "rule": "PathPrefix(`/api`)",
            "entryPoints": ["api"],
            "service": "api@internal",
            "middlewares": ["password"],
        }
        self._write(
            self.routes / "berth.yaml",
            {"http": {"routers": {"api": api}, "middlewares": {"password": {"basicAuth": {"usersFile": str(users)}}}}},
        )
        self._write(
            self.base / "traefik.yaml",
            {
                "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                "api": {},
                "entryPoints": {
                    "public": {"address": f"127.0.0.1:{self.ports[0]}"},
                    "api": {"address": f"127.0.0.1:{self.ports[1]}"},
                },
                "providers": {
                    "providersThrottleDuration": "0s",
                    "file": {"directory": str(self.routes), "watch": True},
                },
            },
        )

    def _write(self, path: Path, content: object) -> None:
        path.write_text(json.dumps(content))

    @property
    def routes(self) -> Path:
        return self.base / "routes"

    @property
    def routes_file(self) -> Path:
        return self.routes / "hub.yaml"

    @property
    def url(self) -> str:
        return f"http://{self.name}:{self.ports[0]}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    def start(self) -> None:
        with (self.base / "traefik.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "traefik"), f"--configfile={self.base / 'traefik.yaml'}"],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.base)},
            )
        wait_until(lambda: self.api_answers() == 401, f"Traefik answers, see {self.base / 'traefik.log'}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()  # its graceful end takes a second
            self.process.wait(10)
            self.process = None

    def api_answers(self) -> int | None:
        """The status that its API gives to somebody without the password; None while nobody listens."""
        return status(f"{self.api_url}/api/overview")


def status(url: str) -> int | None:
    """The HTTP status that a GET gets; None where nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (http on the loopback address)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def body(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (http on the loopback address)
        text: str = answer.read().decode()
        return text
