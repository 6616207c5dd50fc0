"""``berth users``, ``status`` and ``logs``: what they make of what the playbooks report."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING

import pytest

from berth_cli.app import main
from berth_cli.errors import BerthError
from berth_cli.status import ago, size
from berth_cli.users import check_names, new_password

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

USERS_PLAYBOOK = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Change the users
      ansible.builtin.command:
        argv: ["{{ ansible_playbook_python }}", "{{ playbook_dir }}/users.py"]
        stdin: "{{ jupyterhub_users_wanted | to_json }}"
      register: said
      no_log: true
    - name: Report
      ansible.builtin.debug:
        msg: "{{ said.stdout | from_json }}"
"""

# Stands for the role: keeps users in a file, and creates, changes and removes as the role does.
USERS_PROGRAM = """
import json, pathlib, sys
file = pathlib.Path(__file__).with_name("users.json")
users = json.loads(file.read_text()) if file.exists() else {}
changed = []
for wanted in json.load(sys.stdin):
    name, before = wanted["name"], users.get(wanted["name"])
    if wanted.get("state") == "absent":
        users.pop(name, None)
    elif before is None:
        users[name] = {"password": wanted["password"], "admin": wanted.get("admin", False)}
    else:
        before["admin"] = wanted.get("admin", before["admin"])
        if wanted["update_password"] == "always":
            before["password"] = wanted["password"]
    if users.get(name) != before or before is not None and wanted.get("state") == "absent" or (
        before and wanted.get("update_password") == "always"):
        changed.append(name)
file.write_text(json.dumps(users))
listed = [{"name": n, "admin": u["admin"], "servers": 0, "last_activity": None, "created": "2026-01-02T03:04:05Z"}
          for n, u in sorted(users.items())]
print(json.dumps({"users": listed, "changed": changed}))
"""

REPORT = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {message}
"""


@pytest.fixture
def hub(checkout: Checkout) -> Checkout:
    checkout.write("playbooks/users.yml", USERS_PLAYBOOK)
    checkout.write("playbooks/users.py", USERS_PROGRAM)
    return checkout


def stored(hub: Checkout) -> dict[str, dict[str, object]]:
    users: dict[str, dict[str, object]] = json.loads(
        (hub.root / "playbooks" / "users.json").read_text(encoding="utf-8")
    )
    return users


def store(hub: Checkout, **users: dict[str, object]) -> None:
    hub.write("playbooks/users.json", json.dumps(users))


def test_added_users_get_passwords_that_are_shown_once_and_others_stay(hub: Checkout) -> None:
    first = hub.run("users", "add", "Anna", "--admin")
    assert first.returncode == 0, first.stderr
    assert '"Anna" becomes "anna"' in first.stderr
    (password,) = re.findall(r"anna added; password, shown only now: (\S+)", first.stdout)
    assert stored(hub) == {"anna": {"password": password, "admin": True}}

    second = hub.run("users", "add", "anna", "bert")
    assert second.returncode == 0, second.stderr
    assert "anna exists already" in second.stdout
    assert len(re.findall("password, shown only now", second.stdout)) == 1
    assert stored(hub)["anna"] == {"password": password, "admin": True}
    assert stored(hub)["bert"]["admin"] is False

    listed = hub.run("users", "list", "--json")
    assert [user["name"] for user in json.loads(listed.stdout)["one"]] == ["anna", "bert"]


def test_given_passwords_are_taken_and_not_shown(hub: Checkout) -> None:
    result = hub.run("users", "add", "anna", "bert", "--password-stdin", given="eins\nzwei drei\n")
    assert result.returncode == 0, result.stderr
    assert {name: user["password"] for name, user in stored(hub).items()} == {"anna": "eins", "bert": "zwei drei"}
    assert "eins" not in result.stdout
    result = hub.run("users", "add", "carl", "--password-stdin", given="eins\nzwei\n")
    assert result.returncode == 2
    assert "2 lines" in result.stderr


def test_a_new_password_is_for_those_who_exist(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": True})
    assert hub.run("users", "set-password", "bert").returncode == 2
    assert list(stored(hub)) == ["anna"]
    result = hub.run("users", "set-password", "anna")
    (password,) = re.findall(r"anna has a new password; password, shown only now: (\S+)", result.stdout)
    assert stored(hub) == {"anna": {"password": password, "admin": True}}


def test_users_are_removed_only_when_that_is_meant(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": True})
    refused = hub.run("users", "remove", "anna")
    assert refused.returncode == 2
    assert list(stored(hub)) == ["anna"]
    result = hub.run("users", "remove", "anna", "bert", "--yes")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["anna removed.", "bert was not there."]
    assert stored(hub) == {}


@pytest.mark.parametrize("name", ["", "a" * 256, "a/b", ".", "..", " a", "a ", "a\nb", "a\x00b", "a\u2028b"])
def test_names_that_cannot_be_are_refused_by_name(name: str) -> None:
    with pytest.raises(BerthError, match="user name") as caught:
        check_names(["fine", name])
    assert repr(name) in str(caught.value)


def test_names_become_lower_case_and_must_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_names(["Zoë", "a b", "x@y.example", "a" * 255]) == ["zoë", "a b", "x@y.example", "a" * 255]
    assert '"Zoë" becomes "zoë"' in capsys.readouterr().err
    with pytest.raises(BerthError, match="twice"):
        check_names(["anna", "Anna"])


def test_a_bad_name_runs_nothing(hub: Checkout) -> None:
    result = hub.run("users", "add", "anna", "../bert")
    assert result.returncode == 2
    assert "'../bert'" in result.stderr
    assert hub.logs() == []


def test_passwords_are_readable_and_never_the_same() -> None:
    passwords = {new_password() for _ in range(200)}
    assert len(passwords) == 200
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){3}[a-hjkmnp-z2-9]{4}", password) for password in passwords)


def status_report(**state: str) -> dict[str, object]:
    return {
        "url": "https://berth.example",
        "state": {"hub": "active", "proxy": "active", "engine": "active"} | state,
        "versions": {"berth": "0.1.0", "jupyterhub": "6.1.1", "image": None},
        "users": 3,
        "running_servers": [{"user": "[anna]", "server": "", "started": "2026-01-01T00:00:00Z", "last_activity": None}],
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
        "1.5 GiB of 1.0 TiB (1 %)",
        "[anna]",
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


@pytest.mark.parametrize(
    "command", ["up", "check", "down", "remove", "status", "logs", "test", "version", "users add", "users remove"]
)
def test_help_has_examples_for_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"berth {command}" in capsys.readouterr().out.partition("Example")[2]


def test_version_names_what_matters(checkout: Checkout) -> None:
    result = checkout.run("version")
    assert re.match(r"berth \d+\.\d+\.\d+\nansible-core 2\.\d+\.\d+\npython 3\.\d+\.\d+\n", result.stdout)
