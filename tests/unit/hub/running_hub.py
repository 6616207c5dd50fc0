"""A real JupyterHub with Berth's whole configuration behind a real Traefik; only what it spawns is a small process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import berth_hub
import berth_names
import requests

from tests.unit.hub.conftest import free_ports, wait_until, write_settings
from tests.unit.hub.traefik import PASSWORD, Traefik, status

OPERATOR_TOKEN = "operator-token-for-tests"
ADMIN_PASSWORD = "correct horse battery"
FAILED_LOGINS_MAX = 3

CONFIGURATION = """
import functools
import sys
from pathlib import Path

import bcrypt

# The cheapest there is: test_authenticator.py looks at the real cost.
bcrypt.gensalt = functools.partial(bcrypt.gensalt, 4)

from berth_hub.config import configure
from berth_hub.settings import load

c = get_config()
configure(c, load(Path({settings!r})))
# Everything else is as on a host.
c.JupyterHub.spawner_class = "jupyterhub.spawner.SimpleLocalProcessSpawner"
c.SimpleLocalProcessSpawner.cmd = [sys.executable, {server!r}]
c.SimpleLocalProcessSpawner.home_dir_template = {home!r}
c.JupyterHub.services.append({{"name": "reader", "api_token": "reader-token-for-tests"}})
c.JupyterHub.load_roles.append({{"name": "reader", "services": ["reader"], "scopes": ["list:users", "read:users"]}})
"""

SERVER = """
import http.server, os, urllib.parse


class Teapot(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(418)
        self.end_headers()


address = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((address.hostname, address.port), Teapot).serve_forever()
"""


@dataclass
class Hub:
    """What a browser and the playbooks see of it."""

    url: str
    hub_url: str
    log: Path

    def api(self, method: str, path: str, token: str | None = OPERATOR_TOKEN, **more: Any) -> requests.Response:
        headers = {} if token is None else {"Authorization": f"token {token}"}
        return requests.request(method, f"{self.hub_url}/hub/api/{path}", headers=headers, timeout=30, **more)

    def users(self, *wanted: dict[str, Any]) -> dict[str, Any]:
        """What the playbook does; fails if it is refused."""
        answer = self.api("POST", "berth/users", json={"users": list(wanted)})
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def refused(self, *wanted: dict[str, Any]) -> str:
        """The reason that it is refused for; fails if it is not, and if anything changed."""
        before = self.users()["users"]
        answer = self.api("POST", "berth/users", json={"users": list(wanted)})
        assert answer.status_code == 400, answer.text
        assert [user["name"] for user in self.users()["users"]] == [user["name"] for user in before]
        message: str = answer.json()["message"]
        return message

    def user(self, name: str) -> dict[str, Any] | None:
        found = [user for user in self.users()["users"] if user["name"] == name]
        return found[0] if found else None

    def log_in(self, name: str, password: str) -> requests.Session | None:
        """A session of that user's browser; None if name and password are refused."""
        session = requests.Session()
        page = session.get(f"{self.url}/hub/login", timeout=30)
        assert page.status_code == 200
        form = {"username": name, "password": password, "_xsrf": session.cookies["_xsrf"]}
        answer = session.post(f"{self.url}/hub/login", data=form, timeout=30, allow_redirects=False)
        if answer.status_code == 302:
            return session
        assert answer.status_code == 403, answer.text
        assert "Invalid username or password" in answer.text
        return None


class Running:
    """Starts both, and ends both: `with Running(folder) as hub`, or by hand where a test restarts them."""

    def __init__(
        self,
        base: Path,
        secrets: dict[str, str] | None = None,
        name: str = "127.0.0.1",
        more: str = "",
        **changes: Any,
    ) -> None:
        """Args: secrets, more: of them, of the configuration; name: the hub's own; changes: as `conftest.changed`."""
        self._base = base
        self._secrets = secrets or {}
        self._more = more
        self._changes = changes
        self.traefik = Traefik(base / "proxy", name)
        self._process: subprocess.Popen[bytes] | None = None
        self._hub_url = f"http://127.0.0.1:{free_ports(1)[0]}"

    def __enter__(self) -> Hub:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, **changes: Any) -> Hub:
        """Start both, with settings changed as `conftest.changed` has it."""
        base = self._base
        for name, secret in {
            "cookie_secret": "ab" * 32,
            "operator_token": OPERATOR_TOKEN,
            "traefik_password": PASSWORD,
            "admin_password": ADMIN_PASSWORD,
            **self._secrets,
        }.items():
            (base / name).write_text(secret + "\n")
        settings = write_settings(
            base / "hub.json",
            public_url=self.traefik.url,
            hub_url=self._hub_url,
            state_directory=str(base),
            secrets_directory=str(base),
            routes_file=str(self.traefik.routes_file),
            traefik_api_url=self.traefik.api_url,
            accounts__failed_logins_max=FAILED_LOGINS_MAX,
            idle__after_seconds=0,
            **self._changes,
            **changes,
        )
        server = base / "server.py"
        server.write_text(SERVER)
        config = base / "jupyterhub_config.py"
        config.write_text(
            CONFIGURATION.format(settings=str(settings), server=str(server), home=str(base / "{username}")) + self._more
        )
        self.traefik.start()
        log = base / "hub.log"
        modules = {
            str(Path(module.__file__ or "").parents[depth]) for module, depth in ((berth_hub, 1), (berth_names, 0))
        }
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "--config", str(config)],
                cwd=base,
                env={"PATH": os.environ["PATH"], "HOME": str(base), "PYTHONPATH": ":".join(modules), "LANG": "C.UTF-8"},
                stdout=file,
                stderr=file,
            )
        health = f"{self.traefik.url}{self._changes.get('base_url', '/')}hub/health"
        wait_until(lambda: status(health) == 200, f"the hub answers, see {log}", 40)
        return Hub(self.traefik.url, self._hub_url, log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        self.traefik.stop()
