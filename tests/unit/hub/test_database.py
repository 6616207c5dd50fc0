"""A damaged database is told before the hub starts; one that is sound, new or another's is not in the way."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from berth_hub.database import DAMAGED, damage, file_of, is_full

LIBRARY = Path(__file__).resolve().parents[3] / "roles" / "jupyterhub" / "files"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jupyterhub.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE users (name TEXT UNIQUE, more TEXT)")
        database.executemany("INSERT INTO users VALUES (?, ?)", ((f"user{n}", "x" * 300) for n in range(500)))
    database.close()
    return path


def overwrite(path: Path, offset: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * count)


def test_a_sound_one(path: Path) -> None:
    assert damage(path) == ""


@pytest.mark.parametrize(("offset", "count"), [(0, 100), (8192, 65536), (40000, 4096)])
def test_a_damaged_one_is_named(path: Path, offset: int, count: int) -> None:
    overwrite(path, offset, count)
    found = damage(path)
    assert found.startswith(f"{path} is damaged: ")
    assert "\n" not in found


def test_one_that_is_not_there_or_holds_nothing_yet(tmp_path: Path) -> None:
    assert damage(tmp_path / "none.sqlite") == ""
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "new.sqlite").touch()
    assert damage(tmp_path / "new.sqlite") == ""


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/hub.sqlite", Path("/var/lib/hub.sqlite")),
        ("sqlite+pysqlite:////var/a%20b?timeout=3", Path("/var/a b")),
        ("sqlite://", None),
        ("postgresql://hub@localhost/hub", None),
        ("postgresql:///hub", None),
    ],
)
def test_only_files_of_sqlite_are_looked_after(url: str, path: Path | None) -> None:
    assert file_of(url) == path


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    assert not is_full(tmp_path)
    assert is_full(Path("/proc"))


def test_the_hub_ends_with_a_code_of_its_own_and_one_line(path: Path) -> None:
    code = f"from berth_hub.database import look_after; look_after('sqlite:///{path}'); print('on')"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "on\n")
    overwrite(path, 0, 16)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (DAMAGED, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"The hub does not start: {path} is damaged: ")
    assert "./berth restore" in line
