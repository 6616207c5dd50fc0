"""A service of the hub's: puts idle berths to sleep, and ends sleeps when they last too long or memory is short.

What is idle is what JupyterHub's own idle culler calls so: nothing was heard of the server for a time.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

PAGE = 200
"""Users asked for at once."""

MEMORY_SECONDS = 5
"""How often to look at the host's memory."""

_log = logging.getLogger("berth.idler")


class Hub:
    """The hub's API, with the service's token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"token {token}", "Accept": "application/jupyterhub-pagination+json"}
        self._client = AsyncHTTPClient()

    async def ask(self, method: str, path: str) -> Any:
        """Return the decoded answer, None for an empty one.

        Raises:
            OSError, tornado.httpclient.HTTPClientError: The hub does not answer, or refuses.
        """
        request = HTTPRequest(
            f"{self._url}/{path}",
            method=method,
            headers=self._headers,
            body="" if method == "POST" else None,
            request_timeout=120,
        )
        body = (await self._client.fetch(request)).body
        return json.loads(body) if body else None

    async def servers(self) -> list[tuple[str, str, dict[str, Any]]]:
        """All that run: user, name, and what the hub says of it."""
        found = []
        offset: int | None = 0
        while offset is not None:
            page = await self.ask("GET", f"users?state=ready&limit={PAGE}&offset={offset}")
            found += [
                (user["name"], name, server)
                for user in page["items"]
                for name, server in user.get("servers", {}).items()
                if server.get("ready")
            ]
            following = page["_pagination"]["next"]
            offset = following["offset"] if following else None
        return found


def seconds_since(moment: str, now: dt.datetime) -> float:
    """Since a moment in ISO 8601; without an offset it is UTC."""
    then = dt.datetime.fromisoformat(moment)
    return (now - (then if then.tzinfo else then.replace(tzinfo=dt.UTC))).total_seconds()


def path_of(user: str, server: str) -> str:
    """Of a server below `berth/sleep/`."""
    return quote(user, safe="") + (f"/{quote(server, safe='')}" if server else "")


async def look(hub: Hub, after: int, stop_after: int) -> None:
    """Look once at all servers.

    Args:
        hub: To ask.
        after: Seconds after which an idle server falls asleep.
        stop_after: Seconds after which a sleep ends; 0: never.
    """
    now = dt.datetime.now(dt.UTC)
    for user, server, told in await hub.servers():
        moment = told.get("last_activity") or told.get("started")
        if moment and seconds_since(moment, now) >= after:
            await _do(hub, "POST", user, server, "falls asleep")
    if not stop_after:
        return
    for one in await hub.ask("GET", "berth/sleep"):
        if seconds_since(one["since"], now) >= stop_after:
            await _do(hub, "DELETE", one["user"], one["server"], "has slept long enough, and is stopped")


def memory_available(meminfo: Path) -> float:
    """Memory of the host that could be had without swapping, in percent.

    Args:
        meminfo: The kernel's /proc/meminfo.

    Raises:
        OSError, ValueError: It cannot be read, or is not what it should be.
    """
    lines = (line.partition(":") for line in meminfo.read_text(encoding="ascii").splitlines())
    told = {name: value.split() for name, _, value in lines}
    try:
        return 100 * int(told["MemAvailable"][0]) / int(told["MemTotal"][0])
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise ValueError(f"{meminfo} tells of no memory: {error!r}") from None


async def make_room(hub: Hub, available: Callable[[], float], least: float) -> None:
    """End sleeps, the oldest first, until there is memory enough.

    Args:
        hub: To ask.
        available: Tells the host's memory that is available, in percent.
        least: How much of it there should be.
    """
    while (left := available()) < least and (asleep := await hub.ask("GET", "berth/sleep")):
        oldest = min(asleep, key=lambda one: str(one["since"]))
        what = f"is stopped: of the host's memory {left:.0f} % are available, and {least:g} % are to be"
        if not await _do(hub, "DELETE", oldest["user"], oldest["server"], what):
            return


async def _do(hub: Hub, method: str, user: str, server: str, what: str) -> bool:
    name = f"{user}/{server}" if server else user
    try:
        await hub.ask(method, f"berth/sleep/{path_of(user, server)}")
    except HTTPClientError as error:  # gone, or started meanwhile
        _log.warning("%s: %s: %s", name, what, error)
        return False
    _log.info("%s %s", name, what)
    return True


async def _again_and_again(seconds: int, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except (OSError, HTTPClientError) as error:
            _log.warning("the hub does not answer: %s", error)
        await asyncio.sleep(seconds)


async def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--after", type=int, required=True)
    parser.add_argument("--stop-after", type=int, required=True)
    parser.add_argument("--every", type=int, required=True)
    parser.add_argument("--memory-min", type=float, required=True)
    parser.add_argument("--meminfo", type=Path, required=True)
    wanted = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    hub = Hub(os.environ["JUPYTERHUB_API_URL"], os.environ["JUPYTERHUB_API_TOKEN"])
    tasks = [_again_and_again(wanted.every, lambda: look(hub, wanted.after, wanted.stop_after))]
    memory = partial(memory_available, wanted.meminfo)
    try:
        memory()
    except (OSError, ValueError) as error:
        _log.error("nobody's sleep ends for want of memory, which cannot be seen: %s", error)
    else:
        tasks.append(_again_and_again(MEMORY_SECONDS, lambda: make_room(hub, memory, wanted.memory_min)))
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # so the hub ends its services
        asyncio.run(main())
