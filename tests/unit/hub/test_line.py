"""The line of starts: its order, what is told meanwhile, and that nobody who goes away takes room from the others."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from berth_hub import line
from berth_hub.line import Line, Place, in_words
from berth_hub.spawner import BerthSpawner
from dockerspawner import DockerSpawner

from tests.unit.hub.conftest import wait_until
from tests.unit.hub.running_hub import OPERATOR_TOKEN, Running

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

    from tests.unit.hub.running_hub import Hub

HELD = "hold"
"""Users whose names start so have servers that do not start before somebody says so."""

PASSWORD = "a password for tests"


class Starts:
    """Starts in a line of their own; each goes on until it is told to be over."""

    def __init__(self, at_once: int) -> None:
        self.line = Line()
        self.line.at_once = at_once
        self.places: dict[str, Place] = {}
        self.started: list[str] = []
        self.under_way: set[str] = set()
        self.most = 0
        self._over: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def come(self, *names: str) -> None:
        for name in names:
            self._over[name] = asyncio.Event()
            self.places[name] = self.line.join()
            self._tasks[name] = asyncio.create_task(self._start(name))

    async def _start(self, name: str) -> None:
        await self.places[name].turn()
        self.started.append(name)
        self.under_way.add(name)
        self.most = max(self.most, len(self.under_way))
        try:
            await self._over[name].wait()
        finally:
            self.under_way.discard(name)
            self.places[name].leave()

    async def finish(self, name: str) -> None:
        self._over[name].set()
        await self._tasks[name]
        await settled()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._tasks[name]
        await settled()


async def settled() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


def test_whoever_comes_first_starts_first_and_never_too_many_do() -> None:
    async def scenario() -> None:
        names = [f"u{number}" for number in range(50)]
        starts = Starts(3)
        starts.come(*names)
        await settled()
        assert starts.started == names[:3]
        # In an order of their own: the third is over before the first.
        for name in [*names[2::-1], *names[3:]]:
            await starts.finish(name)
        assert starts.started == names
        assert starts.most == 3

    run(scenario())


def test_a_free_place_is_taken_at_once_and_by_nobody_who_comes_later() -> None:
    async def scenario() -> None:
        starts = Starts(1)
        starts.come("a")
        await settled()
        starts.come("b")
        starts.places["a"].leave()
        # Before the loop has told "b" so, somebody else comes.
        starts.come("c")
        await settled()
        assert starts.started == ["a", "b"]

    run(scenario())


def test_everybody_is_told_how_many_are_before_until_it_is_their_turn() -> None:
    async def scenario() -> None:
        starts = Starts(2)
        starts.come("a", "b", "c", "d", "e")
        told: list[int] = []

        async def listen() -> None:
            told.extend([before async for before in starts.places["e"].moves()])

        listening = asyncio.create_task(listen())
        await settled()
        for name in ("a", "b", "c"):
            await starts.finish(name)
        await listening
        assert told == [2, 1, 0]
        assert [before async for before in starts.places["a"].moves()] == []

    run(scenario())


def test_those_who_go_away_make_room_whether_they_wait_or_start() -> None:
    async def scenario() -> None:
        starts = Starts(1)
        starts.come("a", "b", "c", "d")
        await settled()
        await starts.cancel("b")
        assert starts.places["c"].before == 0
        assert starts.started == ["a"]
        await starts.cancel("a")
        assert starts.started == ["a", "c"]
        # Twice is once.
        starts.places["a"].leave()
        starts.places["b"].leave()
        await settled()
        assert starts.started == ["a", "c"]
        await starts.finish("c")
        assert starts.started == ["a", "c", "d"]

    run(scenario())


def test_somebody_who_goes_away_in_the_moment_of_the_turn_makes_room() -> None:
    async def scenario() -> None:
        starts = Starts(1)
        starts.come("a", "b", "c")
        await settled()
        starts.places["a"].leave()
        await starts.cancel("b")
        assert starts.started == ["a", "c"]

    run(scenario())


def test_a_start_that_hangs_lets_others_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PATIENCE_SECONDS", 0.05)

    async def scenario() -> None:
        starts = Starts(1)
        starts.come("hangs", "next")
        while "next" not in starts.started:
            await asyncio.sleep(0.01)
        assert starts.under_way == {"hangs", "next"}
        await starts.finish("hangs")

    run(scenario())


@pytest.mark.parametrize(
    ("before", "said"),
    [(0, "yours is next"), (1, "1 is before yours"), (30, "30 are before yours")],
)
def test_the_place_in_words(before: int, said: str) -> None:
    assert in_words(before).endswith(f"{said}.")


@pytest.mark.parametrize(
    ("asleep", "state", "profile", "how"),
    [
        ("asleep", {"Paused": True}, "small", "at once"),
        ("asleep", {"Paused": True}, "large", "in line"),
        ("asleep", {"Paused": False}, "small", "in line"),
        ("asleep", None, "small", "in line"),
        ("new", None, "small", "in line"),
    ],
)
def test_only_a_berth_that_wakes_goes_past_the_line(
    monkeypatch: pytest.MonkeyPatch, asleep: str, state: dict[str, bool] | None, profile: str, how: str
) -> None:
    """One that is gone, or is another than its user asks for now, costs as much as any other start."""

    async def found(_: Any) -> dict[str, Any] | None:
        return state and {
            "State": state,
            "Config": {"Env": ["JUPYTERHUB_SERVICE_PREFIX=/user/alice/"]},
            "Mounts": [],
        }

    monkeypatch.setattr(DockerSpawner, "get_object", found)
    monkeypatch.setattr(BerthSpawner, "get_env", lambda _: {"JUPYTERHUB_SERVICE_PREFIX": "/user/alice/"})
    one = BerthSpawner(user=SimpleNamespace(name="alice"), orm_spawner=SimpleNamespace(name="", server=None))
    one.last_profile = profile
    if asleep == "asleep":
        one.load_state({"asleep": {"since": "2026-11-24T00:00:00", "token_id": 1, "profile": "small"}})
    assert asyncio.run(one.has_to_wait()) == (how == "in line")


class Storm:
    """A real hub in which two servers start at once, and some not before the test says so."""

    def __init__(self, hub: Hub, gate: Path, started: Path) -> None:
        self.hub = hub
        self._gate = gate
        self._started = started

    def started(self) -> list[str]:
        """Whose servers were told to start, in this order."""
        return self._started.read_text().split()

    def add(self, *names: str) -> None:
        self.hub.users(*({"name": name, "password": PASSWORD} for name in names))

    def ask(self, name: str) -> int:
        return self.hub.api("POST", f"users/{name}/server").status_code

    def release(self) -> None:
        """Let those start that are held."""
        self._gate.touch()

    def server(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.hub.api("GET", f"users/{name}").json().get("servers", {}).get("")
        return found

    def waits_for(self, name: str, message: str) -> None:
        with self.progress(name) as events:
            assert any(message in event.get("message", "") for event in events)

    def progress(self, name: str) -> _Progress:
        return _Progress(f"{self.hub.hub_url}/hub/api/users/{name}/server/progress")


class _Progress:
    """What the page that waits is told, event by event."""

    def __init__(self, url: str) -> None:
        headers = {"Authorization": f"token {OPERATOR_TOKEN}", "Accept": "text/event-stream"}
        self._answer = requests.get(url, headers=headers, stream=True, timeout=30)

    def __enter__(self) -> Iterator[dict[str, Any]]:
        assert self._answer.status_code == 200, self._answer.text
        return (
            json.loads(row.removeprefix(b"data:")) for row in self._answer.iter_lines(1) if row.startswith(b"data:")
        )

    def __exit__(self, *_: object) -> None:
        self._answer.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Path, Path, Running]]:
    base = tmp_path_factory.mktemp("hub")
    gate, started = base / "gate", base / "started"
    spawner = f"""
