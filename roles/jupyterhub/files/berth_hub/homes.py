"""Asks the root helper (role user_homes) for a user's home."""

import asyncio
import json
from functools import lru_cache
from pathlib import Path

from berth_names import check_name

TIMEOUT_SECONDS = 60
"""Making a directory takes milliseconds; on a busy host Python alone may take a quarter of that to start."""

AT_ONCE = 32
"""How many homes the helper is asked for at once; others wait. It answers twice as many side by side."""

_WHERE_TO_LOOK = "see journalctl -u berth-homes.socket -u berth-homes.service"


async def ensure_home(socket: Path, name: str) -> Path:
    """The home of a user on the host, made if it was missing.

    Raises:
        ValueError: if the name can be nobody's; the helper would take what comes before a line feed for a name.
        RuntimeError: if the helper refuses the name, cannot make the home or does not answer; says why.
    """
    check_name(name)
    try:
        async with _turns(asyncio.get_running_loop()), asyncio.timeout(TIMEOUT_SECONDS):
            reply = await _ask(socket, name)
    except TimeoutError:
        reply = {"error": f"the helper at {socket} gave no answer in {TIMEOUT_SECONDS} s, {_WHERE_TO_LOOK}"}
    except (OSError, ValueError) as error:
        reply = {"error": f"the helper at {socket} cannot be asked ({error}), {_WHERE_TO_LOOK}"}
    if "home" not in reply:
        why = reply.get("error", f"the helper at {socket} gave no answer, {_WHERE_TO_LOOK}")
        raise RuntimeError(f"no home for {name!r}: {why}")
    return Path(reply["home"])


@lru_cache(maxsize=1)
def _turns(_: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE)


async def _ask(socket: Path, name: str) -> dict[str, str]:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(name.encode() + b"\n")
        await writer.drain()
        reply: dict[str, str] = json.loads(await reader.readline() or b"{}")
        return reply
    finally:
        writer.close()
