"""``berth backup``: what it hands to the playbook, what it shows while that goes on, and what it makes of the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

SNAPSHOT = {"snapshot": "0a1b2c3d", "files": 12, "bytes": 3 * 2**20, "added_bytes": 1024, "seconds": 65.2}
LISTED = [{"id": "0a1b2c3d", "time": "2026-01-02T03:04:05.6Z"}]

# Whatever is asked, it is told: the real playbook's own part is tested on a host.
PLAYBOOK = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Take down what was given
      ansible.builtin.copy:
        content: "{{ [backup_runs_what, backup_runs_percent | default(none)] | to_json }}"
        dest: "{{ playbook_dir }}/given.json"
        mode: "0644"
    - name: Look how far it has got
      ansible.builtin.shell:
        cmd: |
          echo x >>"{{ playbook_dir }}/asked"
          if [ $(wc -l <"{{ playbook_dir }}/asked") -lt 4 ]; then running=true; else running=false; fi
          echo '{"running": '$running', "progress": "42 %: 5 of 12 files"}'
      register: found
      until: not (found.stdout | from_json).running
      retries: 9
      delay: 0
    - name: Report
      ansible.builtin.debug:
        msg: REPORTED
"""


def given(checkout: Checkout) -> list[object]:
    found: list[object] = json.loads((checkout.root / "playbooks" / "given.json").read_text(encoding="utf-8"))
    return found


def write(checkout: Checkout, report: object) -> None:
    checkout.write("playbooks/backup.yml", PLAYBOOK.replace("REPORTED", json.dumps(report)))


def test_now_shows_how_far_it_has_got_and_what_was_made(checkout: Checkout) -> None:
    write(checkout, SNAPSHOT)
    result = checkout.run("backup", "now")
    assert result.returncode == 0, result.stderr
    assert given(checkout) == ["now", None]
    assert result.stdout.count("42 %: 5 of 12 files") == 1, "told once, however often it was asked"
    assert "snapshot 0a1b2c3d, 12 files, 3.0 MiB, 1.0 KiB of them new (1:05)" in result.stdout


def test_a_note_is_told_with_what_was_made(checkout: Checkout) -> None:
    write(checkout, {**SNAPSHOT, "note": "old snapshots stay until the next time"})
    assert "\n  old snapshots stay until the next time\n" in checkout.run("backup", "now").stdout


@pytest.mark.parametrize(("arguments", "percent"), [((), 100), (("--percent", "7"), 7)])
def test_verify_reads_everything_unless_told_otherwise(
    checkout: Checkout, arguments: tuple[str, ...], percent: int
) -> None:
    write(checkout, {"percent": percent, "seconds": 3.0})
    result = checkout.run("backup", "verify", *arguments)
    assert result.returncode == 0, result.stderr
    assert given(checkout) == ["verify", percent]
    assert f"the repository is sound; {percent} % of its data was read" in result.stdout


def test_percent_has_bounds(checkout: Checkout) -> None:
    write(checkout, {})
    assert checkout.run("backup", "verify", "--percent", "0").returncode == 2


def test_list_is_for_people_and_for_programs(checkout: Checkout) -> None:
    write(checkout, LISTED)
    result = checkout.run("backup", "list")
    assert "0a1b2c3d  2026-01-02 03:04:05 UTC" in result.stdout
    assert json.loads(checkout.run("backup", "list", "--json").stdout) == {"one": LISTED}


def test_key_tells_where_it_is_and_not_what_it_is(checkout: Checkout) -> None:
    write(checkout, {"key": "/somewhere/backup_password"})
    assert "/somewhere/backup_password" in checkout.run("backup", "key").stdout
