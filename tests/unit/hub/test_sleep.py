"""Berths that sleep: what wakes as it was, and what happens to a start while a sleep ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from berth_hub.sleep import SleepHandler
from berth_hub.spawner import BerthSpawner
from dockerspawner import DockerSpawner

PROJECT = "/srv/berth/folders/project"
IN_BERTH = "/home/jovyan/shared/project"


def mount(source: str, destination: str, *, writable: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Destination": destination, "RW": writable}


@pytest.mark.parametrize(
    ("mounted", "to_write", "to_read", "wakes"),
    [
        (None, {}, {}, True),
        (None, {PROJECT: IN_BERTH}, {}, True),
        ("writable", {PROJECT: IN_BERTH}, {}, True),
        ("readable", {PROJECT: IN_BERTH}, {}, True),
        ("readable", {}, {PROJECT: IN_BERTH}, True),
        ("writable", {}, {PROJECT: IN_BERTH}, False),
        ("writable", {}, {}, False),
        ("readable", {}, {}, False),
    ],
)
def test_a_berth_with_a_folder_that_its_user_may_not_have_any_more_does_not_wake(
    monkeypatch: pytest.MonkeyPatch,
    mounted: str | None,
    to_write: dict[str, str],
    to_read: dict[str, str],
    *,
    wakes: bool,
) -> None:
    async def found(_: Any) -> dict[str, Any]:
        home = mount("/srv/berth/homes/1", "/home/jovyan", writable=True)
        folder = [mount(PROJECT, IN_BERTH, writable=mounted == "writable")] if mounted else []
        return {"State": {"Paused": True}, "Config": {"Env": []}, "Mounts": [home, *folder]}

    monkeypatch.setattr(DockerSpawner, "get_object", found)
    monkeypatch.setattr(BerthSpawner, "get_env", lambda _: {})
    one = BerthSpawner(user=SimpleNamespace(name="alice"), orm_spawner=SimpleNamespace(name="", server=None))
    one.folders, one.read_only_folders = to_write, to_read
    one.load_state({"asleep": {"since": "2026-11-24T00:00:00", "token_id": 1, "profile": one.last_profile}})
    assert asyncio.run(one.wakes()) == wakes


def test_who_starts_while_the_sleep_ends_is_told_that_it_is_stopping() -> None:
    class Sleeper:
        will_resume = True
        active = False
        _stop_pending = False
        _log_name = "bob"
        orm_spawner = SimpleNamespace(state={})

        def get_state(self) -> dict[str, Any]:
            return {}

        async def end_sleep(self) -> None:
            seen.append(self._stop_pending)

    seen: list[bool] = []
    sleeper = Sleeper()
    user = SimpleNamespace(spawners={"": sleeper}, orm_spawners={"": None}, get_spawner=lambda _: sleeper)
    handler = SimpleNamespace(
        _found=lambda *_: (user, sleeper), db=SimpleNamespace(commit=lambda: None), set_status=seen.append
    )
    asyncio.run(SleepHandler.delete.__wrapped__(handler, "bob", ""))
    assert seen == [True, 204]
    assert not sleeper._stop_pending
    assert user.spawners == {}
