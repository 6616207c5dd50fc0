"""Requests to providers go through the site's proxies, and past them where the site says so."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from berth_hub.outgoing import Outgoing
from tornado.httpclient import HTTPClientError, HTTPRequest

from tests.unit.hub.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """Answers everything with what it was asked for; as a proxy it is asked for whole addresses."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(404 if "missing" in self.path else 200)
                self.end_headers()
                self.wfile.write(self.headers.get("Authorization", "").encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


def ask(url: str, **proxies: str) -> bytes:
    async def run() -> bytes:
        client = Outgoing(force_instance=True, proxies=proxies)
        answer = await client.fetch(HTTPRequest(url, headers={"Authorization": "Bearer x"}, request_timeout=30))
        return answer.body

    return asyncio.run(run())


def test_a_proxy_is_asked(server: Server) -> None:
    assert ask("http://login.invalid/token", HTTP_PROXY=server.url) == b"Bearer x"
    assert ask("http://login.invalid/more", http_proxy=server.url) == b"Bearer x"
    assert server.asked == ["http://login.invalid/token", "http://login.invalid/more"]


def test_it_is_passed_by_where_the_site_says_so(server: Server) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    ask(f"{server.url}/direct", HTTP_PROXY=nobody, NO_PROXY="example.org,127.0.0.0/8")
    assert server.asked == ["/direct"]


def test_what_the_environment_of_the_hub_says_is_nothing_to_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_ports(1)[0]}")
    ask(f"{server.url}/direct")
    assert server.asked == ["/direct"]


def test_no_answer_and_a_refusal_are_what_tornado_makes_of_them(server: Server) -> None:
    with pytest.raises(HTTPClientError) as refused:
        ask(f"{server.url}/missing")
    assert refused.value.code == 404
    with pytest.raises(OSError, match=r"."):
        ask(f"http://127.0.0.1:{free_ports(1)[0]}/")
