"""``berth upgrade`` and ``berth rollback``: what they ask, hand to the playbooks, and make of the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

OLD = {
    "id": "2026-01-02_030405",
    "kept": "2026-01-02T03:04:05+00:00",
    "berth": "0.1.0",
    "commit": "abc",
    "jupyterhub": "5.5.4",
    "traefik": "3.7.15",
    "gave_up": "",
    "database": "before its migration",
}
BROKEN = {**OLD, "id": "2026-02-03_040506", "commit": "bad", "gave_up": "Ask for its health: no answer"}
NEW = {"berth": "0.2.0", "commit": "", "jupyterhub": "6.1.1", "traefik": "3.7.15"}

UPGRADE = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {url: what a role of the converge says}
    - name: Report
      ansible.builtin.debug:
        msg: REPORTED
"""

ROLLBACK = """
- hosts: hub
  gather_facts: false
  vars:
    kept: KEPT
    done: DONE
  tasks:
    - name: Take down what was given
      ansible.builtin.copy:
        content: "{{ rollback_release }}"
        dest: "{{ playbook_dir }}/given"
        mode: "0644"
      when: rollback_release is defined
    - name: Report
      ansible.builtin.debug:
        msg: "{{ kept if rollback_list | default(false) else done }}"
"""


def test_an_upgrade_says_from_where_to_where_and_the_way_back(checkout: Checkout) -> None:
    removed = {"releases": ["2025-12-01_000000"], "venvs": ["hub-0"], "images": []}
    report = {"now": NEW, "before": OLD, "removed": removed}
    checkout.write("playbooks/upgrade.yml", UPGRADE.replace("REPORTED", json.dumps(report)))
    result = checkout.run("upgrade")
    assert result.returncode == 0, result.stderr
    versions = "Berth 0.1.0 (abc), JupyterHub 5.5.4, Traefik 3.7.15 -> Berth 0.2.0, JupyterHub 6.1.1, Traefik 3.7.15"
    assert f"one is upgraded: {versions}." in result.stdout
    assert "release 2026-01-02_030405 (berth rollback)" in result.stdout
    assert "No longer kept: 2025-12-01_000000, hub-0." in result.stdout


@pytest.fixture
def rolls(checkout: Checkout) -> Checkout:
    done = {**OLD, "seconds": 8.1, "left": "2026-03-04_050607"}
    text = ROLLBACK.replace("KEPT", json.dumps([BROKEN, OLD])).replace("DONE", json.dumps(done))
    checkout.write("playbooks/rollback.yml", text)
    return checkout


def given(checkout: Checkout) -> str | None:
    path = checkout.root / "playbooks" / "given"
    return path.read_text(encoding="utf-8") if path.exists() else None


def test_nobody_goes_back_unasked(rolls: Checkout) -> None:
    result = rolls.run("rollback")
    assert result.returncode == 2
    assert "--yes" in result.stderr
    assert given(rolls) is None


def test_the_one_before_that_worked_and_what_becomes_of_accounts(rolls: Checkout) -> None:
    result = rolls.run("rollback", "--yes")
    assert result.returncode == 0, result.stderr
    assert given(rolls) == "previous"
    assert (
        "one is back at Berth 0.1.0 (abc), JupyterHub 5.5.4, Traefik 3.7.15; its hub was away for 8.1 s"
        in result.stdout
    )
    assert "The database goes back to right before the upgrade" in result.stdout
    assert "berth rollback 2026-03-04_050607" in result.stdout


def test_a_dry_run_tells_which_it_would_be(rolls: Checkout) -> None:
    result = rolls.run("rollback", "-C")
    assert result.returncode == 0, result.stderr
    assert "one: back to release 2026-01-02_030405" in result.stdout
    assert "put aside" in result.stdout
    assert given(rolls) is None


def test_one_that_is_not_kept_is_refused_by_name(rolls: Checkout) -> None:
    result = rolls.run("rollback", "2020-01-01_000000", "--yes")
    assert result.returncode == 2
    assert 'keeps no release "2020-01-01_000000"; those that it keeps: 2026-02-03_040506, 2026-01-02' in result.stderr
    assert given(rolls) is None


def test_the_list_tells_which_did_not_work(rolls: Checkout) -> None:
    result = rolls.run("rollback", "--list")
    assert result.returncode == 0, result.stderr
    assert "one: 2 kept" in result.stdout
    assert "did not work: Ask for its health: no answer\n" in result.stdout
    found: dict[str, list[dict[str, Any]]] = json.loads(rolls.run("rollback", "--list", "--json").stdout)
    assert [one["id"] for one in found["one"]] == [BROKEN["id"], OLD["id"]]
