"""The root helper as systemd and the playbooks run it: with a socket that it answers on, or with names as arguments."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import berth_homes
import pytest
from berth_homes import AT_ONCE, MAX_REQUEST_BYTES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

# Debian's own Python, as on the host: the helper must do without any package.
PROGRAM = ["/usr/bin/python3", "-I", str(Path(berth_homes.__file__).resolve())]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "homes"
    path.mkdir()
    return path


def command(root: Path, *arguments: str) -> list[str]:
    return [*PROGRAM, "--root", str(root), "--uid", str(os.getuid()), "--gid", str(os.getgid()), *arguments]


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # An empty environment: what a service gets, and the locale in which names are not ASCII is none of its business.
    return subprocess.run(command(root, *arguments), capture_output=True, env={}, timeout=10, check=False)


@dataclass
class Helper:
    """One that serves.

    Attributes:
        root: Its homes.
        address: Its socket.
        log: What it says on standard error.
    """

    root: Path
    address: Path
    log: Path

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.address))
        return connection

    def say(self, request: bytes) -> bytes:
        with self.connect() as connection:
            # It may answer before it has read all of what is too much.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(ConnectionResetError):
                while part := connection.recv(4096):
                    answer += part
        return answer

    def ask(self, request: bytes) -> dict[str, Any]:
        before = set(self.root.iterdir())
        said = self.say(request)
        assert said.endswith(b"\n")
        assert said.count(b"\n") == 1
        answer: dict[str, Any] = json.loads(said)
        if "error" in answer:
            assert "refused: " in self.log.read_text()
            assert set(self.root.iterdir()) == before
        return answer


@pytest.fixture
def helper(root: Path, tmp_path: Path) -> Iterator[Helper]:
    """Started with a listening socket as its standard input, as systemd does."""
    found = Helper(root, tmp_path / "socket", tmp_path / "log")
    with socket.socket(socket.AF_UNIX) as listening, found.log.open("wb") as log:
        listening.bind(str(found.address))
        listening.listen(512)
        with subprocess.Popen(command(root, "serve"), stdin=listening.fileno(), stderr=log, env={}) as process:
            yield found
            assert process.poll() is None, "whatever it was asked, it still serves"
            process.terminate()


def test_a_name_is_answered_with_a_home(root: Path, helper: Helper) -> None:
    assert helper.ask(b"alice\n") == {"home": str(root / "alice")}
    assert (root / "alice").is_dir()


def test_any_script_will_do(root: Path, helper: Helper) -> None:
    home = Path(helper.ask("größe@日本\n".encode())["home"])
    assert home.is_dir()
    assert run(root, "path", "größe@日本").stdout.decode().strip() == str(home)


def test_the_longest_name_there_can_be_fits(helper: Helper) -> None:
    assert "home" in helper.ask(("\U0001f600" * 255 + "\n").encode())


def test_only_the_first_line_counts(root: Path, helper: Helper) -> None:
    assert helper.ask(b"alice\nbob\n") == {"home": str(root / "alice")}
    assert list(root.iterdir()) == [root / "alice"]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (b"", f"one line of at most {MAX_REQUEST_BYTES} bytes"),
        (b"alice", f"one line of at most {MAX_REQUEST_BYTES} bytes"),
        (b"a" * MAX_REQUEST_BYTES + b"\n", f"one line of at most {MAX_REQUEST_BYTES} bytes"),
        (b"a" * 5_000_000, f"one line of at most {MAX_REQUEST_BYTES} bytes"),
        (b"a" * 300 + b"\n", "1 to 255 characters, this one 300"),
        (b"\n", "1 to 255 characters, this one 0"),
        (b"\xff\xfe\n", "b'\\xff\\xfe' is not UTF-8"),
        (b"a\0b\n", "'a\\x00b' holds a control character"),
        (b"alice\r\n", "'alice\\r' starts or ends with white space"),
        (b"../etc\n", "'../etc' holds a \"/\""),
        (b"..\n", "'..' is not a user name"),
    ],
)
def test_anything_else_is_answered_with_the_reason(helper: Helper, request_: bytes, why: str) -> None:
    assert why in helper.ask(request_)["error"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_no_request_brings_it_down_or_out_of_its_directory(root: Path, helper: Helper, request_: bytes) -> None:
    before = set(root.parent.iterdir())
    answer = json.loads(helper.say(request_ + b"\n"))
    assert set(answer) in ({"home"}, {"error"})
    if "home" in answer:
        assert Path(answer["home"]).parent == root
    assert set(root.parent.iterdir()) == before


def test_what_stands_in_the_way_is_told(root: Path, helper: Helper) -> None:
    (root / "alice").write_text("x")
    assert "is not a directory: move it away" in helper.ask(b"alice\n")["error"]


def test_who_says_nothing_keeps_nobody_waiting(root: Path, helper: Helper) -> None:
    with ExitStack() as silent:
        for _ in range(AT_ONCE - 1):
            silent.enter_context(helper.connect())
        assert helper.ask(b"alice\n") == {"home": str(root / "alice")}


def test_a_request_cannot_delete(root: Path, helper: Helper) -> None:
    helper.ask(b"alice\n")
    (root / "alice" / "file").write_text("x")
    helper.ask(b"delete alice\n")
    assert (root / "alice" / "file").read_text() == "x"


def test_where_a_home_is_can_be_asked_without_making_it(root: Path) -> None:
    done = run(root, "path", "alice")
    assert (done.returncode, done.stdout.decode()) == (0, f"{root}/alice\n")
    assert list(root.iterdir()) == []


def test_deleting_says_whose_homes_there_were(root: Path, helper: Helper) -> None:
    helper.ask(b"alice\n")
    helper.ask(b"bob\n")
    assert run(root, "existing", "alice", "carol").stdout == b'["alice"]\n'
    first, second = run(root, "delete", "alice", "bob"), run(root, "delete", "alice")
    assert [(done.returncode, done.stdout) for done in (first, second)] == [(0, b'["alice", "bob"]\n'), (0, b"[]\n")]
    assert list(root.iterdir()) == []


def test_one_bad_name_and_no_home_is_deleted(root: Path, helper: Helper) -> None:
    helper.ask(b"alice\n")
    assert run(root, "delete", "alice", "../etc").returncode == 1
    assert (root / "alice").is_dir()


@pytest.mark.parametrize("command", ["path", "existing", "delete"])
def test_a_bad_name_is_refused_by_name(root: Path, command: str) -> None:
    done = run(root, command, "../etc")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"berth-homes: user name '../etc' holds a \"/\" or a back-tick\n"


def test_a_root_that_is_not_there_is_told(root: Path, helper: Helper) -> None:
    root.rmdir()
    assert "homes/alice" in json.loads(helper.say(b"alice\n"))["error"]
    root.mkdir()


def test_it_ends_when_nobody_asks(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(berth_homes, "IDLE_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        berth_homes.serve(berth_homes.Homes(root, os.getuid(), os.getgid()), listening)
