"""A small checkout whose playbooks keep the same contract as Berth's own, and a way to run the real command in it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

START = """
import sys
from pathlib import Path
from berth_cli.app import main
from berth_cli.project import Project
sys.exit(main(sys.argv[2:], Project(Path(sys.argv[1]))))
"""


@dataclass
class Checkout:
    """A checkout in a temporary directory, with a home, a state and a temporary directory of its own."""

    base: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for directory in ("checkout", "home", "state", "tmp"):
            (self.base / directory).mkdir()
        self.environment = {
            "HOME": str(self.base / "home"),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "TMPDIR": str(self.base / "tmp"),
            "XDG_STATE_HOME": str(self.base / "state"),
        }

    @property
    def root(self) -> Path:
        return self.base / "checkout"

    def write(self, name: str, content: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content), encoding="utf-8")
        return path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", START, str(self.root), *arguments]

    def start(
        self,
        *arguments: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            cwd=self.base,
            text=True,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            # Away from the terminal that the tests may have been started on.
            start_new_session=True,
        )

    def run(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=self.base,
            text=True,
            capture_output=True,
            check=False,
            **({"stdin": subprocess.DEVNULL} if given is None else {"input": given}),
        )

    def logs(self) -> list[Path]:
        return sorted((self.base / "state" / "berth" / "logs").glob("*.log"))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    made.write(
        "ansible.cfg",
        """
        [defaults]
        roles_path = roles
        pipelining = True
        """,
    )
    made.write(
        "inventory/demo/hosts.yml",
        """
        hub:
          hosts:
            one:
              ansible_connection: local
              ansible_python_interpreter: "{{ ansible_playbook_python }}"
        """,
    )
    return made
