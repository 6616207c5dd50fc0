"""What the bench makes of hubs and load tools: real servers of the test's own stand for the hubs."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING

import pytest
from berth_bench.hubs import BenchError, Hub
from berth_bench.proxy import Load, read_load
from berth_bench.storm import storm

if TYPE_CHECKING:
    from collections.abc import Iterator

WRK = """Running 4s test @ https://127.0.0.1:443/berth-bench/http/
  2 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.52ms    2.10ms  35.14ms   81.26%
    Req/Sec     4.70k   312.70     5.40k    70.00%
  Latency Distribution
     50%    3.11ms
     75%  900.00us
     90%    6.02ms
     99%    1.05s
  37466 requests in 4.00s, 16.26MB read
Requests/sec:   9360.51
Transfer/sec:      4.06MB
"""


class Answers(http.server.BaseHTTPRequestHandler):
    """A hub in which everybody's server is ready, but those of users called fail are not."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        if "/progress" in self.path:
            event = {"failed": True, "message": "no room"} if "/fail" in self.path else {"ready": True}
            self.say(200, f"data: {json.dumps(event)}\n\n")
        else:
            self.say(200, "{}")

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.say(202, "")

    def say(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[tuple[Hub, list[str]]]:
    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Answers,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    yield Hub("test", url, url, "token"), asked
    server.shutdown()
    server.server_close()


def test_everybody_asks_and_each_who_does_not_get_in_is_counted_with_the_reason(hub: tuple[Hub, list[str]]) -> None:
    known, asked = hub
    found = storm(known, ["a", "b", "fail1", "c", "fail2"])
    assert sorted(asked) == [f"/hub/api/users/{name}/server" for name in ("a", "b", "c", "fail1", "fail2")]
    assert len(found.seconds) == 3
    assert found.failures == ["test: the server of NAME did not start: no room"] * 2


def test_a_hub_that_does_not_answer_is_no_figure(hub: tuple[Hub, list[str]]) -> None:
    known, _ = hub
    gone = Hub("gone", "http://127.0.0.1:1/", known.front, "token")
    found = storm(gone, ["a"])
    assert (len(found.seconds), len(found.failures)) == (0, 1)


def test_what_wrk_says_in_numbers() -> None:
    assert read_load(WRK) == Load(9360.51, 0.00311, 1.05)


@pytest.mark.parametrize(
    "wrong",
    ["  Socket errors: connect 0, read 3, write 0, timeout 0\n", "  Non-2xx or 3xx responses: 12\n"],
)
def test_load_with_errors_is_no_figure(wrong: str) -> None:
    with pytest.raises(BenchError, match=r"wrk: (Socket errors|Non-2xx)"):
        read_load(WRK + wrong)


def test_what_is_no_answer_of_wrk() -> None:
    with pytest.raises(BenchError, match="something else than expected"):
        read_load("wrk: command not found")
