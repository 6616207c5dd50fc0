"""Servers that did not start: counted for Prometheus, and the last of them remembered with the reason."""

import asyncio
import datetime as dt
import functools
import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import Counter

KEPT = 50
"""How many are remembered."""

REASON_LENGTH_MAX = 2000
"""Characters: a server's last lines may be many."""

Result = TypeVar("Result")

FAILED_STARTS = Counter("berth_failed_starts", "Servers that did not start.")


class FailedStarts:
    """The last failed starts, in a file that outlives the hub and that an operator can read while the hub is down."""

    def __init__(self, path: Path) -> None:
        """Args: path: the file; its directory must be writable."""
        self.path = path

    def last(self) -> list[dict[str, str]]:
        """What is remembered, the latest first: time (ISO 8601, UTC), user, server, reason."""
        try:
            found: list[dict[str, str]] = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or cut off by a full disk: history is no reason to fail
            return []
        return found

    def add(self, user: str, server: str, reason: str) -> None:
        """Remember one, and count it."""
        FAILED_STARTS.inc()
        entry = {
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "user": user,
            "server": server,
            "reason": reason[:REASON_LENGTH_MAX],
        }
        new = self.path.with_name(f".{self.path.name}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump([entry, *self.last()][:KEPT], file)
        new.replace(self.path)


def recorded(start: Callable[[Any], Coroutine[Any, Any, Result]]) -> Callable[[Any], Coroutine[Any, Any, Result]]:
    """Make a spawner's `start` remember its failures; what it raises is raised all the same."""

    @functools.wraps(start)
    async def wrapped(spawner: Any) -> Result:
        try:
            return await start(spawner)
        except asyncio.CancelledError:
            # JupyterHub gave up waiting; or whoever asked for the server stopped it meanwhile.
            _remember(spawner, f"not ready after {spawner.start_timeout} seconds, or stopped before it was")
            raise
        except Exception as error:
            _remember(spawner, str(error) or type(error).__name__)
            raise

    return wrapped


def _remember(spawner: Any, reason: str) -> None:
    if not spawner.failed_starts_file:
        return
    try:
        FailedStarts(Path(spawner.failed_starts_file)).add(spawner.user.name, spawner.name, reason)
    except OSError as error:  # a full disk: the reason of the failure matters more
        spawner.log.warning("%s: %s", spawner.failed_starts_file, error)
