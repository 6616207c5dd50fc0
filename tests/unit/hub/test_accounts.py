"""Accounts in a running hub: what the playbook of the users can do, who may do it, and who gets in."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
import requests
from berth_hub import accounts, passwords

from tests.unit.hub.conftest import wait_until
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


def test_the_configured_admin_has_an_account_from_the_start(hub: Hub) -> None:
    found = hub.user("admin")
    assert found is not None
    assert found["admin"] is True
    assert hub.log_in("admin", ADMIN_PASSWORD) is not None


def test_an_account_comes_and_goes(hub: Hub) -> None:
    made = hub.users({"name": "bob", "password": GOOD})
    assert (made["created"], made["changed"], made["removed"]) == (["bob"], ["bob"], [])
    found = hub.user("bob")
    assert found is not None
    assert (found["admin"], found["servers"], found["locked"]) == (False, 0, False)
    assert found["created"]
    assert hub.log_in("bob", GOOD) is not None

    again = hub.users({"name": "bob", "password": GOOD})
    assert (again["created"], again["changed"], again["removed"]) == ([], [], [])

    gone = hub.users({"name": "bob", "state": "absent"})
    assert (gone["created"], gone["changed"], gone["removed"]) == ([], ["bob"], ["bob"])
    assert hub.user("bob") is None
    assert hub.log_in("bob", GOOD) is None
    assert hub.user("bob") is None
    assert hub.users({"name": "bob", "state": "absent"})["changed"] == []


def test_a_password_comes_along_from_another_hub(hub: Hub) -> None:
    kept = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(12)).decode()
    try:
        assert hub.users({"name": "bob", "password_hash": kept})["passwords_set"] == ["bob"]
        assert hub.log_in("bob", GOOD) is not None
        assert hub.log_in("bob", OTHER) is None
        # Who has one here keeps it.
        other = bcrypt.hashpw(OTHER.encode(), bcrypt.gensalt(12)).decode()
        assert hub.users({"name": "bob", "password_hash": other})["changed"] == []
        assert hub.log_in("bob", GOOD) is not None
    finally:
        hub.users({"name": "bob", "state": "absent"})


def test_what_is_kept_here_could_go_to_another_hub() -> None:
    passwords.check_hash(passwords._hash(GOOD).decode())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"password_hash": bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()}, "12 rounds"),
        ({"password_hash": "$2b$31$" + "a" * 53}, "12 rounds"),
        ({"password_hash": "in the clear"}, "12 rounds"),
        ({"password_hash": "$2b$12$" + "a" * 53, "password": GOOD}, "leave one out"),
    ],
)
def test_what_cannot_be_compared_with_is_no_hash(hub: Hub, given: dict[str, str], says: str) -> None:
    assert says in hub.refused({"name": "bob", **given})


def test_who_comes_back_under_the_same_name_starts_anew(hub: Hub, alice: str) -> None:
    session = hub.log_in(alice, GOOD)
    assert session is not None
    hub.users({"name": alice, "state": "absent"})
    hub.users({"name": alice, "password": OTHER, "admin": True})
    assert hub.log_in(alice, GOOD) is None
    assert hub.log_in(alice, OTHER) is not None
    assert session.get(f"{hub.url}/hub/home", timeout=30, allow_redirects=False).status_code == 302


def test_several_at_once_in_the_order_of_the_request(hub: Hub) -> None:
    names = ["dora", "carl", "emma"]
    assert hub.users(*({"name": name, "password": GOOD} for name in names))["created"] == names
    told = hub.users()
    assert [user["name"] for user in told["users"]] == ["admin", "carl", "dora", "emma"]
    assert told["exact_names"] is False
    assert hub.users(*({"name": name, "state": "absent"} for name in names))["removed"] == names


def test_admin_rights_are_given_and_taken(hub: Hub, alice: str) -> None:
    assert hub.users({"name": alice, "admin": True})["changed"] == [alice]
    assert hub.users({"name": alice, "admin": True})["changed"] == []
    session = hub.log_in(alice, GOOD)
    assert session is not None
    assert session.get(f"{hub.url}/hub/admin", timeout=30).status_code == 200
    assert hub.users({"name": alice, "admin": False})["changed"] == [alice]
    assert session.get(f"{hub.url}/hub/admin", timeout=30).status_code == 403
    found = hub.user(alice)
    assert found is not None
    assert found["admin"] is False


def test_groups_are_made_added_to_and_left(hub: Hub, alice: str) -> None:
    def groups() -> list[str]:
        found = hub.user(alice)
        assert found is not None
        return list(found["groups"])

    assert hub.users({"name": alice, "groups": ["students", "größen.1"]})["changed"] == [alice]
    assert hub.users({"name": alice, "groups": ["students"]})["changed"] == []
    assert groups() == ["größen.1", "students"]
    done = hub.users({"name": alice, "groups": ["lab"], "groups_absent": ["students", "nobody-knows"]})
    assert done["changed"] == [alice]
    assert groups() == ["größen.1", "lab"]
    assert done["groups"] == ["größen.1", "lab", "students"]
    assert hub.api("GET", "groups/lab", token=None).status_code == 403
    for bad in ("", "a b", "a;b", "a/b", "-a", "x" * 101):
        assert f"{bad!r} is not a group" in hub.refused({"name": alice, "groups": [bad]})
    assert groups() == ["größen.1", "lab"]


def test_a_dry_run_tells_and_changes_nothing(hub: Hub, alice: str) -> None:
    wanted: list[dict[str, Any]] = [
        {"name": "bob", "password": GOOD, "groups": ["dry"]},
        {"name": alice, "groups": ["dry"], "password": OTHER, "update_password": "always"},
    ]
    answer = hub.api("POST", "berth/users", json={"users": wanted, "check": True}).json()
    assert (answer["created"], answer["changed"], answer["passwords_set"]) == (["bob"], ["bob", alice], ["bob", alice])
    assert "dry" not in answer["groups"]
    assert hub.user("bob") is None
    assert hub.log_in(alice, GOOD) is not None
    gone = hub.api("POST", "berth/users", json={"users": [{"name": alice, "state": "absent"}], "check": True}).json()
    assert gone["removed"] == [alice]
    assert hub.user(alice) is not None


def test_an_entry_is_called_as_the_file_has_it(hub: Hub) -> None:
    first = {"name": "bob", "password": GOOD, "where": "class.csv line 2"}
    second = {"name": "BOB", "password": GOOD, "where": "class.csv line 3"}
    assert hub.refused(first, second) == "class.csv line 3: 'bob' is there twice, see class.csv line 2"


def test_a_lock_out_is_told_and_ended(hub: Hub, alice: str) -> None:
    assert hub.users({"name": alice, "unlock": True})["unlocked"] == []
    for _ in range(FAILED_LOGINS_MAX):
        hub.log_in(alice, "wrong password")
    found = hub.user(alice)
    assert found is not None
    seconds = (datetime.fromisoformat(found["locked_until"]) - datetime.now(UTC)).total_seconds()
    assert 0 < seconds <= 600
    assert hub.users({"name": alice, "unlock": True})["unlocked"] == [alice]
    assert hub.log_in(alice, GOOD) is not None


def test_a_new_password_by_the_operator_ends_sessions_and_tokens(hub: Hub, alice: str) -> None:
    session = hub.log_in(alice, GOOD)
    assert session is not None
    token = hub.api("POST", f"users/{alice}/tokens", json={}).json()["token"]
    hub.users({"name": alice, "password": OTHER, "update_password": "always"})
    assert session.get(f"{hub.url}/hub/home", timeout=30, allow_redirects=False).status_code == 302
    assert hub.api("GET", "user", token=token).status_code == 403


def test_nothing_said_about_admin_changes_nothing(hub: Hub, alice: str) -> None:
    hub.users({"name": alice, "admin": True})
    assert hub.users({"name": alice, "password": GOOD})["changed"] == []
    found = hub.user(alice)
    assert found is not None
    assert found["admin"] is True


def test_a_password_is_replaced_only_when_that_is_asked_for(hub: Hub, alice: str) -> None:
    assert hub.users({"name": alice, "password": OTHER})["changed"] == []
    assert hub.log_in(alice, GOOD) is not None
    assert hub.users({"name": alice, "password": OTHER, "update_password": "always"})["changed"] == [alice]
    assert hub.log_in(alice, GOOD) is None
    assert hub.log_in(alice, OTHER) is not None


def test_a_user_without_an_account_gets_one(hub: Hub) -> None:
    """Whom an admin has added on JupyterHub's own page has no password yet."""
    assert hub.api("POST", "users/frank").status_code == 201
    assert hub.users({"name": "frank", "password": GOOD})["changed"] == ["frank"]
    assert hub.log_in("frank", GOOD) is not None
    hub.users({"name": "frank", "state": "absent"})


