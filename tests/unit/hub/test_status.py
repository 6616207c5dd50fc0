"""What `status` tells about servers and space."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scripts import load

SOURCE = Path(__file__).resolve().parents[3] / "roles" / "status" / "files" / "berth_status.py"


@pytest.fixture
def status() -> Any:
    return load(SOURCE)


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
    # As df has it: of what everybody may fill.
    told = subprocess.run(["df", "--output=pcent", str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert abs(first["percent"] - int(told.split()[-1].rstrip("%"))) <= 1


def test_a_file_system_without_blocks_has_no_percentage_to_fail_on(
    status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "PLACES", (Path("/proc"),))
    assert status.disk() == [{"path": "/proc", "size_bytes": 0, "used_bytes": 0, "available_bytes": 0, "percent": 0}]


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


TEXT = """# HELP berth_memory_bytes x
berth_memory_bytes{berth="alice"} 100
berth_memory_limit_bytes{berth="alice"} 200
berth_cpu_seconds_total{berth="alice"} 4.5
berth_certificate_expires_seconds 0.0
"""


def test_each_server_with_what_it_uses(status: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([TEXT, TEXT.replace("4.5", "6.5")])
    monkeypatch.setattr(status, "get", lambda _: next(answers))
    monkeypatch.setattr(status, "CPU_SECONDS", 0.2)
    found = status.uses({"berths": 1})
    servers: list[dict[str, Any]] = [{"user": "alice", "server": ""}, {"user": "bob", "server": ""}]
    status.add_use(servers, found)
    assert (servers[0]["memory_bytes"], servers[0]["memory_limit_bytes"]) == (100, 200)
    assert servers[0]["cpu"] > 0
    assert servers[0]["cpu_limit"] is None
    assert servers[1]["memory_bytes"] is None
    assert status.certificate_days(found) < 0


def test_nobody_who_answers_is_no_failure(status: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ports = {"berths": 9, "prometheus": 9}
    assert status.uses(ports) is None
    assert status.alerts(ports) is None
    servers: list[dict[str, Any]] = [{"user": "alice", "server": ""}]
    status.add_use(servers, None)
    assert servers[0]["memory_bytes"] is None
    monkeypatch.setattr(status, "CERTIFICATE", tmp_path / "none.crt")
    assert status.certificate_days(None) is None
    assert status.read_json(tmp_path / "none.json", []) == []


def test_backups_are_told_with_their_age(status: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(status, "BACKUP_SETTINGS", tmp_path / "backup.json")
    monkeypatch.setattr(status, "BACKUP_RESULTS", tmp_path / "results.json")
    assert status.backup() is None
    (tmp_path / "backup.json").write_text(json.dumps({"repository": str(tmp_path), "overdue_hours": 36}))
    assert status.backup()["overdue"] is True, "a host that was never prepared"
    now = dt.datetime.now(dt.UTC)
    old, recent = ((now - dt.timedelta(hours=hours)).isoformat() for hours in (37, 35))
    for since, good, overdue in ((old, None, True), (recent, None, False), (old, recent, False), (old, old, True)):
        results = {"since": since} | ({"good": {"ended": good, "files": 1, "bytes": 2}} if good else {})
        (tmp_path / "results.json").write_text(json.dumps(results))
        assert status.backup()["overdue"] is overdue
    monkeypatch.setattr(status, "PLACES", (tmp_path,))
    assert status.backup()["same_disk"] is True
    monkeypatch.setattr(status, "PLACES", (Path("/proc"),))
    assert status.backup()["same_disk"] is False
