"""``berth status`` and ``logs``: what they make of what the playbooks report."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING

import pytest

from berth_cli.app import main
from berth_cli.status import ago, size

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

REPORT = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {message}
"""


def status_report(**state: str) -> dict[str, object]:
    return {
        "url": "https://berth.example",
        "state": {"hub": "active", "proxy": "active", "engine": "active"} | state,
        "versions": {"berth": "0.1.0", "jupyterhub": "6.1.1", "image": None},
        "release": {"berth": "0.1.0", "commit": "abc", "converged": "2026-01-01T00:00:00+00:00", "kept": [{"id": "x"}]},
        "users": 3,
        "running_servers": [{"user": "[anna]", "server": "", "started": "2026-01-01T00:00:00Z", "last_activity": None}],
        "asleep": [{"user": "ben", "server": "second", "since": "2026-01-01T00:00:00+00:00"}],
        "disk": [{"path": "/srv", "size_bytes": 2**40, "used_bytes": 3 * 2**29, "percent": 1}],
    }


def test_status_of_a_healthy_host(checkout: Checkout) -> None:
    checkout.write("playbooks/status.yml", REPORT.format(message=json.dumps(status_report())))
    result = checkout.run("status")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for said in (
        "one  https://berth.example",
        "hub active",
        "jupyterhub 6.1.1",
        "Berth 0.1.0 (abc), since 2026-01-01 00:00 UTC; 1 kept",
        "1.5 GiB of 1.0 TiB (1 %)",
        "[anna]",
        "ben second",
        "never",
    ):
        assert said in result.stdout
    assert "image" not in result.stdout
    as_json = checkout.run("status", "--json")
    assert json.loads(as_json.stdout) == {"one": status_report()}


def test_status_of_a_host_that_is_not_well(checkout: Checkout) -> None:
    checkout.write("playbooks/status.yml", REPORT.format(message=json.dumps(status_report(proxy="failed"))))
    result = checkout.run("status")
    assert result.returncode == 3
    assert "proxy failed" in result.stdout


@pytest.mark.parametrize("as_json", [True, False])
def test_status_shows_what_others_say_when_a_host_fails(checkout: Checkout, *, as_json: bool) -> None:
    lost = "    - {name: Look, ansible.builtin.fail: {msg: it is gone}, when: inventory_hostname == 'two'}\n"
    play = REPORT.format(message=json.dumps(status_report())).replace("  tasks:\n", f"  tasks:\n{lost}")
    checkout.write("playbooks/status.yml", play)
    checkout.write("inventory/two/hosts.yml", "hub: {hosts: {one: , two: }, vars: {ansible_connection: local}}\n")
    result = checkout.run("status", "-i", "inventory/two", *(["--json"] if as_json else []))
    assert result.returncode == 2
    assert "failed on two" in result.stderr
    assert "it is gone" in result.stderr
    assert json.loads(result.stdout) == {"one": status_report()} if as_json else "hub active" in result.stdout


def test_status_tells_who_uses_how_much_and_what_is_wrong(checkout: Checkout) -> None:
    report = status_report()
    server = {"memory_bytes": 2**28, "memory_limit_bytes": 2**31, "cpu": 0.5, "cpu_limit": 2.0}
    alert = {"name": "X", "severity": "critical", "summary": "The [disk] is full", "since": "2026-01-01T00:00:00Z"}
    report |= {
        "running_servers": [{"user": "anna", "server": "", "started": None, "last_activity": None, **server}],
        "since": {"hub": "2026-01-01T10:20:30+00:00"},
        "certificate_days": -1,
        "monitoring": "on",
        "alerts": [alert],
        "failed_starts": [{"time": "2026-01-01T00:00:00Z", "user": "bob", "server": "", "reason": "no home\nmore"}],
    }
    checkout.write("playbooks/status.yml", REPORT.format(message=json.dumps(report)))
    result = checkout.run("status")
    assert result.returncode == 0, result.stderr
    told = " ".join(result.stdout.split())
    for said in (
        "256.0",
        "of 2.0",
        "0.50",
        "since 2026-01-01 10:20",
        "has expired",
        "The [disk] is full",
        "bob no home",
    ):
        assert said in told
    assert "more" not in told


@pytest.mark.parametrize(("seconds", "is_told"), [(8.4, True), (0.1, False), (None, False)])
def test_status_tells_of_a_hub_that_is_slow(checkout: Checkout, seconds: float | None, *, is_told: bool) -> None:
    report = status_report() | {"hub_seconds": seconds}
    checkout.write("playbooks/status.yml", REPORT.format(message=json.dumps(report)))
    result = checkout.run("status")
    assert result.returncode == 0, result.stderr
    assert ("slow: it took 8 s to answer" in " ".join(result.stdout.split())) is is_told
    assert ("slow" in result.stdout) is is_told


