"""What ``berth up`` and ``berth down`` show, and what they end with."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from berth_cli.options import RunOptions
from berth_cli.state import new_log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Checkout

DEMO_HOST = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Make the demo host {{ demo_host_state | default('present') }}, {{ demo_host_keep_data | default(false) }}
      ansible.builtin.command: "true"
"""

SITE = """
- hosts: hub
  gather_facts: false
  roles: [first, second]
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {url: "https://berth.example", admin: anna, password_command: "cat [it]", ca_certificate: /etc/ca.crt}
"""

FIRST = """
- name: Leave everything as it is
  ansible.builtin.command: "true"
  changed_when: false
"""

SECOND = """
- name: Write a file
  ansible.builtin.copy:
    content: "new text\\n"
    dest: "{{ playbook_dir }}/../written"
    mode: "0644"
- name: Fail, as it was foreseen
  ansible.builtin.command: "false"
  ignore_errors: true
- name: Fall
  block:
    - name: Fail, and get caught
      ansible.builtin.fail:
        msg: caught
  rescue:
    - name: Get up
      ansible.builtin.debug:
        msg: up
"""


@pytest.fixture
def site(checkout: Checkout) -> Checkout:
    checkout.write("playbooks/demo_host.yml", DEMO_HOST)
    checkout.write("playbooks/site.yml", SITE)
    checkout.write("roles/first/tasks/main.yml", FIRST)
    checkout.write("roles/second/tasks/main.yml", SECOND)
    return checkout


def failing_site(checkout: Checkout, tasks: str) -> None:
    checkout.write("playbooks/demo_host.yml", DEMO_HOST)
    checkout.write("playbooks/site.yml", "- hosts: all\n  gather_facts: false\n  roles: [first]\n")
    checkout.write("roles/first/tasks/main.yml", tasks)


def test_up_shows_roles_and_changes_and_ends_with_what_to_do_next(site: Checkout) -> None:
    result = site.run("up")
    assert result.returncode == 0, result.stderr
    lines = [re.sub(r"^ *\d+:\d\d  ", "", line).rstrip() for line in result.stdout.splitlines()]
    assert lines[:6] == [
        "  changed on one: Make the demo host present, False",
        "first",
        "second",
        "  changed on one: Write a file",
        "  failed on one: second: Fail, and get caught",
        "",
    ]
    assert lines[6] == "Berth is up on one."
    for said in ("https://berth.example", "anna", "shown by: cat [it]", "/etc/ca.crt", "2 changed (0:", "berth down"):
        assert said in result.stdout
    assert "Report" not in result.stdout
    assert result.stderr == ""


def test_without_a_ca_of_the_hosts_own_nothing_is_said_of_one(site: Checkout) -> None:
    site.write("playbooks/site.yml", SITE.replace(", ca_certificate: /etc/ca.crt", ""))
    result = site.run("up")
    assert result.returncode == 0, result.stderr
    assert "https://berth.example" in result.stdout
    assert "CA certificate" not in result.stdout


def test_what_to_do_next_can_be_typed_as_it_stands(site: Checkout) -> None:
    (site.base / "my password").write_text("secret")
    site.environment["BERTH_COMMAND"] = "./berth"
    result = site.run("up", "-i", "inventory/demo/hosts.yml", "--vault-password-file", "my password")
    assert result.returncode == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "./berth status -i inventory/demo/hosts.yml --vault-password-file 'my password'" in said
    assert RunOptions(inventory="x", ask_become_pass=True).again() == " -i x -K"


def test_a_missing_sudo_password_is_told_with_what_to_do_in_a_role_too(checkout: Checkout) -> None:
    sudo = checkout.write("sudo", "#!/bin/sh\necho nina is not in the sudoers file. >&2\nexit 1\n")
    sudo.chmod(0o755)
    become = {"ansible_become": True, "ansible_become_user": "nobody", "ansible_become_exe": str(sudo)}
    failing_site(checkout, "[{name: Look, ansible.builtin.command: 'true'}]")
    checkout.write("inventory/site", "one ansible_connection=local\n")
    result = checkout.run("up", "-i", "inventory/site", "-e", json.dumps(become))
    assert result.returncode == 2
    assert "failed on one: first: Look" in result.stderr
    assert "usermod -aG sudo USER" in result.stderr


def test_another_inventory_leaves_the_demo_host_alone(site: Checkout) -> None:
    demo = site.root / "inventory" / "demo" / "hosts.yml"
    inventory = site.write("inventory/site/hosts.yml", demo.read_text(encoding="utf-8"))
    result = site.run("up", "-i", str(inventory.parent), "--check", "--diff")
    assert result.returncode == 0, result.stderr
    assert "demo host" not in result.stdout
    assert "+new text" in result.stdout
    assert "1 would change (" in result.stdout
    assert not (site.root / "written").exists()


