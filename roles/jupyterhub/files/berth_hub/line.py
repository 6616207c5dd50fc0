"""Starts in an orderly line: as many at once as the host can do, and the others in the order in which they came.

Servers that start all at once share the processors, so that each takes as long as all of them together, and JupyterHub
gives up on every one. In line each takes hardly longer than alone.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future
from traitlets import Integer
from traitlets.config import LoggingConfigurable

if TYPE_CHECKING:
    from jupyterhub.spawner import Spawner
else:  # JupyterHub takes no spawner that does not start, stop and poll by itself
    Spawner = LoggingConfigurable

PATIENCE_SECONDS = 20
"""For how long a start keeps others waiting: one that takes longer hangs, and is no reason for nobody else to start."""

PROGRESS_OF_LINE = 45
"""Per cent of a start's progress that are the line's; JupyterHub says 50 when the server starts."""


class Line:
    """Who starts, and who waits to."""

    def __init__(self) -> None:
        self.at_once = 1
        self.changed = asyncio.Event()
        self._waiting: dict[Place, None] = {}
        self._starting: set[Place] = set()

    def join(self) -> "Place":
        """Stand at the end of the line, or start at once where nobody waits and there is room."""
        place = Place(self)
        self._waiting[place] = None
        self._move()
        return place

    def leave(self, place: "Place") -> None:
        """Make room: the start is over, or its user does not wait any longer."""
        self._waiting.pop(place, None)
        self._starting.discard(place)
        self._move()

    def _move(self) -> None:
        while self._waiting and len(self._starting) < self.at_once:
            first = next(iter(self._waiting))
            del self._waiting[first]
            self._starting.add(first)
            first.starts()
        for before, place in enumerate(self._waiting):
            place.before = before
        self.changed.set()
        self.changed = asyncio.Event()


class Place:
    """One start's place in line."""

    def __init__(self, line: Line) -> None:
        self.before = 0
        self.waits = True
        self._line = line
        self._turn = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None

    def starts(self) -> None:
        """Have one's turn."""
        self.waits = False
        self._turn.set()
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self.leave)

    def leave(self) -> None:
        """Make room, whether one's turn has come or not; a second time changes nothing."""
        self.waits = False
        if self._patience is not None:
            self._patience.cancel()
        self._line.leave(self)

    async def turn(self) -> None:
        """Wait for one's turn; who is told to stop waiting leaves the line."""
        try:
            await self._turn.wait()
        except asyncio.CancelledError:
            self.leave()
            raise

    async def moves(self) -> AsyncIterator[int]:
        """How many are before this one, each time that it changes; ends when it waits no more."""
        told = None
        while self.waits:
            changed = self._line.changed
            if self.before != told:
                told = self.before
                yield told
            await changed.wait()


def in_words(before: int) -> str:
    """What somebody reads who waits."""
    if not before:
        return "Many servers start right now: yours is next."
    return f"Many servers start right now: {before} {'is' if before == 1 else 'are'} before yours."


def room() -> int:
    """How many starts the host does at once: one a processor, and one that waits for something else meanwhile."""
    return (os.cpu_count() or 1) + 1


class OrderlySpawner(Spawner):
    """Starts its server when it is its turn: the part of a spawner that comes before the class that starts it."""

    starts_at_once = Integer(0, min=0, config=True, help="Servers that start at once; 0 is what the processors can do.")

    _line = Line()
    """Of all spawners."""

    _place: Place | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._came = asyncio.Event()

    async def has_to_wait(self) -> bool:
        """Whether the start is one that costs anything."""
        return True

    async def run_pre_spawn_hook(self) -> None:
        """As JupyterHub's, when it is this start's turn: only what comes after this counts as starting."""
        self._place = None
        if await self.has_to_wait():
            self._line.at_once = self.starts_at_once or room()
            self._place = self._line.join()
            # The whole start, from the request to the route: however it ends, it makes room.
            self._spawn_future.add_done_callback(lambda _, place=self._place: place.leave())
        self._came.set()
        if self._place:
            await self._place.turn()
        await maybe_future(super().run_pre_spawn_hook())

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """As JupyterHub's, after the place in line, which goes to pages and API alike."""
        await self._came.wait()
        if self._place:
            most = self._place.before
            async for before in self._place.moves():
                done = PROGRESS_OF_LINE * (most - before) // (most + 1)
                yield {"progress": done, "message": in_words(before)}
        async for event in super().progress():
            yield event

    @property
    def waits_in_line(self) -> bool:
        """Whether its turn is still to come."""
        return self._place is not None and self._place.waits


async def stop_waiting(user: Any) -> None:
    """End the starts of a user's that wait in line, as if they had never been asked for."""
    for name, spawner in list(user.spawners.items()):
        if getattr(spawner, "waits_in_line", False):
            spawner._spawn_future.cancel()  # noqa: SLF001 (as JupyterHub's handler for the button "stop" does)
            await asyncio.wait([spawner._spawn_future])  # noqa: SLF001
            await user.stop(name)
