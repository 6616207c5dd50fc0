"""Takes requests on unix sockets, as the engine itself would."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tornado import httpserver, ioloop, web

from berth_dock.engine import Answer
from berth_dock.operations import Request
from berth_dock.refusal import Refused

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

BODY_BYTES_MAX = 1024**2
PARAMETERS_MAX = 16
AT_ONCE = 32
"""Questions to the engine under way; further ones wait."""

METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS")


class Door(web.RequestHandler):
    """Every request there is."""

    SUPPORTED_METHODS = METHODS

    def initialize(self, judge: Callable[[Request], Answer], threads: ThreadPoolExecutor) -> None:
        """Args: judge: carries out or refuses; threads: where it does."""
        self._judge = judge
        self._threads = threads

    async def answer(self, *_: str) -> None:
        """Carry out what is asked, or say why not."""
        said = f"{self.request.method} {self.request.uri}"
        try:
            request = self._request()
            loop = ioloop.IOLoop.current()
            found = await loop.run_in_executor(self._threads, self._judge, request)
        except Refused as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                tell(f"refused: {said[:300]}: {refused}")
            found = _error(refused.status, str(refused))
        except (OSError, ValueError) as error:
            tell(f"failed: {said[:300]}: {error}")
            found = _error(HTTPStatus.BAD_GATEWAY, str(error))
        self.set_status(found.status)
        if found.status == HTTPStatus.NO_CONTENT:
            return
        self.set_header("Content-Type", found.content_type)
        self.write(found.body)

    get = head = post = delete = patch = put = options = answer

    def _request(self) -> Request:
        try:
            pairs = parse_qsl(
                self.request.query,
                keep_blank_values=True,
                strict_parsing=bool(self.request.query),
                errors="strict",
                max_num_fields=PARAMETERS_MAX,
            )
        except ValueError as error:
            raise Refused(f"its parameters cannot be read: {error}") from None
        if len(dict(pairs)) != len(pairs):
            raise Refused("a parameter is there twice")
        return Request(self.request.method or "", self.request.path, dict(pairs), self.request.body)

    def compute_etag(self) -> None:
        """None: nobody keeps answers."""

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """In one line, as everything here."""
        tell(f"failed: {self.request.method} {str(self.request.uri)[:300]}: {value!r}")
        del typ, tb


def _error(status: int, message: str) -> Answer:
    return Answer(status, "application/json", json.dumps({"message": f"berth-dock: {message}"}).encode())


def tell(line: str) -> None:
    """Write a line to the journal, with nothing in it that would begin another one or change a terminal."""
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)
    print(shown, file=sys.stderr, flush=True)


def _tell_nothing(_: web.RequestHandler) -> None:
    """Requests that are carried out are the engine's to log."""


def serve(doors: dict[str, tuple[socket.socket, Callable[[Request], Answer]]]) -> None:
    """Serve until the process is ended.

    Args:
        doors: By name a listening socket and what requests that come in there may do.
    """
    threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="engine")
    for listening, judge in doors.values():
        application = web.Application([(r".*", Door, {"judge": judge, "threads": threads})], log_function=_tell_nothing)
        server = httpserver.HTTPServer(
            application,
            max_body_size=BODY_BYTES_MAX,
            max_buffer_size=2 * BODY_BYTES_MAX,
            max_header_size=16 * 1024,
            idle_connection_timeout=120,
            body_timeout=30,
        )
        listening.setblocking(False)  # noqa: FBT003 (socket's own signature)
        server.add_socket(listening)
    ioloop.IOLoop.current().start()
