"""Guessing passwords is slow for a name and for an address; with one password for all, as everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.unit.hub.running_hub import Hub, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = "shared by all users"
ADMINS = "shared by the admins, and much longer"
PER_ADDRESS = 12


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Running(
        tmp_path_factory.mktemp("hub"),
        {"shared_password": USERS, "shared_admin_password": ADMINS},
        authentication__way={"method": "shared-password"},
        authentication__allowed_users=["Alice", "bob"],
        authentication__failures_per_address=PER_ADDRESS,
    ) as running:
        yield running


def attempt(hub: Hub, name: str, password: str) -> requests.Response:
    session = requests.Session()
    session.get(f"{hub.url}/hub/login", timeout=60)
    form = {"username": name, "password": password, "_xsrf": session.cookies["_xsrf"]}
    # What a client writes here itself counts for nothing.
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-Ip": "203.0.113.9"}
    return session.post(f"{hub.url}/hub/login", data=form, headers=forged, timeout=60, allow_redirects=False)


def test_who_gets_in_and_when_guessing_ends(hub: Hub) -> None:
    """One test, since all of it counts together."""
    assert attempt(hub, "alice", USERS).status_code == 302
    assert attempt(hub, "Bob", USERS).status_code == 302
    assert attempt(hub, "admin", ADMINS).status_code == 302
    found = hub.user("admin")
    assert found is not None
    assert found["admin"] is True
    # Right passwords, of people who may not log in, or not with that one.
    assert attempt(hub, "carol", USERS).status_code == 403
    wrong = [attempt(hub, "admin", USERS), attempt(hub, "alice", ADMINS), attempt(hub, "alice", "höchst geheim")]
    assert [answer.status_code for answer in wrong] == [403] * 3
    # Three wrong ones lock a name, also for the right password; the others go on.
    for _ in range(2):
        assert attempt(hub, "alice", "wrong").status_code == 403
    assert attempt(hub, "alice", USERS).status_code == 403
    assert attempt(hub, "bob", USERS).status_code == 302
    locked = hub.user("alice")
    assert locked is not None
    assert locked["locked"]
    # Then the address has to wait, whatever it sends.
    answers = [attempt(hub, f"guess-{number}", "wrong").status_code for number in range(PER_ADDRESS)]
    assert 429 in answers
    last = attempt(hub, "bob", USERS)
    assert last.status_code == 429
    assert 0 < int(last.headers["Retry-After"]) <= 600
    assert "Too many attempts from your address" in last.text
    # The operator's API is not shut.
    assert hub.api("GET", "").status_code == 200


def test_nothing_secret_and_no_breakdown_is_in_the_log(hub: Hub) -> None:
    log = hub.log.read_text()
    assert USERS not in log
    assert ADMINS not in log
    assert "Uncaught exception" not in log
