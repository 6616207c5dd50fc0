"""What ``berth check`` and ``berth remove`` show, and the advice about failures on the way to a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from berth_cli.advice import advice
from berth_cli.failures import TAIL_LINES, message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Checkout

SITE = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Write a file
      ansible.builtin.copy:
        content: "new text\\n"
        dest: "{{ playbook_dir }}/../written"
        mode: "0644"
    - name: Report
      ansible.builtin.debug:
        msg: "{{ fresh | default({'url': 'x'}) }}"
"""

REMOVE = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Remove the engine {{ remove_engine | default(false) }}
      ansible.builtin.command: "true"
    - name: Report
      ansible.builtin.debug:
        msg: {homes: /srv/homes, kept: /srv/kept.tar, engine: stays}
"""


@pytest.fixture
def site(checkout: Checkout) -> Checkout:
    checkout.write("playbooks/site.yml", SITE)
    checkout.write("playbooks/remove.yml", REMOVE)
    return checkout


def test_check_says_what_would_change_and_changes_nothing(site: Checkout) -> None:
    result = site.run("check")
    assert result.returncode == 0, result.stderr
    for said in ("+new text", "one has a hub, and passed all checks.", "1 would change; nothing was changed"):
        assert said in result.stdout
    assert not (site.root / "written").exists()


def test_check_of_a_bare_host_says_what_that_host_said(site: Checkout) -> None:
    result = site.run("check", "-e", "fresh='one is bare'")
    assert result.returncode == 0, result.stderr
    assert "\none is bare\n" in result.stdout


@pytest.mark.parametrize("command", ["up", "check", "remove"])
def test_an_inventory_without_hosts_is_no_success(site: Checkout, command: str) -> None:
    site.write("inventory/site", "[others]\ntwo ansible_connection=local\n")
    result = site.run(command, "-i", "inventory/site", *(["--yes"] if command == "remove" else []))
    assert result.returncode == 2
    assert "inventory/site" in result.stderr
    assert 'no host in the group "hub"' in result.stderr


def test_remove_asks_first_and_says_what_stays(site: Checkout) -> None:
    result = site.run("remove")
    assert result.returncode == 2
    assert "--yes" in result.stderr
    assert site.logs() == []
    result = site.run("remove", "--yes")
    assert result.returncode == 0, result.stderr
    for said in ("Remove the engine False", "Berth is gone from one.", "/srv/homes", "/srv/kept.tar", "stays"):
        assert said in result.stdout
    assert "Remove the engine True" in site.run("remove", "--yes", "--engine").stdout


def test_a_dry_run_of_remove_asks_nobody(site: Checkout) -> None:
    result = site.run("remove", "-C")
    assert result.returncode == 0, result.stderr
    assert "would be removed" in result.stdout


@pytest.mark.parametrize(
    ("said", "to_do"),
    [
        ("ssh: connect to host h port 22: Connection refused", "ansible_port"),
        ("ssh: Could not resolve hostname h: Name or service not known", "ansible_host"),
        ("Host key verification failed.", "known_hosts"),
        ("u@h: Permission denied (publickey).", "ansible_ssh_private_key_file"),
        ("Missing sudo password", "-K"),
        ("Incorrect sudo password", "refused the password"),
        ("/bin/sh: 1: sudo: not found", "apt install sudo"),
        ("[ERROR]: Completely failed to parse inventory source /x/hosts.yml", "after a colon comes a blank"),
        ("Attempting to decrypt but no vault secrets found", "--vault-password-file"),
        ("Decryption failed (no vault secrets were found that could decrypt)", "not the one"),
        ("/bin/sh: 1: /usr/bin/python3: not found", "apt install python3"),
    ],
)
def test_advice_says_what_to_do(said: str, to_do: str) -> None:
    assert to_do in (advice(said) or "")


def test_a_user_who_may_not_become_root_is_told_so() -> None:
    # As Ansible reports it of a host over SSH: facts are gathered by modules of which the task tells only the names.
    said = message(
        {
            "failed": True,
            "msg": "The following modules failed to execute: ansible.legacy.setup.",
            "failed_modules": {
                "ansible.legacy.setup": {
                    "failed": True,
                    "module_stderr": "nina is not in the sudoers file.\n",
                    "module_stdout": "",
                    "msg": "Module result deserialization failed: No start of json char found",
                }
            },
        }
    )
    assert "nina is not in the sudoers file." in said.splitlines()
    assert "usermod -aG sudo USER" in (advice(said) or "")


def test_what_is_wrong_comes_first_however_long_the_journal_behind_it_is() -> None:
    journal = [f"line {number}" for number in range(40)]
    said = message({"msg": "\n".join(["No certificate came.", *journal]), "stderr": "\n".join(journal)}).splitlines()
    assert said[:3] == ["No certificate came.", "...", "line 22"]
    assert said[TAIL_LINES - 1 : TAIL_LINES + 1] == ["line 39", "line 20"]
    assert message({"msg": "one\ntwo"}) == "one\ntwo"


def test_no_advice_is_better_than_a_wrong_one() -> None:
    assert advice("No space left on device") is None


def test_a_file_that_cannot_be_decrypted_is_named(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("hub: {hosts: {one: {}}}\n")
    secret = tmp_path / "group_vars" / "hub.yml"
    secret.parent.mkdir()
    secret.write_text("a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  31\n")
    said = advice("Attempting to decrypt but no vault secrets found.", str(tmp_path)) or ""
    assert f"Encrypted: {secret}" in said
    assert "hosts.yml" not in said
