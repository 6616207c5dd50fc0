"""The pages for a new password in a running hub: one's own, and somebody else's for admins."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import bcrypt
import pytest
import requests
from berth_hub.passwords import hash_all

from tests.unit.hub.conftest import wait_until
from tests.unit.hub.pages import said, send
from tests.unit.hub.running_hub import ADMIN_PASSWORD, FAILED_LOGINS_MAX, Hub, Running
from tests.unit.hub.traefik import status

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = "a password good enough"
OTHER = "another one, as good"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Running(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def alice(hub: Hub) -> Iterator[str]:
    hub.users({"name": "alice", "password": GOOD})
    yield "alice"
    hub.users({"name": "alice", "state": "absent"})


def logged_in(hub: Hub, name: str, password: str) -> requests.Session:
    session = hub.log_in(name, password)
    assert session is not None
    return session


def change(hub: Hub, session: requests.Session, old: str, new: str, again: str | None = None) -> requests.Response:
    form = {"old_password": old, "new_password": new, "new_password_confirmation": new if again is None else again}
    return send(hub, session, "change-password", **form)


def is_in(hub: Hub, session: requests.Session) -> bool:
    return session.get(f"{hub.url}/hub/home", timeout=30, allow_redirects=False).status_code == 200


def test_a_new_password_is_chosen_and_ends_all_else(hub: Hub, alice: str) -> None:
    here, elsewhere = logged_in(hub, alice, GOOD), logged_in(hub, alice, GOOD)
    token = hub.api("POST", f"users/{alice}/tokens", json={"note": "Server at /user/alice/"}).json()["token"]
    assert hub.api("GET", "user", token=token).status_code == 200
    answer = change(hub, here, GOOD, OTHER)
    assert answer.status_code == 200
    assert "is changed" in (said(answer, "done") or "")
    assert is_in(hub, here)
    assert not is_in(hub, elsewhere)
    assert hub.api("GET", "user", token=token).status_code == 403
    assert hub.log_in(alice, GOOD) is None
    assert hub.log_in(alice, OTHER) is not None


def test_a_running_server_goes_on(hub: Hub, alice: str) -> None:
    """The server speaks to the hub with a token of the user's: without it nobody could use the server any more."""
    assert hub.api("POST", f"users/{alice}/server").status_code in (201, 202)
    wait_until(lambda: status(f"{hub.url}/user/alice/") == 418, "the server answers", 60)
    notes = {token["note"] for token in hub.api("GET", f"users/{alice}/tokens").json()["api_tokens"]}
    assert notes == {"Server at /user/alice/"}
    hub.api("POST", f"users/{alice}/tokens", json={"note": "Server at /user/alice/"})
    assert change(hub, logged_in(hub, alice, GOOD), GOOD, OTHER).status_code == 200
    left = hub.api("GET", f"users/{alice}/tokens").json()["api_tokens"]
    assert [token["note"] for token in left] == ["Server at /user/alice/"]
    assert "self" not in str(left[0]["scopes"])
    assert status(f"{hub.url}/user/alice/") == 418


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("not the old one", OTHER, OTHER), "The old password is wrong."),
        (("", OTHER, OTHER), "The old password is wrong."),
        ((GOOD, OTHER, GOOD), "The two new passwords differ."),
        ((GOOD, GOOD, GOOD), "The new password is the old one."),
        ((GOOD, "short", "short"), "A password has at least 8 characters."),
        ((GOOD, "password1", "password1"), "That password is among those that are tried first"),
        ((GOOD, "x" * 73, "x" * 73), "A password has at most 72 bytes in UTF-8."),
    ],
)
def test_what_is_refused_changes_nothing(hub: Hub, alice: str, given: tuple[str, str, str], message: str) -> None:
    session, elsewhere = logged_in(hub, alice, GOOD), logged_in(hub, alice, GOOD)
    answer = change(hub, session, *given)
    assert answer.status_code == 400
    assert message in (said(answer, "problem") or "")
    assert is_in(hub, elsewhere)
    assert hub.log_in(alice, GOOD) is not None


def test_the_rules_are_shown(hub: Hub, alice: str) -> None:
    page = logged_in(hub, alice, GOOD).get(f"{hub.url}/hub/change-password", timeout=30)
    assert "At least 8 characters" in (said(page, "rules") or "")


