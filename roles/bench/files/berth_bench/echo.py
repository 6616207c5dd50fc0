"""What stands behind a front that is measured, and who talks to it by websocket; run with the hub's Python.

Both ends speak no more of the protocol than they need, so that the front is what takes the time.

`python -m berth_bench.echo serve PORT`, `python -m berth_bench.echo talk URL CONNECTIONS SECONDS`.
"""

import asyncio
import base64
import hashlib
import json
import re
import select
import socket
import ssl
import sys
import time
from typing import Any
from urllib.parse import urlsplit

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

MESSAGE = b"x" * 100
"""About as long as the shortest that a notebook and its kernel exchange."""

_MASK = b"\x17\x2a\x3c\x4d"
SAID = b"\x81" + bytes([0x80 | len(MESSAGE)]) + _MASK + bytes(b ^ _MASK[i % 4] for i, b in enumerate(MESSAGE))
"""The message in a client's frame, which is masked (RFC 6455, 5.2)."""

SAID_BACK = b"\x81" + bytes([len(MESSAGE)]) + MESSAGE
"""The message in a server's frame."""

_KEY = base64.b64encode(b"sixteen of bytes").decode()
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of every handshake (RFC 6455, 1.3)."""

PATIENCE_SECONDS = 10
"""For an answer while a connection is made, and for any after that."""


class Hello(asyncio.Protocol):
    """The cheapest HTTP server there is; requests have no body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody comes."""
        self._transport: Any = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if requests:
            self._transport.write(ANSWER * len(requests))


class Echo(asyncio.Protocol):
    """The cheapest websocket server there is: it knows one message, and says it back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody comes."""
        self._transport: Any = transport
        self._rest = b""
        self._is_open = False

    def data_received(self, data: bytes) -> None:
        """Answer the handshake, then each whole message."""
        self._rest += data
        if not self._is_open:
            self._open()
            return
        count, rest = divmod(len(self._rest), len(SAID))
        if self._rest != SAID * count + SAID[:rest]:
            self._transport.abort()
            return
        self._rest = SAID[:rest]
        if count:
            self._transport.write(SAID_BACK * count)

    def _open(self) -> None:
        asked, end, self._rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            self._rest = asked
            return
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", asked)
        accept = base64.b64encode(
            hashlib.sha1((key[1] if key else b"") + _MAGIC.encode(), usedforsecurity=False).digest()
        )
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self._is_open = True


async def serve(port: int) -> None:
    """Serve HTTP on a port and websockets on the next one, until killed."""
    loop = asyncio.get_running_loop()
    await loop.create_server(Echo, "127.0.0.1", port + 1)
    server = await loop.create_server(Hello, "127.0.0.1", port)
    await server.serve_forever()


def connect(url: str) -> socket.socket:
    """A websocket that is open.

    Raises:
        RuntimeError: The other end speaks no websocket.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    way = socket.create_connection((parts.hostname, parts.port or (443 if secure else 80)), PATIENCE_SECONDS)
    way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        way = context.wrap_socket(way, server_hostname=parts.hostname)
    asked = ["Host: " + parts.netloc, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    asked += [f"Sec-WebSocket-Key: {_KEY}", f"Origin: {parts.scheme.replace('ws', 'http', 1)}://{parts.netloc}"]
    way.sendall("\r\n".join([f"GET {parts.path} HTTP/1.1", *asked, "", ""]).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        part = way.recv(1)
        if not part:
            break
        answer += part
    if b" 101 " not in answer.split(b"\r\n")[0]:
        raise RuntimeError(f"{url} opens no websocket: {answer[:300]!r}")
    return way


def talk(url: str, connections: int, seconds: float) -> dict[str, float]:
    """Have some say something and wait for the answer, over and over; answers per second, and their p99 in seconds.

    Raises:
        RuntimeError: An answer was another than what was said, or did not come.
    """
    ways = {way.fileno(): way for way in (connect(url) for _ in range(connections))}
    heard, said, took = dict.fromkeys(ways, b""), dict[int, float](), list[float]()
    waiting = select.epoll()
    began = time.monotonic()
    for number, way in ways.items():
        way.settimeout(0)
        waiting.register(number, select.EPOLLIN)
        said[number] = time.monotonic()
        way.send(SAID)
    while (now := time.monotonic()) < began + seconds:
        ready = waiting.poll(PATIENCE_SECONDS)
        if not ready:
            raise RuntimeError(f"no answer within {PATIENCE_SECONDS} s")
        for number, _ in ready:
            try:
                heard[number] += ways[number].recv(4096)
            except ssl.SSLWantReadError:
                continue
            if not SAID_BACK.startswith(heard[number]) or not heard[number]:
                raise RuntimeError(f"another answer than what was said: {heard[number][:100]!r}")
            if len(heard[number]) == len(SAID_BACK):
                now = time.monotonic()
                took.append(now - said[number])
                heard[number], said[number] = b"", now
                ways[number].send(SAID)
    return {"per_second": len(took) / (now - began), "p99": sorted(took)[int(0.99 * len(took))]}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        print(json.dumps(talk(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