@pytest.mark.parametrize(
    "name", ["größe", "日本", "alice@example.org", "alice+tests@example.org", "o'neil", "a.b-c_d", "x" * 100]
)
def test_names_of_every_kind_can_log_in(hub: Hub, name: str) -> None:
    assert hub.users({"name": name, "password": GOOD})["created"] == [name]
    session = hub.log_in(name, GOOD)
    assert session is not None
    assert session.get(f"{hub.url}/hub/home", timeout=30).status_code == 200
    assert hub.users({"name": name, "state": "absent"})["removed"] == [name]


def test_names_are_the_same_in_capitals(hub: Hub) -> None:
    assert hub.users({"name": "Gina", "password": GOOD})["created"] == ["gina"]
    assert hub.users({"name": "GINA", "password": GOOD})["created"] == []
    assert hub.log_in("gInA", GOOD) is not None
    hub.users({"name": "gina", "state": "absent"})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "bad"}, "user 2 (bad): 'bad' is new and needs a password"),
        ({"name": "bad", "password": "short"}, "user 2 (bad): a password has at least 8 characters"),
        ({"name": "bad", "password": "password1"}, "user 2 (bad): that password is among those that are tried first"),
        ({"name": "bad", "password": "x" * 73}, "user 2 (bad): a password has at most 72 bytes in UTF-8"),
        ({"name": "bad", "password": "ü" * 37}, "user 2 (bad): a password has at most 72 bytes in UTF-8"),
        ({"name": "a/b", "password": GOOD}, "user 2 (a/b): user name 'a/b' holds a \"/\""),
        ({"name": "a b", "password": GOOD}, "user 2 (a b): 'a b' is not a user name"),
        ({"name": "a,b", "password": GOOD}, "user 2 (a,b): 'a,b' is not a user name"),
        ({"name": "", "password": GOOD}, "user 2 (): a user name has 1 to"),
        ({"name": "..", "password": GOOD}, "user 2 (..): '..' is not a user name"),
        ({"name": "x" * 256, "password": GOOD}, "a user name has 1 to"),
        ({"name": "a\nb", "password": GOOD}, "holds a control character"),
        (
            {"name": "admin", "state": "absent"},
            "user 2 (admin): 'admin' is in jupyterhub_admins: take it out there first",
        ),
        (
            {"name": "Admin", "state": "absent"},
            "user 2 (Admin): 'admin' is in jupyterhub_admins: take it out there first",
        ),
        ({"name": "bad", "pasword": GOOD}, "users.1.pasword: Extra inputs are not permitted"),
        ({"name": "bad", "state": "gone"}, "users.1.state: Input should be 'present', 'absent'"),
        ({"password": GOOD}, "users.1.name: Field required"),
    ],
)
def test_one_bad_entry_and_nothing_is_changed(hub: Hub, entry: dict[str, Any], message: str) -> None:
    assert message in hub.refused({"name": "good", "password": GOOD}, entry)
    assert hub.user("good") is None


