"""The spawner without an engine: names, mounts, and how it notices that a server is ready or has ended."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import berth_hub.spawner
import pytest
import requests
from berth_hub.homes import Home
from berth_hub.spawner import BerthSpawner
from berth_names import directory_name
from docker.errors import APIError, DockerException
from dockerspawner import DockerSpawner

from tests.unit.hub.conftest import free_ports

if TYPE_CHECKING:
    from pathlib import Path


class Ended(BerthSpawner):
    """A berth whose container has ended; the engine's answers are all that is made up."""

    async def poll(self) -> str:
        return "ExitCode=137, Error='', FinishedAt=2026-11-24T00:00:00Z"

    async def docker(self, method: str, *_: object, **__: object) -> bytes:
        assert method == "logs"
        return b"MemoryError: none left\n"


class EndedAndRemoved(Ended):
    """The engine does not know it any more."""

    async def docker(self, method: str, *_: object, **__: object) -> bytes:
        raise RuntimeError(method)


class Alive(BerthSpawner):
    """A berth whose container runs."""

    polls = 0

    async def poll(self) -> None:
        self.polls += 1


def spawner(made: type[BerthSpawner] = BerthSpawner, user: str = "alice", name: str = "") -> Any:
    return made(user=SimpleNamespace(name=user), orm_spawner=SimpleNamespace(name=name, server=None))


@pytest.mark.parametrize(
    ("user", "name", "container"),
    [
        ("alice", "", "berth-alice"),
        ("alice", "gpu", "berth-alice.gpu"),
        ("alice.gpu", "", "berth-alice.gpu."),
        ("alice@example.org", "", f"berth-{directory_name('alice@example.org')}"),
        ("größe", "gpu", f"berth-{directory_name('größe')}.gpu"),
    ],
)
def test_a_container_is_named_after_its_user(user: str, name: str, container: str) -> None:
    assert spawner(user=user, name=name).object_name == container


def test_containers_of_different_users_have_different_names() -> None:
    servers = [
        ("alice", ""),
        ("Alice", ""),
        ("alice.gpu", ""),
        ("alice.", ""),
        ("alice", "x"),
        ("alice", "gpu"),
        ("alice.gpu", "x"),
        ("alice.gpu.x", ""),
        ("é", ""),
        ("e\u0301", ""),
        ("alice-", ""),
    ]
    assert len({spawner(user=user, name=name).object_name for user, name in servers}) == len(servers)


