"""The role's own tasks where a release could not be brought."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

PLAY = f"""
- hosts: localhost
  gather_facts: false
  vars_files: ["{ROOT}/roles/upgrade/vars/main.yml"]
  tasks:
    - block:
        - {{name: Something of the converge, ansible.builtin.fail: {{msg: the real reason}}}}
      rescue:
        - ansible.builtin.import_tasks: "{ROOT}/roles/upgrade/tasks/back.yml"
"""


def test_a_dry_run_tells_why_it_would_fail(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    (tmp_path / "ansible.cfg").write_text("", encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    done = subprocess.run(
        [program, "--check", "--inventory", "localhost,", "--connection", "local", str(tmp_path / "play.yml")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    last = done.stdout.rpartition("TASK [Tell what a dry run has found]")[2]
    assert "the real reason" in last, done.stdout + done.stderr
    assert "undefined" not in last
