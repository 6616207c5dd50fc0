"""How the hub asks for a home: over a real socket, answered by the real helper."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import berth_homes
import berth_hub.homes
import pytest
from berth_hub.homes import Home, ensure_home, usage_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Helper(NamedTuple):
    socket: Path
    root: Path


@asynccontextmanager
async def listening(address: Path, answer: Answer) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(answer, address)
    async with server:
        yield


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    """The helper with a listening socket as its standard input, as systemd starts it."""
    (tmp_path / "homes").mkdir()
    program = [sys.executable, "-I", str(Path(berth_homes.__file__).resolve()), "--root", str(tmp_path / "homes")]
    owner = ["--uid", str(os.getuid()), "--gid", str(os.getgid())]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen(64)
        with subprocess.Popen([*program, *owner, "serve"], stdin=server.fileno()) as process:
            yield Helper(tmp_path / "socket", tmp_path / "homes")
            process.terminate()


def test_the_helper_makes_the_home(helper: Helper) -> None:
    first, second, again = (asyncio.run(ensure_home(helper.socket, name)) for name in ("alice", "größe@日本", "alice"))
    assert first == again == Home(helper.root / "alice")
    assert second.path.parent == helper.root
    assert sorted(helper.root.iterdir()) == sorted([first.path, second.path])


def test_a_class_that_logs_in_at_once_gets_its_homes(helper: Helper) -> None:
    async def scenario() -> list[Home]:
        return await asyncio.gather(*(ensure_home(helper.socket, f"user{n % 10}") for n in range(30)))

    homes = asyncio.run(scenario())
    assert {home.path for home in homes} == set(helper.root.iterdir())
    assert len(set(homes)) == 10


def test_more_than_the_helper_has_places_for_wait_in_line(tmp_path: Path) -> None:
    places = berth_homes.AT_ONCE
    now, most = 0, 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        name = (await reader.readline()).decode().strip()
        await asyncio.sleep(0.01)
        writer.write(json.dumps({"home": f"/homes/{name}"}).encode() + b"\n")
        now -= 1
        writer.close()

    async def scenario() -> list[Home]:
        async with listening(tmp_path / "socket", answer):
            return await asyncio.gather(*(ensure_home(tmp_path / "socket", f"user{n}") for n in range(2 * places)))

    assert asyncio.run(scenario()) == [Home(Path(f"/homes/user{n}")) for n in range(2 * places)]
    assert most == berth_hub.homes.AT_ONCE <= places / 2


def test_why_there_is_no_home_reaches_the_user(helper: Helper) -> None:
    (helper.root / "alice").write_text("x")
    with pytest.raises(RuntimeError, match=r"no home for 'alice': .*/homes/alice is not a directory: move it away"):
        asyncio.run(ensure_home(helper.socket, "alice"))


@pytest.mark.parametrize("name", ["alice\nbob", "", "../etc", "a\ud800"])
def test_a_bad_name_is_not_even_sent(tmp_path: Path, name: str) -> None:
    """The helper would take what comes before a line feed for a name, and hand out the home of somebody else."""
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async def scenario() -> None:
        async with listening(tmp_path / "socket", answer):
            await ensure_home(tmp_path / "socket", name)

    with pytest.raises(ValueError, match="user name"):
        asyncio.run(scenario())
    assert asked == []


@pytest.mark.parametrize("reply", [b"", b"{}\n", b"nonsense\n"])
def test_a_helper_that_breaks_down_is_named(tmp_path: Path, reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(reply)
        writer.close()

    async def scenario() -> None:
        async with listening(tmp_path / "socket", answer):
            await ensure_home(tmp_path / "socket", "alice")

    with pytest.raises(RuntimeError, match=r"no home for 'alice': the helper .*journalctl -u berth-homes"):
        asyncio.run(scenario())


def test_a_helper_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berth_hub.homes, "TIMEOUT_SECONDS", 0.2)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.close()

    async def scenario() -> None:
        async with listening(tmp_path / "socket", answer):
            await ensure_home(tmp_path / "socket", "alice")

    with pytest.raises(RuntimeError, match=r"no home for 'alice': the helper at .* gave no answer in 0\.2 s"):
        asyncio.run(scenario())


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"no home for 'alice': the helper at .*/nowhere cannot be asked .*journalctl"
    ):
        asyncio.run(ensure_home(tmp_path / "nowhere", "alice"))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"used": 3 * 1024**3, "quota": 10 * 1024**3}, "3 GB of 10 GB used (30 %)"),
        ({"used": 64 * 1024**2 - 1, "quota": 64 * 1024**2}, "64 MB of 64 MB used (99 %)"),
        ({"used": 16384, "quota": 3 * 1024**3 // 2}, "16 KB of 1.5 GB used (0 %)"),
        ({"used": 16384, "quota": 0}, ""),
        ({"error": "quotas are not on"}, ""),
    ],
)
def test_what_a_home_holds_is_told_in_words(tmp_path: Path, reply: dict[str, object], said: str) -> None:
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()

    async def scenario() -> str:
        async with listening(tmp_path / "socket", answer):
            asked_by_page = usage_of(tmp_path / "socket", SimpleNamespace(name="größe"))
            assert asked_by_page
            return await asked_by_page()

    assert asyncio.run(scenario()) == said
    assert asked == ["\tgröße\n".encode()]


def test_a_page_without_a_user_asks_for_nothing(tmp_path: Path) -> None:
    assert usage_of(tmp_path / "socket", None) is None


def test_where_there_are_snapshots_the_home_comes_with_them(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"home": "/homes/alice", "snapshots": "/homes/.snapshots/alice"}\n')
        writer.close()

    async def scenario() -> Home:
        async with listening(tmp_path / "socket", answer):
            return await ensure_home(tmp_path / "socket", "alice")

    assert asyncio.run(scenario()) == Home(Path("/homes/alice"), Path("/homes/.snapshots/alice"))
