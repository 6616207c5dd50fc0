"""The role's own tasks against a hub that is not there, or goes away in the middle: no password is lost."""

from __future__ import annotations

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - {name: Read, ansible.builtin.include_role: {name: jupyterhub_users, tasks_from: csv}}
    - {name: Change, ansible.builtin.include_role: {name: jupyterhub_users, tasks_from: accounts}}
    - {name: Hand out, ansible.builtin.include_role: {name: jupyterhub_users, tasks_from: passwords}}
"""

TWO_HOSTS = """
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - name: As the hubs answer, for one of whom anna is new
      ansible.builtin.set_fact:
        __jupyterhub_users_answer: {json: {passwords_set: "{{ ['anna'] if inventory_hostname == 'b' else [] }}"}}
    - name: Lose one in the middle of the changes
      ansible.builtin.fail: {msg: lost}
      when: inventory_hostname == lost
    - {name: Hand out, ansible.builtin.include_role: {name: jupyterhub_users, tasks_from: passwords}}
"""


class Hub(http.server.HTTPServer):
    """Knows who has an account; dies when it is asked for a change, if told so."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.accounts: dict[str, str] = {}
        self.dies = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        new = [user["name"] for user in asked["users"] if user["name"] not in self.server.accounts]
        if not asked["check"]:
            self.server.accounts |= {user["name"]: user["password"] for user in asked["users"] if user["name"] in new}
            if self.server.dies:
                self.close_connection = True
                return
        body = json.dumps({"created": new, "passwords_set": new, "changed": new}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def add(folder: Path, url: str, unit: str = "active", **passwords: str) -> subprocess.CompletedProcess[str]:
    """Add people whose passwords were made up, as `berth users add NAME` does.

    Args:
        folder: Where that happens.
        url: The hub's.
        unit: What systemd says of it.
        passwords: By user.
    """
    (folder / "play.yml").write_text(PLAY)
    systemctl = folder / "bin" / "systemctl"
    systemctl.parent.mkdir(exist_ok=True)
    systemctl.write_text(f"#!/bin/sh\n[ \"$*\" = 'is-active berth-hub.service' ] && echo {unit}\n[ {unit} = active ]\n")
    systemctl.chmod(0o755)
    files = (json.dumps({"hub_url": url, "base_url": "/"}), "token")
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "jupyterhub_users_wanted": [
            {"name": name, "password": password, "generated": True, "state": "present"}
            for name, password in passwords.items()
        ],
        "jupyterhub_users_passwords_to": str(folder / "passwords.csv"),
        "__jupyterhub_users_read": {
            "results": [{"content": base64.b64encode(file.encode()).decode()} for file in files]
        },
    }
    return subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-e", json.dumps(variables), "play.yml"],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "PATH": f"{systemctl.parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_passwords_of_a_hub_that_dies_in_the_middle_come_with_the_next_run(hub: Hub, tmp_path: Path) -> None:
    hub.accounts["carl"] = "of his own"
    hub.dies = True
    lost = add(tmp_path, hub.url, anna="first-1", carl="never-1")
    said = " ".join(lost.stdout.split())
    assert lost.returncode == 2, lost.stdout
    assert "did not answer to the end" in said
    assert "Run the same once more" in said
    assert "first-1" not in said
    assert hub.accounts == {"carl": "of his own", "anna": "first-1"}
    part = tmp_path / "passwords.csv.part"
    assert part.read_text() == "name,password\nanna,first-1\n"
    assert part.stat().st_mode & 0o777 == 0o600

    hub.dies = False
    again = add(tmp_path, hub.url, anna="second-2", carl="never-2", bert="new-2")
    assert again.returncode == 0, again.stdout
    assert (tmp_path / "passwords.csv").read_text() == "name,password\nanna,first-1\nbert,new-2\n"
    assert hub.accounts["bert"] == "new-2"
    assert not part.exists()


@pytest.mark.parametrize("unit", ["inactive", "failed"])
def test_a_hub_that_does_not_run_is_told_so_at_once(hub: Hub, tmp_path: Path, unit: str) -> None:
    url = hub.url
    hub.server_close()
    result = add(tmp_path, url, unit, anna="first-1")
    assert "Wait until it listens" not in result.stdout
    said = " ".join(result.stdout.split())
    assert result.returncode == 2, result.stdout
    assert "Nothing was changed: the hub of localhost does not run" in said
    assert "first-1" not in said
    assert list(tmp_path.glob("passwords*")) == []


def test_a_hub_that_is_just_starting_is_waited_for(hub: Hub, tmp_path: Path) -> None:
    url, port = hub.url, hub.server_port
    hub.server_close()
    started: list[Hub] = []

    def start() -> None:
        started.append(Hub(port))
        started[0].serve_forever()

    later = threading.Timer(6, start)
    later.start()
    try:
        result = add(tmp_path, url, "activating", anna="first-1")
    finally:
        later.cancel()
        for late in started:
            late.shutdown()
            late.server_close()
        later.join()
    assert result.returncode == 0, result.stdout
    assert started[0].accounts == {"anna": "first-1"}
    assert "Wait until it listens" in result.stdout


@pytest.mark.parametrize("lost", ["a", "b", "none"])
def test_passwords_stay_where_they_are_known_while_a_host_has_failed(tmp_path: Path, lost: str) -> None:
    (tmp_path / "play.yml").write_text(TWO_HOSTS)
    part, handed_out = tmp_path / "passwords.csv.part", tmp_path / "passwords.csv"
    part.write_text("name,password\nanna,first-1\n")
    variables = {
        "ansible_python_interpreter": sys.executable,
        "jupyterhub_users_wanted": [{"name": "anna", "password": "first-1", "generated": True}],
        "jupyterhub_users_passwords_to": str(handed_out),
        "lost": lost,
    }
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "a,b,", "-e", json.dumps(variables), "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    kept = handed_out if lost == "none" else part
    assert (done.returncode == 0) == (lost == "none"), done.stdout
    assert kept.read_text() == "name,password\nanna,first-1\n"
    assert part.exists() != handed_out.exists()
    assert (f"are in {part} until" in " ".join(done.stdout.split())) == (lost != "none")
