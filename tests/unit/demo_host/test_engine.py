"""What the demo host's role says of the engine before it makes anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

LOOK = """
- hosts: localhost
  gather_facts: true
  gather_subset: ['!all', '!min', distribution, service_mgr, user]
  tasks:
    - name: Look
      ansible.builtin.include_role:
        name: demo_host
        tasks_from: engine
"""


def look(folder: Path, answer: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the role's look at the engine, in which the engine gives a certain answer."""
    playbook = folder / "look.yml"
    playbook.write_text(LOOK)
    variables = {
        "__demo_host_engine": answer,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    command = ["-i", "localhost,", "-e", json.dumps(variables), "--check", str(playbook)]
    return subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", *command],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "DOCKER_HOST": "unix:///none"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_user_who_may_not_use_the_engine_is_told_how_to(tmp_path: Path) -> None:
    denied = "Error connecting: ('Connection aborted.', PermissionError(13, 'Permission denied'))"
    result = look(tmp_path, {"failed": False, "msg": denied})
    said = " ".join(result.stdout.split())
    assert result.returncode == 2, result.stdout
    assert "There is a Docker engine on this machine, but" in said
    assert "docker; then log in anew" in said
    assert "Install the distribution's engine" not in said


def test_an_engine_that_answers_is_enough(tmp_path: Path) -> None:
    result = look(tmp_path, {"failed": False, "host_info": {}})
    assert result.returncode == 0, result.stdout
