"""Glewlwyd as an OpenID provider: a client, two people, and a browser that logs in there."""

from typing import Any
from urllib.parse import urlsplit

import requests
from testinfra.host import Host

CLIENT = "berth"
SECRET = "the secret of the hub's client"
ISSUER = "http://localhost:4593/api/oidc"
INSTALL = """
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends glewlwyd >/dev/null
sed -i 's|^external_url=.*|external_url="http://localhost:4593"|' /etc/glewlwyd/glewlwyd.conf
systemctl restart glewlwyd
"""


class OpenId:
    """Reached at the host's own address, which the machine that runs the tests has a route to."""

    def __init__(self, host: Host) -> None:
        """Install it."""
        done = host.run(INSTALL)
        assert done.rc == 0, done.stderr
        # The engine on the host has addresses of its own, which nobody else reaches.
        address = host.check_output("ip -4 -brief address show eth0").split()[2].split("/")[0]
        self.url = f"http://{address}:4593/api"

    def ready(self) -> bool:
        """Whether it answers."""
        session = requests.Session()
        session.trust_env = False
        return session.get(self.url.replace("/api", "/config/"), timeout=5).ok

    def prepare(self, callback: str, people: dict[str, str]) -> None:
        """Register the hub and people. Args: callback: the hub's; people: password by name."""
        admin = self._session("admin", "password")
        admin.post(f"{self.url}/mod/plugin/", json=self._plugin(), timeout=30)
        client = {
            "client_id": CLIENT,
            "name": "the hub",
            "confidential": True,
            "enabled": True,
            "client_secret": SECRET,
            "redirect_uri": [callback],
            "authorization_type": ["code"],
            "token_endpoint_auth_method": ["client_secret_post", "client_secret_basic"],
            "scope": ["openid"],
        }
        self._put(admin, "client", "client_id", client)
        for name, password in people.items():
            user = {"username": name, "name": name, "email": f"{name}@example.org", "enabled": True}
            self._put(admin, "user", "username", {**user, "password": password, "scope": ["openid", "g_profile"]})

    def log_in(self, browser: requests.Session, address: str, name: str, password: str) -> requests.Response:
        """Be the browser that the hub sent to that address; returns the hub's answer to its return."""
        provider = self._session(name, password)
        provider.put(f"{self.url}/auth/grant/{CLIENT}", json={"scope": "openid"}, timeout=30).raise_for_status()
        here = urlsplit(address)._replace(netloc=urlsplit(self.url).netloc).geturl()
        back = provider.get(f"{here}&g_continue", timeout=30, allow_redirects=False)
        assert back.status_code == 302, back.text
        return browser.get(back.headers["Location"], timeout=60, allow_redirects=False)

    def _session(self, name: str, password: str) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        answer = session.post(f"{self.url}/auth/", json={"username": name, "password": password}, timeout=30)
        assert answer.ok, f"{name}: {answer.status_code} {answer.text}"
        return session

    def _put(self, admin: requests.Session, kind: str, key: str, entry: dict[str, Any]) -> None:
        there = admin.get(f"{self.url}/{kind}/{entry[key]}", timeout=30).ok
        method, place = ("PUT", f"{kind}/{entry[key]}") if there else ("POST", f"{kind}/")
        answer = admin.request(method, f"{self.url}/{place}", json=entry, timeout=30)
        assert answer.ok, f"{kind}: {answer.status_code} {answer.text}"

    def _plugin(self) -> dict[str, Any]:
        parameters = {
            "iss": ISSUER,
            "jwt-type": "sha",
            "jwt-key-size": "256",
            "key": "signs what the tests never look at",
            "access-token-duration": 3600,
            "refresh-token-duration": 3600,
            "code-duration": 600,
            "refresh-token-rolling": True,
            "allow-non-oidc": True,
            "auth-type-code-enabled": True,
            "auth-type-token-enabled": False,
            "auth-type-none-enabled": False,
            "auth-type-id-token-enabled": False,
            "auth-type-refresh-enabled": False,
            "subject-type": "public",
            "request-parameter-allow": False,
            "claims": [{"name": "preferred_username", "user-property": "username", "mandatory": True}],
            "name-claim": "no",
            "email-claim": "mandatory",
            "allowed-scope": ["openid"],
            "pkce-allowed": True,
            "pkce-method-plain-allowed": False,
        }
        return {"module": "oidc", "name": "oidc", "display_name": "OpenID Connect", "parameters": parameters}