def test_verbose_shows_ansibles_own_output_and_the_log_has_it_always(site: Checkout) -> None:
    result = site.run("up", "-v", "-t", "always")
    assert "PLAY RECAP ***" in result.stdout
    (log,) = site.logs()
    text = log.read_text(encoding="utf-8")
    assert "PLAY RECAP ***" in text
    assert "--tags always" in text.splitlines()[0]
    assert "\x1b" not in text
    assert log.stat().st_mode & 0o777 == 0o600


def test_only_the_last_twenty_logs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = [new_log("up") for _ in range(25)]
    assert sorted(made[0].parent.iterdir()) == made[5:]


def test_a_failed_task_is_named_with_its_host_and_output_and_ansibles_exit_code(checkout: Checkout) -> None:
    failing_site(
        checkout,
        """
        - name: Caught before
          block: [{name: Fail, ansible.builtin.fail: {msg: not this one}}]
          rescue: [{name: Go on, ansible.builtin.debug: {}}]
        - name: Start [the] engine
          ansible.builtin.command: sh -c 'echo the engine says no >&2; exit 7'
        """,
    )
    result = checkout.run("up")
    assert result.returncode == 2
    assert "failed on one: first: Start [the] engine" in result.stderr
    assert "    the engine says no" in result.stderr
    assert "not this one" not in result.stderr
    assert str(checkout.logs()[-1]) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_failed_item_of_a_loop_is_named(checkout: Checkout) -> None:
    failing_site(
        checkout,
        """
        - name: Three times
          ansible.builtin.command: sh -c 'echo no {{ item }}; test {{ item }} != b'
          changed_when: false
          loop: [a, b, c]
        """,
    )
    result = checkout.run("up")
    assert "item b: non-zero return code" in result.stderr
    assert "no b" in result.stderr
    assert "item a" not in result.stderr


def test_a_failure_that_handles_secrets_stays_hidden(checkout: Checkout) -> None:
    failing_site(
        checkout,
        """
        - name: Set the password
          ansible.builtin.command: sh -c 'echo hunter2 >&2; exit 1'
          no_log: true
        """,
    )
    result = checkout.run("up")
    assert result.returncode == 2
    assert "failed on one: first: Set the password" in result.stderr
    assert "no_log" in result.stderr
    assert "hunter2" not in result.stdout + result.stderr + checkout.logs()[-1].read_text(encoding="utf-8")


def test_an_unreachable_host_is_named_with_the_reason(checkout: Checkout) -> None:
    checkout.write(
        "playbooks/connection_plugins/nowhere.py",
        '''
        """Reaches nothing."""
        from ansible.errors import AnsibleConnectionFailure
        from ansible.plugins.connection import ConnectionBase

        DOCUMENTATION = """
        name: nowhere
        short_description: reaches nothing
        description: reaches nothing
        options: {}
        """


        class Connection(ConnectionBase):
            transport = "nowhere"

            def _connect(self):
                raise AnsibleConnectionFailure("no route to two")

            exec_command = put_file = fetch_file = close = lambda self, *a, **k: self._connect()
        ''',
    )
    failing_site(checkout, "[{name: Look, ansible.builtin.ping: {}}]")
    checkout.write("inventory/site", "two ansible_connection=nowhere\n")
    result = checkout.run("up", "-i", "inventory/site")
    assert result.returncode == 4
    assert "two could not be reached, in: first: Look" in result.stderr
    assert "no route to two" in result.stderr


def test_a_playbook_that_ansible_refuses_is_shown_with_ansibles_words(checkout: Checkout) -> None:
    failing_site(checkout, "[{name: Look, no_such_module: {}}]")
    result = checkout.run("up")
    assert result.returncode not in {0, 130}
    assert "no_such_module" in result.stderr


def test_what_is_missing_is_said_before_anything_runs(site: Checkout) -> None:
    result = site.run("up", "-i", "inventory/nowhere")
    assert result.returncode == 2
    assert 'inventory "inventory/nowhere" not found' in result.stderr
    (site.root / "playbooks" / "site.yml").unlink()
    result = site.run("up")
    assert result.returncode == 2
    assert "site.yml" in result.stderr
    assert site.logs() == []


def test_down_asks_first_and_passes_on_what_to_keep(site: Checkout) -> None:
    result = site.run("down")
    assert result.returncode == 2
    assert "--yes" in result.stderr
    assert site.logs() == []
    result = site.run("down", "--yes", "--keep-data")
    assert result.returncode == 0, result.stderr
    assert "Make the demo host absent, True" in result.stdout


def test_down_refuses_other_hosts(site: Checkout) -> None:
    site.write("inventory/site", "two ansible_connection=local\n")
    result = site.run("down", "--yes", "-i", "inventory/site")
    assert result.returncode == 2
    assert "only the demo host" in result.stderr
    assert site.logs() == []
