"""Who has to wait, for how long, and whose word on where a request comes from is taken."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from berth_hub.throttle import Throttle, source_address, too_many
from tornado.httputil import HTTPHeaders

HOST = "127.0.0.1"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_after_the_limit_a_source_waits_until_its_window_ends(clock: Clock) -> None:
    throttle = Throttle(3, 600, clock=clock)
    for _ in range(3):
        assert throttle.take("a") == 0
        clock.now += 10
    assert throttle.take("a") == 570
    assert throttle.take("b") == 0
    clock.now += 569.5
    assert throttle.take("a") == 1
    clock.now += 1
    assert [throttle.take("a") for _ in range(4)] == [0, 0, 0, 600]


def test_what_went_well_does_not_count(clock: Clock) -> None:
    throttle = Throttle(2, 600, clock=clock)
    for _ in range(10):
        assert throttle.take("a") == 0
        throttle.give_back("a")
    assert len(throttle) == 0
    assert [throttle.take("a") for _ in range(3)] == [0, 0, 600]
    throttle.forget("a")
    assert throttle.take("a") == 0


def test_attempts_under_way_count(clock: Clock) -> None:
    throttle = Throttle(2, 600, clock=clock)
    assert [throttle.take("a") > 0 for _ in range(5)] == [False, False, True, True, True]


def test_memory_is_bounded_and_the_oldest_is_forgotten(clock: Clock) -> None:
    throttle = Throttle(1, 600, sources_max=100, clock=clock)
    for number in range(1000):
        throttle.take(str(number))
    assert len(throttle) == 100
    assert throttle.take("0") == 0
    assert throttle.take("999") > 0


def test_the_answer_tells_when_to_try_again() -> None:
    error = too_many(90)
    assert error.status_code == 429
    assert error.log_message is not None
    assert "in 2 minutes" in error.log_message
    assert error.headers == {"Retry-After": "90"}  # type: ignore[attr-defined]


def request(peer: str, forwarded: list[str]) -> Any:
    headers = HTTPHeaders()
    for value in forwarded:
        headers.add("X-Forwarded-For", value)
    socket = SimpleNamespace(getpeername=lambda: (peer, 1234))
    return SimpleNamespace(headers=headers, connection=SimpleNamespace(stream=SimpleNamespace(socket=socket)))


@pytest.mark.parametrize(
    ("peer", "forwarded", "fronts", "source"),
    [
        (HOST, ["203.0.113.5"], [], "203.0.113.5"),
        ("127.0.0.2", ["203.0.113.5"], [], "203.0.113.5"),
        ("::1", ["203.0.113.5"], [], "203.0.113.5"),
        # A client's own header stands before what the proxy appends.
        (HOST, ["1.1.1.1, 203.0.113.5"], [], "203.0.113.5"),
        (HOST, ["1.1.1.1", "203.0.113.5"], [], "203.0.113.5"),
        # A front whose word is taken, and one whose word is not.
        (HOST, ["203.0.113.5, 10.0.0.9"], ["10.0.0.0/24"], "203.0.113.5"),
        (HOST, ["6.6.6.6, 203.0.113.5, 10.0.0.9"], ["10.0.0.9"], "203.0.113.5"),
        (HOST, ["203.0.113.5, 10.0.0.9"], ["10.0.1.0/24"], "10.0.0.9"),
        (HOST, ["nonsense, 10.0.0.9"], ["10.0.0.9"], "10.0.0.9"),
        # A berth, which is not believed.
        ("203.0.113.77", ["203.0.113.5"], [], "203.0.113.77"),
        ("", ["203.0.113.5"], [], ""),
        (HOST, [], [], HOST),
        (HOST, ["2001:db8:1:2:3:4:5:6"], [], "2001:db8:1:2::/64"),
        (HOST, ["2001:db8:1:2:ffff::1"], [], "2001:db8:1:2::/64"),
        (HOST, ["::ffff:203.0.113.5"], [], "203.0.113.5"),
    ],
)
def test_where_a_request_comes_from(peer: str, forwarded: list[str], fronts: list[str], source: str) -> None:
    assert source_address(request(peer, forwarded), fronts) == source
