"""Berth's command line, and plain Ansible, as an operator runs them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from conftest import PROJECT

BERTH = (sys.executable, "-P", "-m", "berth_cli")
PLAYBOOK = (str(Path(sys.executable).with_name("ansible-playbook")),)


def run(
    command: Sequence[str],
    *arguments: str,
    state: Path,
    more_env: Mapping[str, str] | None = None,
    seconds: float = 900,
) -> subprocess.CompletedProcess[str]:
    """Run one of them where nobody is there to answer; returns how it ended.

    Args:
        command: :data:`BERTH` or :data:`PLAYBOOK`.
        arguments: its own.
        state: folder for what the command line remembers and logs.
        more_env: environment beyond that of this process.
        seconds: the longest that it may take.
    """
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "PYTHONPATH": str(PROJECT),
        "XDG_STATE_HOME": str(state),
        **(more_env or {}),
    }
    return subprocess.run(
        [*command, *arguments],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