def test_a_refused_password_leaves_the_old_one(hub: Hub, alice: str) -> None:
    hub.refused({"name": alice, "password": "short", "update_password": "always"})
    assert hub.log_in(alice, GOOD) is not None


@pytest.mark.parametrize("content", ["[]", "1", '{"users": 1}', "{"])
def test_what_is_no_list_of_users_is_refused(hub: Hub, content: str) -> None:
    assert hub.api("POST", "berth/users", data=content).status_code == 400


def test_only_the_operator_may(hub: Hub, alice: str) -> None:
    wanted = {"users": [{"name": "mallory", "password": GOOD}]}
    session = hub.log_in(alice, GOOD)
    assert session is not None
    xsrf = {"X-XSRFToken": session.cookies.get("_xsrf", path="/hub/")}
    address = f"{hub.url}/hub/api/berth/users"
    assert session.post(address, json=wanted, headers=xsrf, timeout=30).status_code == 403
    for token in (None, "wrong", "reader-token-for-tests"):
        assert hub.api("POST", "berth/users", token=token, json=wanted).status_code == 403
    assert hub.user("mallory") is None
    assert hub.api("GET", "users", token="reader-token-for-tests").status_code == 200


def test_a_form_of_another_site_cannot_log_anybody_in(hub: Hub, alice: str) -> None:
    answer = requests.post(f"{hub.url}/hub/login", data={"username": alice, "password": GOOD}, timeout=30)
    assert answer.status_code == 403
    assert "jupyterhub-hub-login" not in answer.cookies


