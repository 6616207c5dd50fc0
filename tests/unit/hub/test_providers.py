"""A real hub and a provider on this machine: who the provider knows and the site means comes in, and nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.unit.hub.provider import CLIENT_ID, CLIENT_SECRET, TENANT, Provider
from tests.unit.hub.running_hub import Hub, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = "aaaaaaaa-0000-0000-0000-000000000001"


@dataclass
class Case:
    """One method: whom the provider knows, what they are called in the hub, and who is not let in."""

    way: dict[str, Any]
    alice: dict[str, Any]
    name: str
    strangers: list[dict[str, Any]]
    groups: list[str]
    membership: str = ""


CASES = {
    "github": Case(
        {},
        {"login": "Alice-X", "email": "alice@example.org", "id": 1},
        "alice-x",
        [{"login": "mallory", "email": None, "id": 2}, {"login": "admin", "email": None, "id": 3}],
        ["other-org", "org:dev"],
        "/api/v3/orgs/org/teams/dev/memberships/Alice-X",
    ),
    "gitlab": Case(
        {},
        {"username": "alice", "id": 7, "state": "active"},
        "alice",
        [{"username": "mallory", "id": 8, "state": "active"}, {"username": "alice", "id": 7, "state": "blocked"}],
        ["school/class"],
        "/api/v4/groups/school%2Fclass/members/all/7",
    ),
    "google": Case(
        {"domains": ["example.org"]},
        {"email": "alice@example.org", "verified_email": True, "hd": "example.org"},
        "alice@example.org",
        [
            {"email": "mallory@example.com", "verified_email": True, "hd": "example.com"},
            {"email": "mallory@example.org", "verified_email": False, "hd": "example.org"},
            {"email": "mallory@example.org", "verified_email": True},
        ],
        [],
    ),
    "azuread": Case(
        {"tenant": TENANT, "username_claim": "preferred_username"},
        {"preferred_username": "Alice@example.org", "groups": [GROUP]},
        "alice@example.org",
        [{"preferred_username": "mallory@example.org", "groups": ["another"]}, {"groups": [GROUP]}],
        [GROUP],
    ),
    "oidc": Case(
        {
            "login_service": "the school",
            "username_claim": "preferred_username",
            "groups_claim": "groups",
            "scopes": ["openid"],
        },
        {"preferred_username": "Alice Ünal", "groups": ["staff", "x"]},
        "Alice Ünal",
        [
            {"preferred_username": "mallory", "groups": ["sta"]},
            {"preferred_username": "mallory", "groups": "other"},
            {"preferred_username": "mallory"},
            {"preferred_username": "../mallory", "groups": ["staff"]},
            {"preferred_username": "", "groups": ["staff"]},
            {"preferred_username": ["mallory"], "groups": ["staff"]},
            {"groups": ["staff"]},
        ],
        ["staff"],
    ),
}


@dataclass
class Place:
    hub: Hub
    provider: Provider
    case: Case

    def begin(self, session: requests.Session) -> str:
        """From the hub's button to where the provider sends the browser back to."""
        page = session.get(f"{self.hub.url}/hub/login", timeout=60)
        assert "oauth_login" in page.text
        away = session.get(f"{self.hub.url}/hub/oauth_login?next=", timeout=60, allow_redirects=False)
        assert away.status_code == 302, away.text
        assert away.headers["Location"].startswith(self.provider.url)
        back = requests.get(away.headers["Location"], timeout=60, allow_redirects=False)
        assert back.status_code == 302, back.text
        address = back.headers["Location"]
        assert address.startswith(f"{self.hub.url}/hub/oauth_callback?")
        return address

    def log_in(self, session: requests.Session, user: dict[str, Any]) -> requests.Response:
        self.provider.user = user
        return session.get(self.begin(session), timeout=60, allow_redirects=False)

    def is_in(self, session: requests.Session) -> bool:
        return session.get(f"{self.hub.url}/hub/home", timeout=60, allow_redirects=False).status_code == 200


