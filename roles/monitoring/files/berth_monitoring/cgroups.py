"""What a container uses, from the kernel's own files: cheaper than asking the engine, which takes a second for each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")

UNLIMITED_BYTES = 2**60
"""Version 1 writes a number near 2**63 where there is no limit."""


@dataclass(frozen=True)
class Use:
    """What a container uses, and may use; None: not limited.

    Attributes:
        memory_bytes: Without what the kernel could drop at once (page cache).
        memory_limit_bytes: The container is killed beyond.
        cpu_seconds: Since its start.
        cpu_limit: In processors.
        processes: Processes and threads.
    """

    memory_bytes: int
    memory_limit_bytes: int | None
    cpu_seconds: float
    cpu_limit: float | None
    processes: int | None


def use(container: str, root: Path = ROOT) -> Use | None:
    """What a container uses; None if it has just ended.

    Args:
        container: Its full id.
        root: Where the control groups are.
    """
    try:
        return _version_2(container, root) if (root / "cgroup.controllers").exists() else _version_1(container, root)
    except (FileNotFoundError, OSError, ValueError):
        return None


def _group(base: Path, container: str) -> Path:
    """Where the engine put it: below `docker` (its cgroupfs driver), or a systemd scope."""
    for place in (base / "docker" / container, base / "system.slice" / f"docker-{container}.scope"):
        if place.is_dir():
            return place
    raise FileNotFoundError(base / container)


def _version_1(container: str, root: Path) -> Use:
    memory = _group(root / "memory", container)
    quota = _number(_group(root / "cpu", container) / "cpu.cfs_quota_us")
    period = _number(_group(root / "cpu", container) / "cpu.cfs_period_us")
    limit = _number(memory / "memory.limit_in_bytes")
    return Use(
        max(0, _number(memory / "memory.usage_in_bytes") - _stat(memory, "total_inactive_file")),
        limit if limit < UNLIMITED_BYTES else None,
        _number(_group(root / "cpuacct", container) / "cpuacct.usage") / 1e9,
        quota / period if quota > 0 else None,
        _processes(_group(root / "pids", container)),
    )


def _version_2(container: str, root: Path) -> Use:
    group = _group(root, container)
    limit = (group / "memory.max").read_text().strip()
    quota, period = (group / "cpu.max").read_text().split()
    usage = re.search(r"^usage_usec (\d+)$", (group / "cpu.stat").read_text(), re.MULTILINE)
    return Use(
        max(0, _number(group / "memory.current") - _stat(group, "inactive_file")),
        None if limit == "max" else int(limit),
        int(usage[1]) / 1e6 if usage else 0.0,
        None if quota == "max" else int(quota) / int(period),
        _processes(group),
    )


def _processes(group: Path) -> int | None:
    try:
        return _number(group / "pids.current")
    except FileNotFoundError:
        return None


def _number(file: Path) -> int:
    return int(file.read_text())


def _stat(group: Path, name: str) -> int:
    found = re.search(rf"^{name} (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0