@pytest.mark.parametrize(
    "wrong", ["", "A password good enough", GOOD + " ", GOOD + "\0", "x" * 73, "ü" * 5000, GOOD * 10]
)
def test_a_wrong_password_is_refused(hub: Hub, alice: str, wrong: str) -> None:
    assert hub.log_in(alice, wrong) is None


def test_the_longest_password_counts_to_its_last_byte(hub: Hub, alice: str) -> None:
    longest = "ü" * 36
    hub.users({"name": alice, "password": longest, "update_password": "always"})
    assert hub.log_in(alice, longest) is not None
    assert hub.log_in(alice, longest[:-1] + "u") is None
    assert hub.log_in(alice, longest + "x") is None


@pytest.mark.parametrize("name", ["nobody", "", "a/b", "x" * 1000, "a\0b", "' OR 1=1 --"])
def test_an_unknown_name_is_refused_like_a_wrong_password(hub: Hub, name: str) -> None:
    assert hub.log_in(name, GOOD) is None


def test_guessing_is_stopped_and_a_new_password_lets_in_again(hub: Hub, alice: str) -> None:
    for _ in range(FAILED_LOGINS_MAX):
        found = hub.user(alice)
        assert found is not None
        assert found["locked"] is False
        assert hub.log_in(alice, "wrong password") is None
    found = hub.user(alice)
    assert found is not None
    assert found["locked"] is True
    assert hub.log_in(alice, GOOD) is None
    assert hub.log_in("admin", ADMIN_PASSWORD) is not None

    hub.users({"name": alice, "password": OTHER, "update_password": "always"})
    assert hub.log_in(alice, OTHER) is not None


def test_guessing_at_once_is_stopped_as_well(hub: Hub, alice: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda n: hub.log_in(alice, f"wrong password {n}"), range(8))) == {None}
    assert hub.log_in(alice, GOOD) is None


def test_a_login_in_between_starts_the_count_anew(hub: Hub, alice: str) -> None:
    for _ in range(2):
        for _ in range(FAILED_LOGINS_MAX - 1):
            assert hub.log_in(alice, "wrong password") is None
        assert hub.log_in(alice, GOOD) is not None


