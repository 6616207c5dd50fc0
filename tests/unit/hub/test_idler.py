"""Which servers fall asleep, and whose sleep ends."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from berth_hub.idler import Idler, make_room, memory_available, seconds_since, server_of, sleep_of
from tornado.httpclient import HTTPClientError

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def ago(seconds: float) -> str:
    """Before the moment at which tests begin."""
    return (START - dt.timedelta(seconds=seconds)).isoformat()


class Told:
    """A hub that says who is there and remembers what it was told."""

    def __init__(self, servers: list[tuple[str, str, dict[str, Any]]], asleep: list[dict[str, str]]) -> None:
        self._servers = servers
        self._asleep = asleep
        self.asked: list[tuple[str, str]] = []

    async def servers(self) -> list[tuple[str, str, dict[str, Any]]]:
        return self._servers

    async def ask(self, method: str, path: str) -> Any:
        if method == "GET":
            return self._asleep
        self.asked.append((method, path))
        self._asleep = [one for one in self._asleep if sleep_of(one["user"], one["server"]) != path]
        return None


class Clock:
    """A steady one that a test moves, and the host's, which may jump."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.jumped = 0.0

    def steady(self) -> float:
        return self.seconds

    def hosts(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.seconds - 1000 + self.jumped)

    def ago(self, seconds: float) -> str:
        return (self.hosts() - dt.timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def idler(hub: Told, clock: Clock, after: int = 600, stop_after: int = 0, *, sleep: bool = True) -> Idler:
    return Idler(hub, after, stop_after, sleep=sleep, steady=clock.steady, by_clock=clock.hosts)  # type: ignore[arg-type] # (a hub of the tests)


def look(one: Idler, clock: Clock, seconds: float = 0) -> None:
    clock.seconds += seconds
    asyncio.run(one.look())


def test_who_was_not_heard_of_falls_asleep(clock: Clock) -> None:
    hub = Told(
        [
            ("alice", "", {"last_activity": ago(700), "started": ago(9000)}),
            ("bob", "", {"last_activity": ago(100), "started": ago(9000)}),
            ("carol", "second", {"last_activity": None, "started": ago(700)}),
            ("dave", "", {"last_activity": None, "started": ago(10)}),
        ],
        [],
    )
    one = idler(hub, clock)
    look(one, clock)
    assert hub.asked == [], "the hub is just there: whoever works has not been able to tell it"
    look(one, clock, 299)
    assert hub.asked == []
    look(one, clock, 2)
    assert hub.asked == [("POST", "berth/sleep/alice"), ("POST", "berth/sleep/carol/second")]


def test_or_is_stopped(clock: Clock) -> None:
    told = {"last_activity": ago(700), "started": ago(9000)}
    hub = Told([("alice", "", told), ("a/b", "second", told)], [])
    one = idler(hub, clock, sleep=False)
    look(one, clock)
    look(one, clock, 301)
    assert hub.asked == [("DELETE", "users/alice/server"), ("DELETE", "users/a%2Fb/servers/second")]


@pytest.mark.parametrize("jump", [86400, -86400])
def test_a_clock_that_jumps_puts_nobody_to_sleep_who_works(clock: Clock, jump: float) -> None:
    """Activity is told by the clock of before until a server tells anew, by the clock of now."""
    told = {"last_activity": ago(10), "started": ago(9000)}
    sleeper = {"user": "bob", "server": "", "since": ago(1000)}
    hub = Told([("alice", "", told)], [sleeper])
    one = idler(hub, clock, stop_after=3600)
    look(one, clock)
    clock.jumped = jump
    look(one, clock, 300)
    assert hub.asked == []
    clock.seconds += 300
    told["last_activity"] = clock.ago(30)
    look(one, clock)
    look(one, clock, 569)
    assert hub.asked == []
    look(one, clock, 2)
    assert hub.asked == [("POST", "berth/sleep/alice")]
    look(one, clock, 3600)
    assert hub.asked[-1] == ("DELETE", "berth/sleep/bob")


def test_what_has_changed_since_the_last_look_has_happened_since_then(clock: Clock) -> None:
    told = {"last_activity": ago(10), "started": ago(9000)}
    hub = Told([("alice", "", told)], [])
    one = idler(hub, clock)
    look(one, clock)
    # Told by the clock of before, just before it jumped.
    told["last_activity"] = ago(86400)
    look(one, clock, 60)
    look(one, clock, 539)
    assert hub.asked == []
    look(one, clock, 2)
    assert hub.asked == [("POST", "berth/sleep/alice")]


@pytest.mark.parametrize(("stop_after", "ended"), [(3600, [("DELETE", "berth/sleep/alice")]), (0, [])])
def test_a_sleep_ends(clock: Clock, stop_after: int, ended: list[tuple[str, str]]) -> None:
    asleep = [
        {"user": "alice", "server": "", "since": ago(4000)},
        {"user": "bob", "server": "", "since": ago(3000)},
    ]
    hub = Told([], asleep)
    look(idler(hub, clock, stop_after=stop_after), clock)
    assert hub.asked == ended


def test_names_and_moments_as_the_hub_writes_them() -> None:
    assert sleep_of("a/b@c", "") == "berth/sleep/a%2Fb%40c"
    assert server_of("a/b@c", "") == "users/a%2Fb%40c/server"
    assert seconds_since("2026-01-01T00:00:00Z", dt.datetime(2026, 1, 1, 0, 1, tzinfo=dt.UTC)) == 60
    assert seconds_since("2026-01-01T00:00:00.000000", dt.datetime(2026, 1, 1, 0, 1, tzinfo=dt.UTC)) == 60


SLEEPERS = [
    {"user": "alice", "server": "", "since": ago(3000)},
    {"user": "bob", "server": "second", "since": ago(5000)},
    {"user": "carol", "server": "", "since": ago(4000)},
]


@pytest.mark.parametrize(
    ("available", "ended"),
    [
        ([10.0], []),
        ([9.9, 10.0], ["bob/second"]),
        ([1.0, 5.0, 30.0], ["bob/second", "carol"]),
        ([0.0] * 9, ["bob/second", "carol", "alice"]),
    ],
)
def test_the_oldest_sleeps_end_until_there_is_memory(available: list[float], ended: list[str]) -> None:
    hub, told = Told([], list(SLEEPERS)), iter(available)
    asyncio.run(make_room(hub, lambda: next(told), 10))  # type: ignore[arg-type] # (a hub of the tests)
    assert hub.asked == [("DELETE", f"berth/sleep/{one}") for one in ended]


def test_a_sleep_that_does_not_end_is_not_asked_for_again_and_again() -> None:
    class Refusing(Told):
        async def ask(self, method: str, path: str) -> Any:
            if method == "GET":
                return await super().ask(method, path)
            self.asked.append((method, path))
            raise HTTPClientError(400, "does not sleep")

    hub = Refusing([], list(SLEEPERS))
    asyncio.run(make_room(hub, lambda: 0.0, 10))  # type: ignore[arg-type] # (a hub of the tests)
    assert hub.asked == [("DELETE", "berth/sleep/bob/second")]


def test_memory_as_this_kernel_tells_it() -> None:
    assert 0 < memory_available(Path("/proc/meminfo")) < 100


@pytest.mark.parametrize("text", ["", "MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal: much\nMemAvailable: 1 kB\n"])
def test_memory_that_is_not_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(text, encoding="ascii")
    with pytest.raises(ValueError, match=r"meminfo|much"):
        memory_available(tmp_path / "meminfo")
