"""The root helper as systemd and the playbooks run it: a program that reads one line or takes a name as argument."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import berth_homes
import pytest
from berth_homes import MAX_REQUEST_BYTES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Debian's own Python, as on the host: the helper must do without any package.
PROGRAM = ["/usr/bin/python3", "-I", str(Path(berth_homes.__file__).resolve())]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "homes"
    path.mkdir()
    return path


def run(root: Path, *arguments: str, request: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    owner = ("--uid", str(os.getuid()), "--gid", str(os.getgid()))
    # An empty environment: what a service gets, and the locale in which names are not ASCII is none of its business.
    return subprocess.run(
        [*PROGRAM, "--root", str(root), *owner, *arguments],
        input=request,
        capture_output=True,
        env={},
        timeout=10,
        check=False,
    )


def ask(root: Path, request: bytes) -> dict[str, Any]:
    done = run(root, "serve", request=request)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"\n")
    assert done.stdout.count(b"\n") == 1
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        assert b"refused: " in done.stderr
        assert list(root.iterdir()) == []
    return answer


def test_a_name_is_answered_with_a_home(root: Path) -> None:
    assert ask(root, b"alice\n") == {"home": str(root / "alice")}
    assert (root / "alice").is_dir()


def test_any_script_will_do(root: Path) -> None:
    home = Path(ask(root, "größe@日本\n".encode())["home"])
    assert home.is_dir()
    assert run(root, "path", "größe@日本").stdout.decode().strip() == str(home)


def test_the_longest_name_there_can_be_fits(root: Path) -> None:
    assert "home" in ask(root, ("\U0001f600" * 255 + "\n").encode())


def test_only_the_first_line_counts(root: Path) -> None:
    assert ask(root, b"alice\nbob\n") == {"home": str(root / "alice")}
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
def test_anything_else_is_answered_with_the_reason(root: Path, request_: bytes, why: str) -> None:
    assert why in ask(root, request_)["error"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_no_request_brings_it_down_or_out_of_its_directory(root: Path, request_: bytes) -> None:
    before = set(root.parent.iterdir())
    done = run(root, "serve", request=request_ + b"\n")
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert set(answer) in ({"home"}, {"error"})
    if "home" in answer:
        assert Path(answer["home"]).parent == root
    assert set(root.parent.iterdir()) == before


def test_what_stands_in_the_way_is_told(root: Path) -> None:
    (root / "alice").write_text("x")
    done = run(root, "serve", request=b"alice\n")
    assert "is not a directory: move it away" in json.loads(done.stdout)["error"]


def test_a_request_cannot_delete(root: Path) -> None:
    ask(root, b"alice\n")
    (root / "alice" / "file").write_text("x")
    ask(root, b"delete alice\n")
    assert (root / "alice" / "file").read_text() == "x"


def test_where_a_home_is_can_be_asked_without_making_it(root: Path) -> None:
    done = run(root, "path", "alice")
    assert (done.returncode, done.stdout.decode()) == (0, f"{root}/alice\n")
    assert list(root.iterdir()) == []


def test_deleting_says_whose_homes_there_were(root: Path) -> None:
    ask(root, b"alice\n")
    ask(root, b"bob\n")
    assert run(root, "existing", "alice", "carol").stdout == b'["alice"]\n'
    first, second = run(root, "delete", "alice", "bob"), run(root, "delete", "alice")
    assert [(done.returncode, done.stdout) for done in (first, second)] == [(0, b'["alice", "bob"]\n'), (0, b"[]\n")]
    assert list(root.iterdir()) == []


def test_one_bad_name_and_no_home_is_deleted(root: Path) -> None:
    ask(root, b"alice\n")
    assert run(root, "delete", "alice", "../etc").returncode == 1
    assert (root / "alice").is_dir()


@pytest.mark.parametrize("command", ["path", "existing", "delete"])
def test_a_bad_name_is_refused_by_name(root: Path, command: str) -> None:
    done = run(root, command, "../etc")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"berth-homes: user name '../etc' holds a \"/\" or a back-tick\n"


def test_a_root_that_is_not_there_is_told(root: Path) -> None:
    answer = json.loads(run(root / "missing", "serve", request=b"alice\n").stdout)
    assert "missing/alice" in answer["error"]
