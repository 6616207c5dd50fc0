"""Prints as JSON what a host has: memory, free space in MB, who listens where, packages, which hub is there, if any."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

PLACES = ("/var/lib",)
"""Where the engine and Berth keep most."""

PROXY_UNIT = "berth-proxy.service"

PACKAGE_LISTS = Path("/var/lib/apt/lists")

PACKAGE_STATES = Path("/var/lib/apt/extended_states")
"""Which packages are there only because others need them."""

SECRETS = Path("/etc/berth/secrets")

HUB = Path("/opt/berth/hub")

HUB_UNIT = "berth-hub.service"


def memory_mb() -> int:
    """All the memory there is, in MB."""
    found = re.search(r"^MemTotal: +(\d+) kB$", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) // 1000 if found else 0


def free_mb() -> dict[str, int]:
    """Free space in MB for each of the places that is there."""
    return {place: shutil.disk_usage(place).free // 1024**2 for place in PLACES if Path(place).is_dir()}


def hub_version(venv: Path = HUB) -> str:
    """Version of JupyterHub; empty where there is none."""
    found = venv.glob("lib/python3*/site-packages/jupyterhub-*.dist-info")
    return next((path.name.removesuffix(".dist-info").partition("-")[2] for path in found), "")


def listeners() -> list[dict[str, Any]]:
    """Who listens for TCP, on which address and port, and whether it is a part of Berth."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=False).stdout.splitlines()
    return [entry for line in lines if (entry := listener(line)) is not None]


def listener(line: str) -> dict[str, Any] | None:
    """One line of `ss -Hltnp`."""
    fields = line.split()
    found = re.fullmatch(r"\[?(.*?)\]?:(\d+)", fields[3]) if len(fields) > 3 else None
    if found is None:
        return None
    who = re.search(r'\(\("(.*?)",pid=(\d+)', line)
    return {
        "address": found[1].split("%")[0],
        "port": int(found[2]),
        "name": f"{who[1]} (pid {who[2]})" if who else "something that does not tell its name",
        "is_ours": who is not None and is_ours(int(who[2])),
    }


def is_ours(pid: int) -> bool:
    """Whether a process belongs to a service of Berth's."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return False
    return any(f"/{unit}" in groups for unit in (PROXY_UNIT, HUB_UNIT))


def has_package_lists(folder: Path = PACKAGE_LISTS) -> bool:
    """Whether it is known which packages there are; images of hosts often come without."""
    return any(folder.glob("*_Packages*"))


def packages() -> list[str]:
    """The packages that are wholly installed, and stay when nothing needs them any more."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n"]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    states = PACKAGE_STATES.read_text(encoding="utf-8") if PACKAGE_STATES.exists() else ""
    return wanted_packages(shown, states)


def wanted_packages(shown: str, states: str) -> list[str]:
    """Those of `dpkg-query`'s lines that are installed and, by apt's records, not just for others' sake."""
    installed = {line.split()[1] for line in shown.splitlines() if line.startswith("installed ")}
    automatic = {
        found[1]
        for record in states.split("\n\n")
        if re.search(r"^Auto-Installed: 1$", record, re.MULTILINE)
        and (found := re.search(r"^Package: (\S+)$", record, re.MULTILINE))
    }
    return sorted(installed - automatic)


def main() -> None:
    """Look and print."""
    found = {
        "memory_mb": memory_mb(),
        "free_mb": free_mb(),
        "provisioned": Path("/etc/berth/hub.json").exists(),
        "secrets": sorted(path.name for path in SECRETS.glob("*")),
        "kept": Path("/srv/berth/kept.tar").exists(),
        "homes_image": Path("/srv/berth/homes.btrfs").exists(),
        "homes_settings": Path("/etc/berth/homes.json").exists(),
        "hub_version": hub_version(),
        "listeners": listeners(),
        "package_lists": has_package_lists(),
        "packages": packages(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
