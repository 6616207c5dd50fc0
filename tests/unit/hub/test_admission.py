"""When a change of who may log in ends sessions, and what it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from berth_hub import admission
from berth_hub.settings.authentication import Authentication
from jupyterhub import orm
from jupyterhub.roles import assign_default_roles, create_role, get_default_roles

from tests.unit.hub.conftest import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

PAM = {"way": {"method": "pam"}, "allowed_users": ["alice", "bob"]}


def settings(**changes: Any) -> Authentication:
    return Authentication.model_validate({**SETTINGS["authentication"], **changes})


def github(**changes: Any) -> Authentication:
    way = {"method": "github", "client_id": "x", "url": "https://github.com"}
    return settings(**{"way": way, "allowed_groups": ["org"], **changes})


def google(*domains: str, **changes: Any) -> Authentication:
    return settings(way={"method": "google", "client_id": "x", "url": "", "domains": list(domains)}, **changes)


@pytest.mark.parametrize(
    ("before", "now", "ended"),
    [
        (settings(), settings(), False),
        (settings(), settings(session_days=3, failures_per_address=7), False),
        (settings(), settings(**PAM), True),
        (settings(), settings(allowed_users=["alice"]), True),
        (settings(allowed_users=["alice"]), settings(), False),
        (settings(**PAM), settings(**{**PAM, "allowed_users": ["bob", "alice", "carol"]}), False),
        (settings(**PAM), settings(**{**PAM, "allowed_users": ["alice"]}), True),
        (settings(**PAM), settings(**PAM, allow_all=True), False),
        (settings(**PAM, allow_all=True), settings(**PAM), True),
        (github(), github(allowed_groups=["org", "more"]), False),
        (github(), github(allowed_groups=["other"]), True),
        (github(admin_groups=["org:admins"]), github(), True),
        (github(), github(way={"method": "github", "client_id": "x", "url": "https://github.example.org"}), True),
        (google("a.org"), google("a.org", "b.org"), False),
        (google("a.org", "b.org"), google("a.org"), True),
        (google("a.org"), google("a.org", allowed_users=["x@a.org"]), True),
        (google("a.org"), google(allow_all=True), False),
        (google(allow_all=True), google("a.org"), True),
    ],
)
def test_sessions_end_only_if_somebody_may_be_shut_out(before: Authentication, now: Authentication, ended: Any) -> None:
    assert admission.shuts_out(admission.described(before), admission.described(now)) is ended


def test_another_shared_password_shuts_out_who_knew_the_old() -> None:
    shared = settings(way={"method": "shared-password"}, allow_all=True)
    one, two = (admission.described(shared, seal) for seal in ("one", "two"))
    assert admission.shuts_out(one, two)
    assert not admission.shuts_out(one, one)


@pytest.fixture
def db(tmp_path: Path) -> Any:
    database = orm.new_session_factory(f"sqlite:///{tmp_path / 'hub.sqlite'}")()
    for role in get_default_roles():
        create_role(database, role)
    database.add(orm.OAuthClient(identifier="jupyterhub"))
    for name in ("admin", "alice"):
        user = orm.User(name=name, admin=name == "admin")
        database.add(user)
        database.commit()
        assign_default_roles(database, entity=user)
    return database


def test_sessions_and_tokens_end_and_running_servers_go_on(db: Any, tmp_path: Path) -> None:
    alice = db.query(orm.User).filter_by(name="alice").one()
    cookie = alice.cookie_id
    note = "Server at /user/alice/"
    of_the_server = ["access:servers!server=alice/", "users:activity!user=alice"]
    server = alice.new_api_token(note=note, scopes=of_the_server)
    mine = alice.new_api_token(note=note, scopes=["self"])
    session = alice.new_api_token(session_id="s", scopes=of_the_server)
    file = tmp_path / "admission.json"

    assert admission.apply(db, file, settings(), {"admin"}) == "new"
    assert admission.apply(db, file, settings(), {"admin"}) == "same"
    assert alice.cookie_id == cookie
    assert all(orm.APIToken.find(db, token) for token in (server, mine, session))

    assert admission.apply(db, file, settings(**PAM), {"alice"}) == "ended"
    db.expire_all()
    assert alice.cookie_id != cookie
    assert orm.APIToken.find(db, server) is not None
    assert orm.APIToken.find(db, mine) is None
    assert orm.APIToken.find(db, session) is None
    assert json.loads(file.read_text())["method"] == "pam"
    # Whoever is called so by the host need not be who was called so by the hub.
    assert db.query(orm.User).filter_by(name="admin").one().admin is False


def test_a_hub_from_before_had_accounts_of_its_own(db: Any, tmp_path: Path) -> None:
    assert admission.apply(db, tmp_path / "admission.json", settings(**PAM), set()) == "ended"
