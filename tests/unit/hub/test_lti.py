"""A launch from a learning platform on this machine, into a real hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.unit.hub.provider import CLIENT_ID, Provider
from tests.unit.hub.running_hub import Hub, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
ROLES = "https://purl.imsglobal.org/spec/lti/claim/roles"
ALICE = {"sub": "Alice-7", ROLES: [LEARNER]}


@dataclass
class Place:
    hub: Hub
    platform: Provider

    def launch(self, *, nonce: str | None = None, state: str | None = None, **claims: Any) -> tuple[int, str]:
        """Status and text of the hub's last answer."""
        session = requests.Session()
        asked = {
            "iss": self.platform.url,
            "login_hint": "7",
            "target_link_uri": f"{self.hub.url}/hub",
            "client_id": CLIENT_ID,
        }
        away = session.post(f"{self.hub.url}/hub/lti13/oauth_login", data=asked, timeout=60, allow_redirects=False)
        assert away.status_code == 302, away.text
        assert all("SameSite=None" in cookie for cookie in away.raw.headers.getlist("Set-Cookie") if "lti13" in cookie)
        query = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["Location"]).query).items()}
        assert query["redirect_uri"] == f"{self.hub.url}/hub/lti13/oauth_callback"
        form = {
            "state": state or query["state"],
            "id_token": self.platform.launch(nonce or query["nonce"], **(claims or ALICE)),
        }
        # Cookies are for HTTPS only, which this hub does not have.
        cookies = {cookie.name: str(cookie.value) for cookie in session.cookies}
        answer = requests.post(query["redirect_uri"], data=form, cookies=cookies, timeout=60, allow_redirects=False)
        return answer.status_code, answer.text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    platform = Provider()
    platform.start()
    way = {
        "method": "lti13",
        "issuer": platform.url,
        "client_ids": [CLIENT_ID],
        "authorize_url": f"{platform.url}/authorize",
        "jwks_url": f"{platform.url}/jwks",
        "username_claim": "sub",
    }
    running = Running(
        tmp_path_factory.mktemp("hub"),
        accounts__admins=["boss"],
        authentication__way=way,
        authentication__allowed_groups=["Learner"],
    )
    try:
        yield Place(running.start(), platform)
    finally:
        running.stop()
        platform.stop()


def test_a_learner_comes_in_under_the_exact_name(place: Place) -> None:
    status, text = place.launch()
    assert status == 302, text
    assert place.hub.user("Alice-7") is not None
    assert place.hub.users()["exact_names"] is True


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"nonce": "another"}, 400),
        ({"state": "another"}, 400),
        ({**ALICE, "aud": "another"}, 401),
        ({**ALICE, "iss": "https://other.example.org"}, 400),
        ({**ALICE, "exp": 1}, 400),
        ({"sub": "mallory", ROLES: [LEARNER.replace("Learner", "Mentor")]}, 403),
        ({"sub": "mallory"}, 403),
        ({"sub": "a/b", ROLES: [LEARNER]}, 403),
    ],
)
def test_everything_else_is_refused(place: Place, changes: dict[str, Any], status: int) -> None:
    assert place.launch(**changes)[0] == status
    assert {user["name"] for user in place.hub.users()["users"]} <= {"boss", "Alice-7"}


def test_no_breakdown_is_in_the_log(place: Place) -> None:
    assert "Uncaught exception" not in place.hub.log.read_text()
