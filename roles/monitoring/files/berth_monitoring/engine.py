"""Which berths run, as the container engine tells."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from dataclasses import dataclass

SOCKET = "/run/berth-dock-look.sock"
"""The broker's, which answers what the engine would (role broker)."""

TIMEOUT_SECONDS = 8
PREFIX = "/berth-"


@dataclass(frozen=True)
class Berth:
    """A container: its name without `berth-`, and its id."""

    name: str
    id: str


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def berths(network: str, path: str = SOCKET) -> list[Berth]:
    """Running berths, by one question for all of them.

    Args:
        network: Network of the berths.
        path: Socket of the broker, or of the engine itself.

    Raises:
        OSError: if the engine does not answer.
    """
    filters = urllib.parse.quote(json.dumps({"network": [network], "status": ["running", "paused"]}))
    connection = _Connection(path)
    try:
        connection.request("GET", f"/containers/json?filters={filters}")
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"the engine answered {answer.status}")
        listed = json.loads(content)
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"the engine answered what is no answer: {error}") from None
    finally:
        connection.close()
    found = [
        Berth(name.removeprefix(PREFIX), one["Id"])
        for one in listed
        for name in one["Names"][:1]
        if name.startswith(PREFIX)
    ]
    return sorted(found, key=lambda berth: berth.name)
