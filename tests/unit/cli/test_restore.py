"""``berth restore``: what it asks, what it hands to the playbook, and what it makes of the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

PLAYBOOK = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Take down what was given
      ansible.builtin.copy:
        content: "{{ [restore_snapshot, restore_overwrite, restore_user | default(none)] | to_json }}"
        dest: "{{ playbook_dir }}/given.json"
        mode: "0644"
      check_mode: false
    - name: Report
      ansible.builtin.debug:
        msg: REPORTED
"""
WHOLE = {"short": "0a1b2c3d", "time": "2026-01-02T03:04:05+00:00", "date": "2026-02-03_040506"}
HOME = {"user": "anna", "snapshot": "0a1b2c3d", "home": "/srv/berth/homes/anna", "folder": "restored-2026-02-03"}


def write(checkout: Checkout, report: object) -> None:
    checkout.write("playbooks/restore.yml", PLAYBOOK.replace("REPORTED", json.dumps(report)))


def given(checkout: Checkout) -> list[Any]:
    found: list[Any] = json.loads((checkout.root / "playbooks" / "given.json").read_text(encoding="utf-8"))
    return found


def test_a_home_is_brought_back_without_a_question(checkout: Checkout) -> None:
    write(checkout, HOME)
    result = checkout.run("restore", "0a1b", "--user", "Anna")
    assert result.returncode == 0, result.stderr
    assert given(checkout) == ["0a1b", False, "Anna"]
    assert "anna has snapshot 0a1b2c3d in ~/restored-2026-02-03" in result.stdout


def test_a_host_is_not_restored_without_somebody_who_agrees(checkout: Checkout) -> None:
    write(checkout, WHOLE)
    result = checkout.run("restore")
    assert result.returncode == 2
    assert "nothing was changed, since there is no terminal to ask on: add --yes" in result.stderr
    assert not (checkout.root / "playbooks" / "given.json").exists()
    result = checkout.run("restore", "--yes", "--overwrite")
    assert result.returncode == 0, result.stderr
    assert given(checkout) == ["latest", True, None]
    assert "restored from snapshot 0a1b2c3d" in result.stdout
    assert ".restore-2026-02-03_040506" in result.stdout


def test_a_dry_run_asks_nothing_and_says_which_it_would_be(checkout: Checkout) -> None:
    write(checkout, WHOLE)
    result = checkout.run("restore", "-C")
    assert result.returncode == 0, result.stderr
    assert "snapshot 0a1b2c3d of 2026-01-02T03:04:05+00:00 would be restored" in result.stdout


def test_a_name_that_can_be_nobodys_is_refused(checkout: Checkout) -> None:
    write(checkout, HOME)
    assert checkout.run("restore", "--user", "../x").returncode == 2
