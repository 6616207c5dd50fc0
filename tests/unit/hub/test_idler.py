"""Which servers fall asleep, and whose sleep ends."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from berth_hub.idler import look, make_room, memory_available, path_of, seconds_since
from tornado.httpclient import HTTPClientError


def ago(seconds: float) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)).isoformat()


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
        self._asleep = [one for one in self._asleep if path_of(one["user"], one["server"]) != path.split("/", 2)[2]]
        return None


def asked(hub: Told, after: int = 600, stop_after: int = 3600) -> list[tuple[str, str]]:
    asyncio.run(look(hub, after, stop_after))  # type: ignore[arg-type]
    return hub.asked


def test_who_was_not_heard_of_falls_asleep() -> None:
    hub = Told(
        [
            ("alice", "", {"last_activity": ago(700), "started": ago(9000)}),
            ("bob", "", {"last_activity": ago(500), "started": ago(9000)}),
            ("carol", "second", {"last_activity": None, "started": ago(700)}),
            ("dave", "", {"last_activity": None, "started": ago(10)}),
        ],
        [],
    )
    assert asked(hub) == [("POST", "berth/sleep/alice"), ("POST", "berth/sleep/carol/second")]


@pytest.mark.parametrize(("stop_after", "ended"), [(3600, [("DELETE", "berth/sleep/alice")]), (0, [])])
def test_a_sleep_ends(stop_after: int, ended: list[tuple[str, str]]) -> None:
    asleep = [
        {"user": "alice", "server": "", "since": ago(4000)},
        {"user": "bob", "server": "", "since": ago(3000)},
    ]
    assert asked(Told([], asleep), stop_after=stop_after) == ended


def test_names_and_moments_as_the_hub_writes_them() -> None:
    assert path_of("a/b@c", "") == "a%2Fb%40c"
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
    asyncio.run(make_room(hub, lambda: next(told), 10))  # type: ignore[arg-type]
    assert hub.asked == [("DELETE", f"berth/sleep/{one}") for one in ended]


def test_a_sleep_that_does_not_end_is_not_asked_for_again_and_again() -> None:
    class Refusing(Told):
        async def ask(self, method: str, path: str) -> Any:
            if method == "GET":
                return await super().ask(method, path)
            self.asked.append((method, path))
            raise HTTPClientError(400, "does not sleep")

    hub = Refusing([], list(SLEEPERS))
    asyncio.run(make_room(hub, lambda: 0.0, 10))  # type: ignore[arg-type]
    assert hub.asked == [("DELETE", "berth/sleep/bob/second")]


def test_memory_as_this_kernel_tells_it() -> None:
    assert 0 < memory_available(Path("/proc/meminfo")) < 100


@pytest.mark.parametrize("text", ["", "MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal: much\nMemAvailable: 1 kB\n"])
def test_memory_that_is_not_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(text, encoding="ascii")
    with pytest.raises(ValueError, match=r"meminfo|much"):
        memory_available(tmp_path / "meminfo")
