"""Which berths run, as the container engine tells by way of the broker (role broker)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from berth_dock.engine import Engine

SOCKET = Path("/run/berth-dock-look.sock")
TIMEOUT_SECONDS = 8
PREFIX = "/berth-"


@dataclass(frozen=True)
class Berth:
    """A container: its name without `berth-`, and its id."""

    name: str
    id: str


def berths(network: str, socket: Path = SOCKET) -> list[Berth]:
    """Running berths, by one question for all of them.

    Args:
        network: Network of the berths.
        socket: The broker's, or the engine's own.

    Raises:
        OSError: if there is no answer.
    """
    filters = json.dumps({"network": [network], "status": ["running", "paused"]})
    answer = Engine(socket).ask("GET", "/containers/json", {"filters": filters}, timeout=TIMEOUT_SECONDS)
    if answer.status != HTTPStatus.OK:
        raise OSError(f"the engine answered {answer.status}")
    try:
        listed = answer.json()
    except ValueError as error:
        raise OSError(f"the engine answered what is no answer: {error}") from None
    found = [
        Berth(name.removeprefix(PREFIX), one["Id"])
        for one in listed
        for name in one["Names"][:1]
        if name.startswith(PREFIX)
    ]
    return sorted(found, key=lambda berth: berth.name)