import asyncio
from pathlib import Path

from berth_hub.line import OrderlySpawner
from jupyterhub.spawner import SimpleLocalProcessSpawner


class Local(OrderlySpawner, SimpleLocalProcessSpawner):
    async def start(self):
        with Path({str(started)!r}).open("a") as file:
            print(self.user.name, file=file)
        while self.user.name.startswith({HELD!r}) and not Path({str(gate)!r}).exists():
            await asyncio.sleep(0.02)
        return await super().start()


c.JupyterHub.spawner_class = Local
c.Local.starts_at_once = 2
# Answers to a request for a server come at once, so that requests keep their order.
c.JupyterHub.tornado_settings = {{**c.JupyterHub.tornado_settings, "slow_spawn_timeout": 0}}
"""
    restarted = Running(base, more=spawner)
    with restarted as hub:
        yield hub, gate, started, restarted


@pytest.fixture
def storm(running: tuple[Hub, Path, Path, Running]) -> Iterator[Storm]:
    hub, gate, started, _ = running
    gate.unlink(missing_ok=True)
    started.write_text("")
    storm = Storm(hub, gate, started)
    yield storm
    storm.release()
    users = [user["name"] for user in hub.users()["users"] if user["name"] != "admin"]
    hub.users(*({"name": name, "state": "absent"} for name in users))


def test_more_than_the_host_can_do_at_once_all_start_in_order_and_see_their_place(storm: Storm) -> None:
    names = [f"hold{number}" for number in range(6)]
    storm.add(*names)
    assert [storm.ask(name) for name in names] == [202] * 6
    told: list[str] = []
    with storm.progress("hold5") as events:
        for event in events:
            told.append(event.get("message", ""))
            if "before yours" in told[-1]:
                storm.release()
            if event.get("ready"):
                break
    places = [message for message in told if "Many servers" in message]
    assert places[0].endswith("3 are before yours.")
    assert places[-1].endswith("yours is next.")
    wait_until(lambda: all((storm.server(name) or {}).get("ready") for name in names), "all are ready")
    assert storm.started() == names


def test_a_start_that_waits_is_not_bound_by_the_time_for_starts(storm: Storm) -> None:
    """JupyterHub takes its time from when it calls the spawner's `start`."""
    storm.add("hold0", "hold1", "waits")
    for name in ("hold0", "hold1", "waits"):
        storm.ask(name)
    storm.waits_for("waits", "yours is next")
    assert (storm.server("waits") or {})["pending"] == "spawn"
    assert storm.started() == ["hold0", "hold1"]


