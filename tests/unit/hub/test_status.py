"""What `status` tells about servers and space."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "roles" / "status" / "files" / "berth_status.py"


@pytest.fixture
def status() -> Any:
    specification = importlib.util.spec_from_file_location("berth_status", SOURCE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_file_system_is_told_once(status: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("homes", "state", "images")]
    for place in places:
        place.mkdir()
    monkeypatch.setattr(status, "PLACES", (*places, tmp_path / "missing", Path("/proc")))
    first, second = status.disk()
    assert (first["path"], second["path"]) == (str(places[0]), "/proc")
    space = os.statvfs(tmp_path)
    assert first["size_bytes"] == space.f_blocks * space.f_frsize
    assert 0 <= first["used_bytes"] <= first["size_bytes"]
    assert first["percent"] == round(100 * first["used_bytes"] / first["size_bytes"])


def test_a_file_system_without_blocks_has_no_percentage_to_fail_on(
    status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "PLACES", (Path("/proc"),))
    assert status.disk() == [{"path": "/proc", "size_bytes": 0, "used_bytes": 0, "percent": 0}]


def test_servers_that_run_or_are_about_to_are_told(status: Any) -> None:
    users = [
        {"name": "alice", "servers": {"": {"ready": True, "started": "s", "last_activity": "l"}}},
        {"name": "bob", "servers": {"": {"ready": False, "pending": "spawn"}, "old": {"stopped": True}}},
        {"name": "carol", "servers": {}},
        {"name": "dave"},
    ]
    assert status.running(users) == [
        {"user": "alice", "server": "", "started": "s", "last_activity": "l"},
        {"user": "bob", "server": "", "started": None, "last_activity": None},
    ]


def test_a_command_that_is_not_there_or_fails_says_nothing(status: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status.run("echo", "hello") == "hello"
    assert status.run("no-such-command-here") == ""
    assert status.run("false") == ""
    monkeypatch.setattr(status, "TIMEOUT_SECONDS", 0.1)
    assert status.run("sleep", "5") == ""
