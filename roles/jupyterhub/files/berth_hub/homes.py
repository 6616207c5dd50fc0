"""Asks the root helper (role user_homes) for a user's home."""

import asyncio
import json
from pathlib import Path

TIMEOUT_SECONDS = 15
"""Making a directory takes milliseconds; on a busy host the helper waits in line for a processor."""


async def ensure_home(socket: Path, name: str) -> Path:
    """The home of a user on the host, made if it was missing.

    Raises:
        RuntimeError: if the helper refuses the name or cannot make the home; says why.
    """
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            writer.write(name.encode() + b"\n")
            await writer.drain()
            reply = json.loads(await reader.readline() or b"{}")
        finally:
            writer.close()
    if "home" not in reply:
        raise RuntimeError(f"no home for {name!r}: {reply.get('error', 'the helper gave no answer, see journalctl -u berth-homes@*')}")
    return Path(reply["home"])