def test_wrong_old_passwords_lock_out(hub: Hub, alice: str) -> None:
    """Whoever finds an open browser must not guess there for as long as they like."""
    session = logged_in(hub, alice, GOOD)
    for _ in range(FAILED_LOGINS_MAX):
        assert change(hub, session, "wrong password", OTHER).status_code == 400
    answer = change(hub, session, GOOD, OTHER)
    assert "Too many wrong passwords" in (said(answer, "problem") or "")
    found = hub.user(alice)
    assert found is not None
    assert found["locked"] is True
    assert found["locked_until"]


def test_nobody_changes_it_without_login_or_with_a_form_of_another_site(hub: Hub, alice: str) -> None:
    address = f"{hub.url}/hub/change-password"
    form = {"old_password": GOOD, "new_password": OTHER, "new_password_confirmation": OTHER}
    assert requests.get(address, timeout=30, allow_redirects=False).status_code == 302
    assert requests.post(address, data=form, timeout=30, allow_redirects=False).status_code == 403
    session = logged_in(hub, alice, GOOD)
    assert session.post(address, data=form, timeout=30).status_code == 403
    assert hub.log_in(alice, GOOD) is not None


def test_an_admin_makes_up_a_new_one(hub: Hub, alice: str) -> None:
    for _ in range(FAILED_LOGINS_MAX):
        hub.log_in(alice, "wrong password")
    session = logged_in(hub, "admin", ADMIN_PASSWORD)
    password = said(send(hub, session, f"change-password/{alice}"), "password")
    assert password is not None
    assert hub.log_in(alice, GOOD) is None
    assert hub.log_in(alice, password) is not None
    assert is_in(hub, session)
    assert session.get(f"{hub.url}/hub/change-password/nobody", timeout=30).status_code == 404
    assert session.get(f"{hub.url}/hub/change-password/admin", timeout=30).status_code == 400
    assert password not in hub.log.read_text()


def test_only_admins_do(hub: Hub, alice: str) -> None:
    hub.users({"name": "bob", "password": GOOD})
    session = logged_in(hub, alice, GOOD)
    for path in ("change-password/bob", "people"):
        assert session.get(f"{hub.url}/hub/{path}", timeout=30).status_code == 403
        xsrf = session.cookies.get("_xsrf", path="/hub/")
        form = {"_xsrf": xsrf, "name": "bob", "action": "unlock"}
        assert session.post(f"{hub.url}/hub/{path}", data=form, timeout=30).status_code == 403
    admin = logged_in(hub, "admin", ADMIN_PASSWORD)
    assert admin.post(f"{hub.url}/hub/change-password/bob", timeout=30).status_code == 403  # without XSRF token
    assert hub.log_in("bob", GOOD) is not None
    hub.users({"name": "bob", "state": "absent"})


def test_an_admin_ends_a_lock_out(hub: Hub, alice: str) -> None:
    for _ in range(FAILED_LOGINS_MAX):
        hub.log_in(alice, "wrong password")
    session = logged_in(hub, "admin", ADMIN_PASSWORD)
    assert 'aria-label="Unlock alice"' in session.get(f"{hub.url}/hub/people", timeout=30).text
    answer = send(hub, session, "people", name=alice, action="unlock")
    assert said(answer, "done") == "alice is no longer locked out."
    assert 'aria-label="Unlock alice"' not in answer.text
    assert hub.log_in(alice, GOOD) is not None


def test_the_hub_goes_on_while_a_class_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(password: bytes, salt: bytes) -> bytes:  # noqa: ARG001 (bcrypt's signature)
        time.sleep(0.05)
        return password

    monkeypatch.setattr(bcrypt, "hashpw", slow)

    async def scenario() -> tuple[list[bytes], int]:
        hashing = asyncio.ensure_future(hash_all([f"password {n}" for n in range(40)]))
        turns = 0
        while not hashing.done():
            turns += 1
            await asyncio.sleep(0.001)
        return hashing.result(), turns

    hashes, turns = asyncio.run(scenario())
    assert hashes == [f"password {n}".encode() for n in range(40)]
    # On the event loop it would have been none.
    assert turns > 10
