"""The program `lifecycle/on_host.py` on the platform: makes files of many kinds there, and tells what there is."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import PLATFORM
from testinfra.host import Host

PROGRAM = Path(__file__).resolve().parent / "lifecycle" / "on_host.py"
HOMES = "/srv/berth/homes"


class OnHost:
    """Runs it."""

    def __init__(self, host: Host) -> None:
        subprocess.run(["docker", "cp", "-q", str(PROGRAM), f"{PLATFORM}:/root/on_host.py"], check=True)
        self._host = host

    def run(self, *arguments: str) -> str:
        quoted = " ".join(f"'{argument}'" for argument in arguments)
        found: str = self._host.check_output(f"python3 /root/on_host.py {quoted}")
        return found

    def tell(self, place: str = HOMES) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = json.loads(self.run("tell", place))
        return found


def skip_without_btrfs(host: Host) -> None:
    """Leave the tests out where the platform cannot have a btrfs of its own."""
    if host.run("test -e /dev/loop-control && grep -qw btrfs /proc/filesystems").failed:
        pytest.skip("this machine has no btrfs, or no loop devices that it lets a demo host use")
