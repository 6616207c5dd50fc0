"""Cells: a kernel on a user's server, and what it prints, asked for as JupyterLab does."""

import asyncio
import json
import uuid
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from berth_bench.hubs import PATIENCE_SECONDS, BenchError, Hub, of_own_front, request


class Desk:
    """What somebody sees of the own server who has just logged in."""

    def __init__(self, hub: Hub, user: str) -> None:
        status, body = hub.ask("POST", f"users/{user}/tokens")
        if status != 201:
            raise BenchError(f"{hub.name}: no token for {user} ({status}): {body.decode()[:300]}")
        self._headers = {"Authorization": f"token {json.loads(body)['token']}"}
        self._server = f"{hub.front}user/{user}/"
        self.kernel = ""

    def open_kernel(self) -> None:
        """Have a kernel started.

        Raises:
            BenchError: There is none.
        """
        status, body = request("POST", f"{self._server}api/kernels", self._headers, json.dumps({"name": "python3"}))
        if status != 201:
            raise BenchError(f"{self._server} starts no kernel ({status}): {body.decode()[:300]}")
        self.kernel = json.loads(body)["id"]

    def run(self, code: str) -> str:
        """Run code in the kernel; returns what it printed first.

        Raises:
            BenchError: It printed nothing, or not in time.
        """
        try:
            return asyncio.run(asyncio.wait_for(self._run(code), PATIENCE_SECONDS))
        except TimeoutError:
            raise BenchError(f"{self._server}: {code!r} printed nothing in {PATIENCE_SECONDS} s") from None

    async def _run(self, code: str) -> str:
        connection = await self._connect()
        message = uuid.uuid4().hex
        header = {
            "msg_id": message,
            "msg_type": "execute_request",
            "username": "",
            "session": message,
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        asked = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        try:
            await connection.write_message(json.dumps(asked))
            while said := await connection.read_message():
                answer: dict[str, Any] = json.loads(said)
                if answer["parent_header"].get("msg_id") != message:
                    continue
                if answer["msg_type"] == "stream":
                    return str(answer["content"]["text"])
                if answer["msg_type"] == "error":
                    break
        finally:
            connection.close()
        raise BenchError(f"{self._server}: {code!r} printed nothing")

    async def _connect(self) -> WebSocketClientConnection:
        scheme, rest = self._server.split(":", 1)
        context = of_own_front() if scheme == "https" else None
        address = f"{'wss' if context else 'ws'}:{rest}api/kernels/{self.kernel}/channels"
        return await websocket_connect(HTTPRequest(address, headers=self._headers, ssl_options=context))