@pytest.mark.parametrize(("available", "code"), [(10 * 2**20, 3), (100 * 2**20, 0)])
def test_status_tells_of_a_disk_that_is_full_and_of_why_the_hub_gave_up(
    checkout: Checkout, available: int, code: int
) -> None:
    report = status_report() | {"hub_says": "The hub does not start: [it] is damaged"}
    report["disk"] = [
        {"path": "/srv", "size_bytes": 2**40, "used_bytes": 2**39, "available_bytes": available, "percent": 100}
    ]
    checkout.write("playbooks/status.yml", REPORT.format(message=json.dumps(report)))
    result = checkout.run("status")
    assert result.returncode == code, result.stderr
    assert ("full: nothing can be saved there" in " ".join(result.stdout.split())) is (code == 3)
    assert "The hub does not start: [it] is damaged" in " ".join(result.stdout.split())


def backup_report(**changes: object) -> dict[str, object]:
    recently = dt.datetime.now(dt.UTC).isoformat()
    good = {"result": "ok", "ended": recently, "message": "", "good": recently, "files": 7, "bytes": 2048}
    found: dict[str, object] = {"repository": "/srv/berth/backup", "overdue": False, "same_disk": False}
    return found | good | {"verify": None, "verified": None, "verify_message": ""} | changes


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({}, 0, "ok just now, 7 files, 2.0 KiB, in /srv/berth/backup"),
        ({"same_disk": True}, 0, "(on the homes' own disk)"),
        ({"result": None, "good": None}, 0, "none yet: berth backup now"),
        ({"result": "failed", "message": "the [disk] is full"}, 3, "failed just now: the [disk] is full"),
        ({"result": "failed", "message": "x"}, 3, "last good one just now"),
        ({"overdue": True, "good": "2026-01-01T00:00:00Z"}, 3, "overdue, the last good one was"),
        ({"verify": "failed", "verify_message": "pack 1 is broken"}, 3, "check of the repository failed never: pack 1"),
    ],
)
def test_a_backup_that_is_not_well_is_loud(
    checkout: Checkout, changes: dict[str, object], code: int, said: str
) -> None:
    report = status_report() | {"backup": backup_report(**changes)}
    checkout.write("playbooks/status.yml", REPORT.format(message=json.dumps(report)))
    result = checkout.run("status")
    assert result.returncode == code, result.stderr
    assert said in " ".join(result.stdout.split())


@pytest.mark.parametrize(("monitoring", "said"), [("off", "monitoring is off"), ("not answering", "does not answer")])
def test_status_without_monitoring(checkout: Checkout, monitoring: str, said: str) -> None:
    report = status_report() | {"monitoring": monitoring, "alerts": None}
    checkout.write("playbooks/status.yml", REPORT.format(message=json.dumps(report)))
    assert said in checkout.run("status").stdout


def test_no_report_is_an_error_and_not_an_empty_answer(checkout: Checkout) -> None:
    checkout.write("playbooks/status.yml", "- hosts: nobody\n")
    result = checkout.run("status", "--json")
    assert result.returncode == 2
    assert result.stdout == ""
    assert "no host reported" in result.stderr


def test_logs_are_printed_as_they_are_and_long_ones_whole(checkout: Checkout) -> None:
    message = "{'hub': [logs_unit ~ ' ' ~ logs_lines ~ ' ' ~ logs_since] + ['[bold] 100% {{x}} ' ~ 'y' * 2000] * 1000}"
    path = checkout.write("playbooks/logs.yml", REPORT.format(message="LOGS"))
    path.write_text(path.read_text(encoding="utf-8").replace("LOGS", f'"{{{{ {message} }}}}"'.replace("{{x}}", "[x]")))
    result = checkout.run("logs", "-n", "7", "--since", "1 hour ago")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "hub 7 1 hour ago"
    assert lines[1:] == ["[bold] 100% [x] " + "y" * 2000] * 1000


def test_logs_of_several_are_told_apart(checkout: Checkout) -> None:
    checkout.write("playbooks/logs.yml", REPORT.format(message="{hub: [a], proxy: [b]}"))
    result = checkout.run("logs", "all")
    assert result.stdout.splitlines() == ["==> hub on one <==", "a", "==> proxy on one <==", "b"]


@pytest.mark.parametrize("arguments", [("berth",), ("hub", "anna"), ("engine",)])
def test_logs_says_what_is_wrong(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    result = checkout.run("logs", *arguments)
    assert result.returncode == 2
    assert checkout.logs() == []


def test_sizes_and_times_are_for_people() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536 * 2**20, 5 * 2**40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 GiB",
        "5.0 TiB",
    ]
    now = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)
    moments = [None, "2026-01-09T23:59:30Z", "2026-01-09T23:01:00", "2026-01-09T01:00:00+01:00", "2026-01-01T00:00:00Z"]
    assert [ago(moment, now) for moment in moments] == ["never", "just now", "59 min ago", "24 h ago", "9 days ago"]


HELPED = ["up", "check", "down", "remove", "restore", "status", "logs", "test", "version"]
HELPED += [f"backup {what}" for what in ("now", "list", "verify", "key")]


@pytest.mark.parametrize("command", HELPED)
def test_help_has_examples_for_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"berth {command}" in capsys.readouterr().out.partition("Example")[2]


def test_version_names_what_matters(checkout: Checkout) -> None:
    result = checkout.run("version")
    assert re.match(r"berth \d+\.\d+\.\d+\nansible-core 2\.\d+\.\d+\npython 3\.\d+\.\d+\n", result.stdout)
