"""Questions to the container engine, over its own socket."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONNECT_SECONDS = 5
ANSWER_BYTES_MAX = 16 * 1024**2


@dataclass(frozen=True)
class Answer:
    """What the engine said."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        """The body, decoded.

        Raises:
            ValueError: if it is not JSON.
        """
        return json.loads(self.body)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Not settimeout: with that a queue that is full is an error at once, without it a place in line.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", CONNECT_SECONDS, 0))
        self.sock.connect(str(self._path))
        self.sock.settimeout(self.timeout)


class Engine:
    """The engine, asked in one version of its interface."""

    def __init__(self, path: Path) -> None:
        """Args: path: its socket."""
        self._path = path

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        content: object = None,
        *,
        timeout: float = 60,
    ) -> Answer:
        """Ask once, over a connection of its own.

        Args:
            method: GET, POST or DELETE.
            path: From the version on, like `/v1.41/version`.
            query: Parameters.
            content: Sent as JSON; None sends nothing.
            timeout: Seconds until an answer must have begun.

        Raises:
            OSError: if the engine does not answer, or says what is no answer.
        """
        target = path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        body = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection = _Connection(self._path, timeout)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            found = response.read(ANSWER_BYTES_MAX + 1)
        except http.client.HTTPException as error:
            raise OSError(f"the engine answered what is no answer: {error!r}") from None
        finally:
            connection.close()
        if len(found) > ANSWER_BYTES_MAX:
            raise OSError(f"the engine's answer has more than {ANSWER_BYTES_MAX} bytes")
        return Answer(response.status, response.getheader("Content-Type", "application/json"), found)
