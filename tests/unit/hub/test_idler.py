"""Which servers fall asleep, and whose sleep ends."""

import asyncio
import datetime as dt
from typing import Any

import pytest
from berth_hub.idler import look, path_of, seconds_since


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
