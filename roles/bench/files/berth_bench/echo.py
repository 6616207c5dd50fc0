"""What stands behind a front that is measured, and who talks to it by websocket; run with the hub's Python.

`python -m berth_bench.echo serve PORT`, `python -m berth_bench.echo talk URL CONNECTIONS SECONDS`.
"""

import asyncio
import json
import ssl
import sys
import time
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

MESSAGE = "x" * 100
"""About as long as the shortest that a notebook and its kernel exchange."""


class Hello(asyncio.Protocol):
    """The cheapest HTTP server there is, so that the front is what is measured; requests have no body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody comes."""
        self._transport: Any = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if requests:
            self._transport.write(ANSWER * len(requests))


class Echo(WebSocketHandler):
    """Says what it is told."""

    def check_origin(self, origin: str) -> bool:  # noqa: ARG002 (tornado's signature)
        """Anybody may talk to it: it listens on a loopback address."""
        return True

    async def on_message(self, message: str | bytes) -> None:
        """Say it."""
        await self.write_message(message)


async def serve(port: int) -> None:
    """Serve HTTP on a port and websockets on the next one, until killed."""
    Application([(r".*", Echo)]).listen(port + 1, "127.0.0.1")
    server = await asyncio.get_running_loop().create_server(Hello, "127.0.0.1", port)
    await server.serve_forever()


async def talk(url: str, connections: int, seconds: float) -> dict[str, float]:
    """Have some say something and wait for the answer, over and over; answers per second, and their p99 in seconds."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ways = [HTTPRequest(url, ssl_options=context if url.startswith("wss:") else None) for _ in range(connections)]
    opened = await asyncio.gather(*(websocket_connect(way) for way in ways))
    took: list[float] = []
    over = time.monotonic() + seconds

    async def chat(connection: Any) -> None:
        while (began := time.monotonic()) < over:
            await connection.write_message(MESSAGE)
            if await connection.read_message() != MESSAGE:
                raise RuntimeError("another answer than what was said")
            took.append(time.monotonic() - began)

    await asyncio.gather(*(chat(connection) for connection in opened))
    return {"per_second": len(took) / seconds, "p99": sorted(took)[int(0.99 * len(took))]}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        print(json.dumps(asyncio.run(talk(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
