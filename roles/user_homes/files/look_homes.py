"""Prints as JSON what homes are on: file system, image, who has one, who works. It needs Debian's Python alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HOMES, IMAGE = Path("/srv/berth/homes"), Path("/srv/berth/homes.btrfs")
ROOT_INODE = 256
"""Of a subvolume of btrfs."""


def kernel_has(module: str, trace: Path) -> bool:
    """Whether the kernel has something, or can load it."""
    if trace.exists() and (trace.name != "filesystems" or f"\t{module}\n" in trace.read_text(encoding="utf-8")):
        return True
    program = shutil.which("modprobe", path="/usr/sbin:/sbin")
    return program is not None and not subprocess.run([program, "--dry-run", "--quiet", module], check=False).returncode


def mounted(place: Path) -> tuple[str, str]:
    """Where the file system of a folder, which need not be there yet, is mounted, and of what type it is."""
    there = next(path for path in (place, *place.parents) if path.exists())
    command = ["findmnt", "--noheadings", "--raw", "--output=TARGET,FSTYPE", "--target", str(there)]
    target, kind = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[:2]
    return target, kind


def berths() -> list[str]:
    """Containers of berths that there are, whether they run or sleep."""
    command = ["docker", "ps", "--filter=label=berth.home", "--format={{.Names}}"]
    try:
        return sorted(subprocess.run(command, capture_output=True, text=True, check=False).stdout.split())
    except FileNotFoundError:
        return []


def look() -> dict[str, Any]:
    """All of it."""
    at, kind = mounted(HOMES)
    inside = [entry for entry in os.scandir(HOMES) if not entry.name.startswith(".")] if HOMES.is_dir() else []
    homes = sorted(entry.name for entry in inside if entry.is_dir(follow_symlinks=False))
    image = IMAGE.stat() if IMAGE.exists() else None
    own = at == str(HOMES)
    size = os.statvfs(HOMES) if own else None
    return {
        "type": kind,
        "own": own,
        "holds": size.f_frsize * size.f_blocks if size else 0,
        "image": image.st_size if image else 0,
        "image_takes": 512 * image.st_blocks if image else 0,
        "free": shutil.disk_usage(mounted(IMAGE)[0]).free,
        "homes": homes,
        "plain": [name for name in homes if kind != "btrfs" or (HOMES / name).stat().st_ino != ROOT_INODE],
        "berths": berths(),
        "btrfs": kernel_has("btrfs", Path("/proc/filesystems")),
        "loop": kernel_has("loop", Path("/dev/loop-control")),
    }


if __name__ == "__main__":
    json.dump(look(), sys.stdout)
