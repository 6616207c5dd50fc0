"""Run on the host by the user of the hub: sends what it is given to a socket, and tells what came back.

Its argument is JSON: a list of requests, each with `socket` and either `raw` (text, sent as it is) or `method`, `path`
and `body` (text or null). On standard output there is JSON: of each answer its status (0: none, with the reason as its
body) and the beginning of its body.
"""

import contextlib
import http.client
import json
import socket
import sys
from typing import Any


def exchange(request: dict[str, Any]) -> tuple[int, str]:
    """Send one request."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(20)
        connection.connect(request["socket"])
        if "raw" in request:
            with contextlib.suppress(OSError):
                connection.sendall(request["raw"].encode())
        else:
            body = (request["body"] or "").encode()
            head = f"{request['method']} {request['path']} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read(4000).decode(errors="replace")


found = []
for one in json.loads(sys.argv[1]):
    try:
        found.append(exchange(one))
    except (OSError, http.client.HTTPException) as error:
        found.append((0, repr(error)))
json.dump(found, sys.stdout)