@pytest.mark.parametrize("snapshots", [False, True])
def test_the_home_is_mounted_to_write_and_what_is_shared_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, snapshots: bool
) -> None:
    asked = []

    async def ensure_home(socket: Path, name: str) -> Home:
        asked.append((str(socket), name))
        return Home(tmp_path / "alice", tmp_path / "snapshots" if snapshots else None)

    async def start(self: Any) -> tuple[str, int]:
        return "127.0.0.1", self.port

    async def scenario(one: Any) -> tuple[str, int]:
        server = await asyncio.start_server(answer, "127.0.0.1", one.port)
        async with server:
            address: tuple[str, int] = await one.start()
            return address

    async def no_container(_: Any) -> None:
        return None

    monkeypatch.setattr(berth_hub.spawner, "ensure_home", ensure_home)
    monkeypatch.setattr(DockerSpawner, "start", start)
    monkeypatch.setattr(DockerSpawner, "get_object", no_container)
    one = spawner()
    one.homes_socket, one.shared_directory = "/run/berth-homes.sock", "/srv/berth/shared"
    (one.port,) = free_ports(1)
    assert asyncio.run(scenario(one)) == ("127.0.0.1", one.port)
    assert asked == [("/run/berth-homes.sock", "alice")]
    assert one.volume_binds == {
        str(tmp_path / "alice"): {"bind": "/home/jovyan", "mode": "rw"},
        "/srv/berth/shared": {"bind": "/opt/berth/shared", "mode": "ro"},
        **({str(tmp_path / "snapshots"): {"bind": "/opt/berth/snapshots", "mode": "ro"}} if snapshots else {}),
    }
    assert one.cmd == ["/opt/berth/shared/start", "jupyterhub-singleuser"]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Any answer of an HTTP server will do: the single-user server refuses whom it does not know."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 403 Forbidden\r\n\r\n")
    writer.close()


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the question and never answers it."""
    await reader.read()
    writer.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What answers there speaks no HTTP."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.example.org\r\n")
    writer.close()


def test_a_server_that_starts_late_is_seen_at_once() -> None:
    (port,) = free_ports(1)

    async def scenario() -> float:
        waiting = asyncio.ensure_future(spawner(Alive)._wait_until_ready("127.0.0.1", port))
        await asyncio.sleep(0.4)
        assert not waiting.done()
        async with await asyncio.start_server(answer, "127.0.0.1", port):
            ready = time.monotonic()
            await waiting
            return time.monotonic() - ready

    assert asyncio.run(scenario()) < 0.2


def test_what_listens_but_speaks_no_http_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berth_hub.spawner, "ALIVE_POLL_SECONDS", 0.05)
    (port,) = free_ports(1)
    one = spawner(Alive)

    async def scenario() -> None:
        async with await asyncio.start_server(greet, "127.0.0.1", port):
            await asyncio.wait_for(one._wait_until_ready("127.0.0.1", port), 0.5)

    with pytest.raises(TimeoutError):
        asyncio.run(scenario())
    assert one.polls > 2


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            Ended,
            r"The berth of alice ended before .* \(ExitCode=137.*\)\. Its last lines: MemoryError: none left$",
        ),
        (EndedAndRemoved, r"The berth of alice ended before .* \(ExitCode=137.*\)\.$"),
    ],
)
def test_a_container_that_ended_is_told_with_its_last_lines(
    made: type[BerthSpawner], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(berth_hub.spawner, "ALIVE_POLL_SECONDS", 0.05)
    (port,) = free_ports(1)
    with pytest.raises(RuntimeError, match=message):
        asyncio.run(asyncio.wait_for(spawner(made)._wait_until_ready("127.0.0.1", port), 5))


def test_a_server_that_hangs_does_not_hide_that_its_container_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berth_hub.spawner, "ALIVE_POLL_SECONDS", 0.05)
    monkeypatch.setattr(berth_hub.spawner, "ANSWER_TIMEOUT_SECONDS", 0.1)
    (port,) = free_ports(1)

    async def scenario() -> None:
        async with await asyncio.start_server(hold, "127.0.0.1", port):
            await asyncio.wait_for(spawner(Ended)._wait_until_ready("127.0.0.1", port), 5)

    with pytest.raises(RuntimeError, match="ended before its server answered"):
        asyncio.run(scenario())


def answered(status: int, message: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError(message, response=response)


AWAY = [
    DockerException("Error while fetching server API version"),
    requests.ConnectionError("[Errno 111] Connection refused"),
    requests.ReadTimeout("Read timed out."),
    answered(502, "berth-dock: the engine does not answer"),
]
REFUSED = answered(403, "berth-dock: not one of the hub's")


class Engine(BerthSpawner):
    """A berth whose engine answers one after the other; the last answer for good."""

    answers: list[Any]

    async def docker(self, method: str, *_: object, **__: object) -> Any:
        assert method == "inspect_container"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {"Id": "0123456789ab", "State": answer}


def engine(*answers: Any) -> Any:
    found = spawner(Engine)
    found.answers = list(answers)
    return found


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_an_engine_that_is_away_is_no_server_that_is_gone(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berth_hub.spawner, "ENGINE_AWAY_SECONDS", 0.01)
    assert asyncio.run(engine(error, error, {"Running": True}).poll()) is None


def test_one_whose_container_ended_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berth_hub.spawner, "ENGINE_AWAY_SECONDS", 0.01)
    ended = {"Running": False, "ExitCode": 137, "Error": "", "FinishedAt": "2026-11-24T00:00:00Z"}
    assert "ExitCode=137" in asyncio.run(engine(AWAY[0], ended).poll())


def test_who_stops_waiting_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berth_hub.spawner, "ENGINE_AWAY_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(engine(AWAY[0]).poll(), 0.2))


def test_what_the_broker_refuses_is_not_asked_again() -> None:
    with pytest.raises(APIError, match="403"):
        asyncio.run(engine(REFUSED, {"Running": True}).poll())
