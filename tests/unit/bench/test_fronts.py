"""What stands behind fronts and who talks to it, for real, and what h2load says."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import berth_bench
import pytest
from berth_bench import echo
from berth_bench.hubs import BenchError
from berth_bench.proxy import Load, read_steady, spent

FOLDER = Path(berth_bench.__file__).parents[1]


@pytest.fixture
def port() -> Iterator[int]:
    """Where the small server listens, and its websockets on the next."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        found: int = one.getsockname()[1]
    command = [sys.executable, "-m", "berth_bench.echo", "serve", str(found)]
    with subprocess.Popen(command, cwd=FOLDER) as process:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", found), 1):
                break
            threading.Event().wait(0.05)
        yield found
        process.terminate()


def test_several_say_something_and_hear_it(port: int) -> None:
    found = echo.talk(f"ws://127.0.0.1:{port + 1}/a/b", 3, 0.3)
    assert found["per_second"] > 10
    assert 0 < found["p99"] < 1


def test_another_message_is_not_answered(port: int) -> None:
    way = echo.connect(f"ws://127.0.0.1:{port + 1}/")
    way.sendall(echo.SAID[:-1] + b"?")
    way.settimeout(10)
    with suppress(ConnectionResetError):
        assert way.recv(100) == b""
    way.close()


def test_a_server_without_websockets_is_told(port: int) -> None:
    with pytest.raises(RuntimeError, match=r"opens no websocket: b'HTTP/1.1 200 OK"):
        echo.talk(f"ws://127.0.0.1:{port}/", 1, 0.1)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (echo.SAID_BACK[:-1] + b"?", "another answer"),
        (echo.SAID_BACK + b"?", "another answer"),
        (b"", "another answer than what was said: b''"),
    ],
)
def test_another_answer_is_no_figure(answer: bytes, wrong: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        one, _ = listening.accept()
        while not one.recv(1000).endswith(b"\r\n\r\n"):
            pass
        one.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        one.recv(1000)
        one.sendall(answer)
        one.close()

    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(RuntimeError, match=wrong):
        echo.talk(f"ws://127.0.0.1:{listening.getsockname()[1]}/", 1, 1)
    listening.close()


def test_what_a_process_has_cost_is_counted_with_what_the_system_did_for_it() -> None:
    before, began = spent(os.getpid()), time.process_time()
    while time.process_time() < began + 0.3:
        Path("/").stat()
    assert spent(os.getpid()) - before == pytest.approx(0.3, abs=0.05)


ROWS = [[str(1_000_000 + 1000 * number), "200", str(500 + number)] for number in range(200)]


def test_what_h2load_says_in_numbers() -> None:
    found = read_steady(ROWS, 200)
    assert found == Load(found.per_second, p50=0.0006, p99=0.000698)
    assert found.per_second == pytest.approx(200 / 0.199)


@pytest.mark.parametrize("rows", [ROWS[:-1], [*ROWS[:-1], ["1", "502", "3"]], []])
def test_requests_without_an_answer_are_no_figure(rows: list[list[str]]) -> None:
    with pytest.raises(BenchError, match=rf"{min(len(rows), 199)} of 200 requests"):
        read_steady(rows, 200)
