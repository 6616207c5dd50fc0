"""What a user leaves on the engine and in the database: marked so that it is found again, after a restart as well."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from berth_hub.passwords import end_sessions
from berth_hub.traces import TracedSpawner, labels
from berth_names import directory_name
from jupyterhub import orm

if TYPE_CHECKING:
    from pathlib import Path


class Engine(TracedSpawner):
    """A spawner whose engine keeps containers by label; the engine's answers are all that is made up."""

    containers: dict[str, str]

    async def docker(self, method: str, *given: Any, **more: Any) -> Any:
        if method == "containers":
            assert more["all"]
            key, _, value = more["filters"]["label"].partition("=")
            return [{"Id": one} for one, label in self.containers.items() if (key, value) == ("berth.home", label)]
        assert (method, more) == ("remove_container", {"v": True, "force": True})
        del self.containers[given[0]]
        return None


def spawner(user: str, known: orm.Spawner | None = None) -> Engine:
    return Engine(user=SimpleNamespace(name=user), orm_spawner=known or SimpleNamespace(name="", server=None))


def test_only_what_is_the_users_is_removed() -> None:
    """`alice.gpu` may be a server of Alice's or somebody of that name: names do not tell, labels do."""
    mine = spawner("alice")
    mine.containers = {"one": "alice", "two": "alice.gpu", "three": "alice", "four": directory_name("Alice")}
    asyncio.run(mine.remove_leftovers())
    assert list(mine.containers) == ["two", "four"]


def test_the_label_is_as_unique_as_the_home() -> None:
    names = ["alice", "alice.gpu", "größe", "{username}"]
    marks = [labels(spawner(name))["labels"]["berth.home"] for name in names]
    assert marks == [directory_name(name) for name in names]


def test_after_a_restart_the_server_keeps_its_token_and_no_other_is_kept(tmp_path: Path) -> None:
    database = orm.new_session_factory(f"sqlite:///{tmp_path / 'hub.sqlite'}")()
    user = orm.User(name="alice")
    known = orm.Spawner(name="", user=user)
    database.add_all([user, known, orm.OAuthClient(identifier="jupyterhub", secret="")])
    database.commit()
    tokens = [user.new_api_token(note="Server at /user/alice/") for _ in range(3)]
    before = spawner("alice", known)
    before.api_token = tokens[1]
    state = before.get_state()
    assert tokens[1] not in str(state)

    after = spawner("alice", known)
    after.load_state(state)
    assert after.get_state()["token_id"] == state["token_id"]
    running = SimpleNamespace(active=True, api_token="", orm_spawner=SimpleNamespace(state=after.get_state()))
    cookie = user.cookie_id
    end_sessions(database, SimpleNamespace(spawners={"": running}, orm_user=user))
    assert [bool(orm.APIToken.find(database, token)) for token in tokens] == [False, True, False]
    assert user.cookie_id != cookie
    after.clear_state()
    assert "token_id" not in after.get_state()
