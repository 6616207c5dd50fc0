"""A service of the hub's: idle berths fall asleep or are stopped, and sleeps end some time, or when memory is short.

What is idle is what JupyterHub's own idle culler calls so: nothing was heard of the server for a time. That culler
compares what the host's clock said then with what it says now, and stops whoever works when the clock jumps.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import logging
import math
import os
import time
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

TELLING_SECONDS = 400
"""Servers tell the hub of activity every five minutes, or four times in the time after which they are idle."""

_log = logging.getLogger("berth.idler")


Server = tuple[str, str]
"""User and name."""


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


def sleep_of(user: str, server: str) -> str:
    """Where the hub's API has a server's sleep."""
    return f"berth/sleep/{quote(user, safe='')}" + (f"/{quote(server, safe='')}" if server else "")


def server_of(user: str, server: str) -> str:
    """Where the hub's API has a server."""
    return f"users/{quote(user, safe='')}/" + (f"servers/{quote(server, safe='')}" if server else "server")


class Ages:
    """How long ago moments were that the hub tells, whatever jumps the host's clock makes.

    The clock is believed once, when a moment is told for the first time; from then on a clock counts that never jumps.
    """

    def __init__(self, steady: Callable[[], float], by_clock: Callable[[], dt.datetime]) -> None:
        """Args: steady: a clock in seconds that does not jump; by_clock: the host's."""
        self._steady, self._by_clock = steady, by_clock
        self._began: dict[Server, tuple[str, float]] = {}
        self._looked: float | None = None

    def look(self, told: dict[Server, str], most: float = math.inf) -> dict[Server, float]:
        """Seconds since the moments that are told now; what is not told any more is forgotten.

        Args:
            told: Moments in ISO 8601.
            most: What is told for the first time is no older.
        """
        now, by_clock = self._steady(), self._by_clock()
        found = {}
        for key, moment in told.items():
            was, began = self._began.get(key, ("", 0.0))
            if was != moment:
                # What has changed since the last look has happened since then.
                bound = most if not was or self._looked is None else now - self._looked
                began = now - min(max(seconds_since(moment, by_clock), 0.0), bound)
            found[key] = (moment, began)
        self._began, self._looked = found, now
        return {key: now - began for key, (_, began) in found.items()}


def _hosts_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Idler:
    """Looks again and again at who is idle, and at who sleeps."""

    def __init__(
        self,
        hub: Hub,
        after: int,
        stop_after: int,
        *,
        sleep: bool = True,
        steady: Callable[[], float] = time.monotonic,
        by_clock: Callable[[], dt.datetime] = _hosts_clock,
    ) -> None:
        """Remember nothing yet.

        Args:
            hub: To ask.
            after: Seconds after which a server is idle.
            stop_after: Seconds after which a sleep ends; 0: never.
            sleep: Whether idle servers fall asleep; else they are stopped.
            steady: A clock in seconds that does not jump.
            by_clock: The host's clock.
        """
        self._hub, self._after, self._stop_after, self._sleep = hub, after, stop_after, sleep
        self._activity, self._sleeps = Ages(steady, by_clock), Ages(steady, by_clock)

    async def look(self) -> None:
        """Look once at all servers.

        Those that are seen for the first time count as idle for a while only: while the hub was down, nobody could tell
        it who is at work. They are given the time to do so.
        """
        servers = {(user, name): told for user, name, told in await self._hub.servers()}
        moments = {one: told.get("last_activity") or told.get("started") for one, told in servers.items()}
        most = self._after - min(self._after / 2, TELLING_SECONDS)
        for (user, server), age in self._activity.look({one: at for one, at in moments.items() if at}, most).items():
            if age >= self._after:
                await self._end(user, server)
        if not self._stop_after:
            return
        asleep = {(one["user"], one["server"]): one["since"] for one in await self._hub.ask("GET", "berth/sleep")}
        for (user, server), age in self._sleeps.look(asleep).items():
            if age >= self._stop_after:
                await _do(self._hub, "DELETE", sleep_of(user, server), "has slept long enough, and is stopped")

    async def _end(self, user: str, server: str) -> None:
        if self._sleep:
            await _do(self._hub, "POST", sleep_of(user, server), "falls asleep")
        else:
            await _do(self._hub, "DELETE", server_of(user, server), "is stopped: nobody uses it")


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
        if not await _do(hub, "DELETE", sleep_of(oldest["user"], oldest["server"]), what):
            return


async def _do(hub: Hub, method: str, path: str, what: str) -> bool:
    try:
        await hub.ask(method, path)
    except HTTPClientError as error:  # gone, or started meanwhile
        _log.warning("%s: %s: %s", path, what, error)
        return False
    _log.info("%s %s", path, what)
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
    parser.add_argument("--way", choices=("sleep", "stop"), required=True)
    parser.add_argument("--after", type=int, required=True)
    parser.add_argument("--stop-after", type=int, required=True)
    parser.add_argument("--every", type=int, required=True)
    parser.add_argument("--memory-min", type=float, required=True)
    parser.add_argument("--meminfo", type=Path, required=True)
    wanted = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    hub = Hub(os.environ["JUPYTERHUB_API_URL"], os.environ["JUPYTERHUB_API_TOKEN"])
    sleep = wanted.way == "sleep"
    idler = Idler(hub, wanted.after, wanted.stop_after if sleep else 0, sleep=sleep)
    tasks = [_again_and_again(wanted.every, idler.look)]
    if sleep:
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
