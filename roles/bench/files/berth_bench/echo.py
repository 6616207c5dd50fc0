"""What stands behind a front that is measured, and who talks to it by websocket; run with the hub's Python.

Both ends speak no more of the protocol than they need, and are loops around the system's calls, so that the front is
what takes the time.

`python -m berth_bench.echo serve PORT`, `python -m berth_bench.echo talk URL CONNECTIONS SECONDS`.
"""

import base64
import hashlib
import json
import re
import select
import socket
import ssl
import sys
import time
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


class Hello:
    """The cheapest HTTP server there is, for one connection; requests have no body."""

    def __init__(self) -> None:
        self._rest = b""

    def hear(self, data: bytes) -> bytes:
        """Answer each whole request."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        return ANSWER * len(requests)


class Echo:
    """The cheapest websocket server there is, for one connection: it knows one message, and says it back."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_open = False

    def hear(self, data: bytes) -> bytes:
        """Answer the handshake, then each whole message.

        Raises:
            ConnectionAbortedError: It was another message.
        """
        if data == SAID and not self._rest:
            return SAID_BACK
        self._rest += data
        if not self._is_open:
            return self._open()
        count, rest = divmod(len(self._rest), len(SAID))
        if self._rest != SAID * count + SAID[:rest]:
            raise ConnectionAbortedError
        self._rest = SAID[:rest]
        return SAID_BACK * count

    def _open(self) -> bytes:
        asked, end, rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            return b""
        self._rest, self._is_open = rest, True
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", asked)
        accept = base64.b64encode(
            hashlib.sha1((key[1] if key else b"") + _MAGIC.encode(), usedforsecurity=False).digest()
        )
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        return head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def serve(port: int) -> None:
    """Serve HTTP on a port and websockets on the next one, until killed."""
    listeners: dict[int, tuple[socket.socket, type[Hello | Echo]]] = {}
    kinds: list[type[Hello | Echo]] = [Hello, Echo]
    for number, kind in enumerate(kinds):
        listener = socket.create_server(("127.0.0.1", port + number))
        listeners[listener.fileno()] = (listener, kind)
    ways: dict[int, tuple[socket.socket, Hello | Echo]] = {}
    waiting = select.epoll()
    for number in listeners:
        waiting.register(number, select.EPOLLIN)
    while True:
        for number, _ in waiting.poll():
            if number in listeners:
                listener, kind = listeners[number]
                way, _ = listener.accept()
                way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                way.settimeout(0)
                ways[way.fileno()] = way, kind()
                waiting.register(way.fileno(), select.EPOLLIN)
                continue
            way, one = ways[number]
            try:
                data = way.recv(65536)
                if answer := one.hear(data):
                    way.send(answer)
            except OSError:
                data = b""
            if not data:
                waiting.unregister(number)
                del ways[number]
                way.close()


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
    """Have some say something and wait for the answer, over and over.

    Returns:
        How many answers, how many per second, and their p99 in seconds.

    Raises:
        RuntimeError: An answer was another than what was said, or did not come.
    """
    ways = {way.fileno(): way for way in (connect(url) for _ in range(connections))}
    calls = {number: (way.recv, way.send) for number, way in ways.items()}
    heard, said, took = dict.fromkeys(ways, b""), dict[int, float](), list[float]()
    waiting = select.epoll()
    clock = time.monotonic
    began = clock()
    for number, way in ways.items():
        way.settimeout(0)
        waiting.register(number, select.EPOLLIN)
        said[number] = clock()
        way.send(SAID)
    while (now := clock()) < began + seconds:
        ready = waiting.poll(PATIENCE_SECONDS)
        if not ready:
            raise RuntimeError(f"no answer within {PATIENCE_SECONDS} s")
        for number, _ in ready:
            recv, send = calls[number]
            try:
                data = heard[number] + recv(4096)
            except ssl.SSLWantReadError:
                continue
            if data == SAID_BACK:
                now = clock()
                took.append(now - said[number])
                heard[number], said[number] = b"", now
                send(SAID)
            elif data and SAID_BACK.startswith(data):
                heard[number] = data
            else:
                raise RuntimeError(f"another answer than what was said: {data[:100]!r}")
    count = len(took)
    return {"count": count, "per_second": count / (now - began), "p99": sorted(took)[int(0.99 * count)]}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        print(json.dumps(talk(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
