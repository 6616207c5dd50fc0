"""Asks the root helper (role user_homes) for a user's home, and for what it holds."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from berth_names import check_name

TIMEOUT_SECONDS = 60
"""Making a directory takes milliseconds; on a busy host Python alone may take a quarter of that to start."""

AT_ONCE = 32
"""How many homes the helper is asked for at once; others wait. It answers twice as many side by side."""

_WHERE_TO_LOOK = "see journalctl -u berth-homes.socket -u berth-homes.service"


@dataclass(frozen=True)
class Home:
    """Where a user's home is on the host, and its snapshots, if there are any."""

    path: Path
    snapshots: Path | None = None


async def ensure_home(socket: Path, name: str) -> Home:
    """The home of a user on the host, made if it was missing.

    Raises:
        ValueError: if the name can be nobody's; the helper would take what comes before a line feed for a name.
        RuntimeError: if the helper refuses the name, cannot make the home or does not answer; says why.
    """
    reply = await _reply(socket, name, "")
    if "home" not in reply:
        why = reply.get("error", f"the helper at {socket} gave no answer, {_WHERE_TO_LOOK}")
        raise RuntimeError(f"no home for {name!r}: {why}")
    return Home(Path(reply["home"]), Path(reply["snapshots"]) if "snapshots" in reply else None)


async def usage(socket: Path, name: str) -> tuple[int, int] | None:
    """Bytes that a user's home holds, and that it may hold (0: no limit); None where the helper cannot tell."""
    reply = await _reply(socket, name, "\t")
    return (reply["used"], reply["quota"]) if "used" in reply else None


async def described_usage(socket: Path, name: str) -> str:
    """The same in words, for the user; empty where there is nothing to tell."""
    found = await usage(socket, name)
    if not found or not found[1]:
        return ""
    used, quota = found
    return f"{_amount(used)} of {_amount(quota)} used ({100 * used // quota} %)"


def usage_of(socket: Path, user: Any) -> Callable[[], Awaitable[str]] | None:
    """What pages ask for that; JupyterHub calls this for every page, and the helper is asked by those that show it.

    Args:
        socket: The helper's.
        user: JupyterHub's, or None for a page without one.
    """
    return partial(described_usage, socket, user.name) if user else None


def _amount(number: int) -> str:
    for unit, size in (("GB", 1024**3), ("MB", 1024**2)):
        if number >= size:
            return f"{number / size:.1f} {unit}".replace(".0 ", " ")
    return f"{number // 1024} KB"


async def _reply(socket: Path, name: str, kind: str) -> dict[str, Any]:
    check_name(name)
    try:
        async with _turns(asyncio.get_running_loop()), asyncio.timeout(TIMEOUT_SECONDS):
            return await _ask(socket, kind + name)
    except TimeoutError:
        return {"error": f"the helper at {socket} gave no answer in {TIMEOUT_SECONDS} s, {_WHERE_TO_LOOK}"}
    except (OSError, ValueError) as error:
        return {"error": f"the helper at {socket} cannot be asked ({error}), {_WHERE_TO_LOOK}"}


@lru_cache(maxsize=1)
def _turns(_: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE)


async def _ask(socket: Path, request: str) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(request.encode() + b"\n")
        await writer.drain()
        reply: dict[str, Any] = json.loads(await reader.readline() or b"{}")
        return reply
    finally:
        writer.close()