@pytest.fixture(scope="module", params=list(CASES))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    method: str = request.param
    case = CASES[method]
    provider = Provider()
    provider.start()
    provider.members = {case.membership}
    where = {"issuer": provider.url} if method == "oidc" else {"url": provider.url}
    running = Running(
        tmp_path_factory.mktemp("hub"),
        {"oauth_client_secret": CLIENT_SECRET},
        accounts__admins=["boss"],
        authentication__way={"method": method, "client_id": CLIENT_ID, **where, **case.way},
        authentication__allowed_groups=case.groups,
        authentication__session_days=1,
    )
    try:
        yield Place(running.start(), provider, case)
    finally:
        running.stop()
        provider.stop()


def test_somebody_whom_the_site_means_logs_in(place: Place) -> None:
    session = requests.Session()
    answer = place.log_in(session, place.case.alice)
    assert answer.status_code == 302, answer.text
    assert place.is_in(session)
    found = place.hub.user(place.case.name)
    assert found is not None
    assert found["admin"] is False
    session.get(f"{place.hub.url}/hub/logout", timeout=60)
    assert not place.is_in(session)


def test_nobody_else_does(place: Place) -> None:
    for stranger in place.case.strangers:
        session = requests.Session()
        answer = place.log_in(session, stranger)
        assert answer.status_code == 403, (stranger, answer.text)
        assert not place.is_in(session)
    assert {user["name"] for user in place.hub.users()["users"]} <= {"boss", place.case.name}


def test_a_log_in_that_another_browser_began_is_refused(place: Place) -> None:
    place.provider.user = place.case.alice
    theirs, mine = requests.Session(), requests.Session()
    address = place.begin(theirs)
    place.begin(mine)
    for session in (mine, requests.Session()):
        assert session.get(address, timeout=60, allow_redirects=False).status_code == 400
        assert not place.is_in(session)


def test_a_code_is_worth_nothing_the_second_time_nor_one_that_was_guessed(place: Place) -> None:
    session = requests.Session()
    place.provider.user = place.case.alice
    address = place.begin(session)
    code = parse_qs(urlsplit(address).query)["code"][0]
    answer = session.get(address.replace(f"code={code}", "code=guessed"), timeout=60, allow_redirects=False)
    assert answer.status_code == 403, answer.text
    assert "refused this log-in" in answer.text
    assert not place.is_in(session)


def test_a_provider_that_does_not_answer_is_told_of(place: Place) -> None:
    session = requests.Session()
    place.provider.user = place.case.alice
    address = place.begin(session)
    if place.case.membership:
        place.provider.down = True
    try:
        answer = session.get(address, timeout=60, allow_redirects=False)
    finally:
        place.provider.down = False
    assert answer.status_code == (503 if place.case.membership else 302), answer.text


def test_a_provider_that_is_not_there_is_told_of(place: Place) -> None:
    session = requests.Session()
    place.provider.user = place.case.alice
    address = place.begin(session)
    place.provider.stop()
    try:
        answer = session.get(address, timeout=60, allow_redirects=False)
    finally:
        place.provider.start()
    assert answer.status_code == 503, answer.text
    assert "does not answer" in answer.text


def test_another_tenant_is_another_world(place: Place) -> None:
    if "tenant" not in place.case.way:
        return
    place.provider.tenant = TENANT.replace("1", "9")
    try:
        answer = place.log_in(requests.Session(), place.case.alice)
    finally:
        place.provider.tenant = TENANT
    assert answer.status_code == 403, answer.text


def test_the_operator_manages_users_without_passwords(place: Place) -> None:
    message = place.hub.refused({"name": "carol", "password": "a password good enough"})
    assert "password" in message


def test_nothing_secret_and_no_breakdown_is_in_the_log(place: Place) -> None:
    log = place.hub.log.read_text()
    assert CLIENT_SECRET not in log
    assert "Uncaught exception" not in log
