"""File systems with quotas of projects, in a kernel that has them; boot.py starts it."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UID = 1000
PYTHON = "/usr/bin/python3"
"""The one that hosts have, and that users may run."""

MAKE = {"ext4": ["mkfs.ext4", "-qF", "-O", "quota,project", "-E", "quotatype=prjquota"], "xfs": ["mkfs.xfs", "-qf"]}
DISKS = {"ext4": "/dev/ubda", "xfs": "/dev/ubdb"}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def as_user(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program as who owns homes, without any rights."""
    become = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--bounding-set=-all"]
    return subprocess.run([*become, *command], capture_output=True, text=True, check=False)


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return as_user(PYTHON, "-I", "-S", "-c", code, *map(str, arguments))


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


@dataclass(frozen=True)
class Disk:
    kind: str
    device: str
    at: Path

    def make(self, *command: str) -> None:
        run(*(command or MAKE[self.kind]), self.device)

    def mount(self, options: str) -> None:
        run("mount", "-t", self.kind, "-o", options, self.device, str(self.at))

    def unmount(self) -> None:
        run("umount", str(self.at))


@pytest.fixture(scope="session", params=["ext4", "xfs"])
def bare(request: pytest.FixtureRequest) -> Disk:
    """A disk that has nothing yet, and the folder that it belongs to."""
    at = Path("/mnt", request.param)
    at.mkdir()
    return Disk(request.param, DISKS[request.param], at)


@pytest.fixture
def disk(bare: Disk) -> Iterator[Disk]:
    """A disk, new and mounted with quotas."""
    bare.make()
    bare.mount("prjquota")
    yield bare
    bare.unmount()


@pytest.fixture
def root(disk: Disk) -> Path:
    """A folder of homes on it."""
    homes = disk.at / "homes"
    homes.mkdir(mode=0o711)
    homes.chmod(0o711)
    return homes