@pytest.mark.parametrize("path", ["signup", "authorize", "authorize/alice", "discard/alice", "confirm/x"])
def test_there_is_neither_sign_up_nor_approval(hub: Hub, alice: str, path: str) -> None:
    """Not even for admins: a link on another site could take somebody's account with a mere GET."""
    session = hub.log_in("admin", ADMIN_PASSWORD)
    assert session is not None
    assert session.get(f"{hub.url}/hub/{path}", timeout=30).status_code == 404
    assert requests.get(f"{hub.url}/hub/{path}", timeout=30).status_code == 404
    assert hub.log_in(alice, GOOD) is not None


def test_pages_lead_to_the_page_for_a_new_password_and_not_to_those_that_are_not_there(hub: Hub) -> None:
    session = hub.log_in("admin", ADMIN_PASSWORD)
    assert session is not None
    page = session.get(f"{hub.url}/hub/home", timeout=30).text
    assert 'href="/hub/change-password"' in page
    assert "authorize" not in page
    assert "change-password" not in requests.get(f"{hub.url}/hub/login", timeout=30).text


def test_removing_a_user_stops_the_server(hub: Hub) -> None:
    hub.users({"name": "henry", "password": GOOD})
    assert hub.api("POST", "users/henry/server").status_code in (201, 202)

    def servers() -> int:
        found = hub.user("henry")
        assert found is not None
        return int(found["servers"])

    address = f"{hub.url}/user/henry/"
    wait_until(lambda: status(address) == 418, "the server answers")
    assert servers() == 1
    assert hub.users({"name": "henry", "state": "absent"})["removed"] == ["henry"]
    wait_until(lambda: status(address) != 418, "the route is gone")
    assert hub.user("henry") is None


def test_servers_that_are_just_starting_are_waited_for_and_stopped(hub: Hub) -> None:
    names = ["henry", "ida"]
    hub.users(*({"name": name, "password": GOOD} for name in names))
    for name in names:
        assert hub.api("POST", f"users/{name}/server").status_code in (201, 202)
    assert hub.users(*({"name": name, "state": "absent"} for name in names))["removed"] == names
    for name in names:
        address = f"{hub.url}/user/{name}/"
        wait_until(lambda address=address: status(address) != 418, "the route is gone", 60)  # type: ignore[misc]


def test_nothing_secret_and_no_breakdown_is_in_the_log(hub: Hub, alice: str) -> None:
    hub.log_in(alice, GOOD)
    log = hub.log.read_text()
    assert GOOD not in log
    assert ADMIN_PASSWORD not in log
    assert "Uncaught exception" not in log


def test_what_was_made_up_need_not_be_as_long_as_what_people_choose(hub: Hub) -> None:
    hub.users({"name": "zoe", "password": "made-up", "generated": True})
    assert hub.log_in("zoe", "made-up") is not None
    hub.users({"name": "zoe", "state": "absent"})


@pytest.mark.parametrize("is_back", [True, False])
def test_who_has_started_again_meanwhile_is_stopped_before_the_account_goes(
    monkeypatch: pytest.MonkeyPatch, *, is_back: bool
) -> None:
    did: list[str] = []

    async def done(what: str) -> None:
        did.append(what)

    user = SimpleNamespace(
        name="bob", spawners={"": SimpleNamespace(active=is_back)}, delete_spawners=lambda: done("servers deleted")
    )
    authenticator = SimpleNamespace(delete_user=lambda _: did.append("account deleted"))
    handler = SimpleNamespace(authenticator=authenticator, users=SimpleNamespace(delete=lambda _: None))
    monkeypatch.setattr(accounts, "stop_servers", lambda *_: done("stopped"))
    asyncio.run(accounts.remove(handler, user))
    assert did == (["stopped"] if is_back else []) + ["account deleted", "servers deleted"]