def test_a_start_that_waits_can_be_stopped_and_makes_room(storm: Storm) -> None:
    storm.add("hold0", "hold1", "leaves", "stays")
    for name in ("hold0", "hold1", "leaves", "stays"):
        storm.ask(name)
    storm.waits_for("stays", "1 is before yours")
    assert storm.hub.api("DELETE", "users/leaves/server").status_code == 204
    assert storm.server("leaves") is None
    storm.waits_for("stays", "yours is next")
    assert storm.ask("leaves") == 202
    storm.waits_for("leaves", "1 is before yours")
    # One that starts is stopped, and the first of those who wait has its turn.
    assert storm.hub.api("DELETE", "users/hold0/server").status_code in (202, 204)
    wait_until(lambda: (storm.server("stays") or {}).get("ready", False), "the next one starts")
    wait_until(lambda: (storm.server("leaves") or {}).get("ready", False), "the one after it starts")


@pytest.mark.parametrize("how", ["operator", "api"])
def test_a_user_who_waits_can_be_removed(storm: Storm, how: str) -> None:
    storm.add("hold0", "hold1", "goes", "stays")
    for name in ("hold0", "hold1", "goes", "stays"):
        storm.ask(name)
    storm.waits_for("stays", "1 is before yours")
    began = time.monotonic()
    if how == "operator":
        assert storm.hub.users({"name": "goes", "state": "absent"})["removed"] == ["goes"]
    else:
        assert storm.hub.api("DELETE", "users/goes").status_code == 204
    assert time.monotonic() - began < 10
    storm.waits_for("stays", "yours is next")
    storm.release()
    wait_until(lambda: (storm.server("stays") or {}).get("ready", False), "the next one starts")
    assert storm.hub.user("goes") is None
    assert "goes" not in {user["name"] for user in storm.hub.api("GET", "users?state=active").json()}


def test_a_hub_that_stops_forgets_who_waited(storm: Storm, running: tuple[Hub, Path, Path, Running]) -> None:
    storm.add("hold0", "hold1", "waits")
    for name in ("hold0", "hold1", "waits"):
        storm.ask(name)
    storm.waits_for("waits", "yours is next")
    running[-1].stop()
    running[-1].start()
    assert storm.server("waits") is None
    storm.release()
    assert storm.ask("waits") == 202
    wait_until(lambda: (storm.server("waits") or {}).get("ready", False), "it starts when it is asked for again")


def test_pages_answer_while_many_wait(storm: Storm) -> None:
    names = [f"hold{number}" for number in range(12)]
    storm.add(*names)
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(storm.ask, names)) == {202}
    storm.waits_for("hold11", "before yours")
    assert requests.get(f"{storm.hub.url}/hub/login", timeout=5).status_code == 200
    storm.release()
    wait_until(lambda: all((storm.server(name) or {}).get("ready") for name in names), "all are ready", 60)
