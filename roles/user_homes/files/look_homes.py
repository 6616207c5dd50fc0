"""Prints as JSON what homes are on: file system, image, who has one, who works. It needs Debian's Python alone.

The host may have nothing of Berth's yet: what sends it there sends `berth_projects`, too.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import berth_projects

HOMES, IMAGE = Path("/srv/berth/homes"), Path("/srv/berth/homes.btrfs")
ROOT_INODE = 256
"""Of a subvolume of btrfs."""

SYSTEM_PATH = "/usr/sbin:/sbin"
"""Where programs for the machine are, which not everybody has on the path."""


def kernel_has(module: str, trace: Path) -> bool:
    """Whether the kernel has something, or can load it."""
    if trace.exists() and (trace.name != "filesystems" or f"\t{module}\n" in trace.read_text(encoding="utf-8")):
        return True
    program = shutil.which("modprobe", path=SYSTEM_PATH)
    return program is not None and not subprocess.run([program, "--dry-run", "--quiet", module], check=False).returncode


def mounted(place: Path) -> tuple[str, str, str]:
    """Where the file system of a folder, which need not be there yet, is mounted, of what type it is, and from what."""
    command = ["findmnt", "--noheadings", "--raw", "--output=TARGET,FSTYPE,SOURCE", "--target", str(existing(place))]
    target, kind, source = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[:3]
    return target, kind, source


def existing(place: Path) -> Path:
    """A folder, or the one above it that is there."""
    return next(path for path in (place, *place.parents) if path.exists())


def lacks_of_ext4(at: str, source: str) -> tuple[str, str]:
    """What an ext4 lacks to hold quotas of projects, and how it gets it."""
    if not kernel_has("quota_v2", Path("/sys/module/quota_v2")):
        return "the kernel has no quotas (CONFIG_QFMT_V2)", KERNEL
    program = shutil.which("tune2fs", path=SYSTEM_PATH)
    if program is None:
        return "the host has no tune2fs, which looks and makes it ready", "apt install e2fsprogs"
    told = subprocess.run([program, "-l", source], capture_output=True, text=True, check=False).stdout
    features = next((line.split()[2:] for line in told.splitlines() if line.startswith("Filesystem features:")), [])
    tune = "" if {"project", "quota"} <= {*features} else f"tune2fs -O project,quota -Q prjquota {source}"
    lacking = "it lacks the feature project, and the option prjquota" if tune else "it was not mounted with prjquota"
    if at != "/":
        return lacking, f"write prjquota into its line of /etc/fstab, then {then('umount ' + at, tune, 'mount ' + at)}"
    # The root file system gets the option when it becomes writable.
    before = f"start a rescue system, there {tune}, then " if tune else ""
    return lacking, f"{before}write prjquota into its line of /etc/fstab, and start the host again"


def lacks_of_xfs(at: str, _source: str) -> tuple[str, str]:
    """The same of an XFS, which takes the option with its first mount alone."""
    if not Path("/proc/fs/xfs/xqmstat").exists():
        return "the kernel has no quotas of XFS (CONFIG_XFS_QUOTA)", KERNEL
    lacking = "it was not mounted with prjquota"
    if at != "/":
        return lacking, f"write prjquota into its line of /etc/fstab, then {then('umount ' + at, 'mount ' + at)}"
    return (
        lacking,
        "add rootflags=prjquota to GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub, and start the host again",
    )


def then(*commands: str) -> str:
    """Commands of which each runs if the one before was well."""
    return " && ".join(filter(None, commands))


KERNEL = "use a kernel of Debian's"
LACKS = {"ext4": lacks_of_ext4, "xfs": lacks_of_xfs}
"""The file systems whose projects have quotas."""


def projects(at: str, kind: str, source: str) -> dict[str, Any]:
    """Whether homes can be projects, what keeps them from it, and how that is mended."""
    able = kind in LACKS
    on = able and berth_projects.enforced(existing(HOMES))
    lacking, mend = LACKS[kind](at, source) if able and not on else ("", "")
    return {"able": able, "on": on, "lacking": lacking, "mend": mend}


def plain(names: list[str], kind: str) -> list[str]:
    """Homes that are neither subvolumes nor projects, as they have to be for a quota."""
    if kind == "btrfs":
        return [name for name in names if (HOMES / name).stat().st_ino != ROOT_INODE]
    return [name for name in names if not berth_projects.of(HOMES / name)]


def berths() -> list[str]:
    """Containers of berths that there are, whether they run or sleep."""
    command = ["docker", "ps", "--filter=label=berth.home", "--format={{.Names}}"]
    try:
        return sorted(subprocess.run(command, capture_output=True, text=True, check=False).stdout.split())
    except FileNotFoundError:
        return []


def look() -> dict[str, Any]:
    """All of it."""
    at, kind, source = mounted(HOMES)
    inside = [entry for entry in os.scandir(HOMES) if not entry.name.startswith(".")] if HOMES.is_dir() else []
    homes = sorted(entry.name for entry in inside if entry.is_dir(follow_symlinks=False))
    image = IMAGE.stat() if IMAGE.exists() else None
    own = at == str(HOMES)
    size = os.statvfs(HOMES) if own else None
    return {
        "type": kind,
        "at": at,
        "own": own,
        "holds": size.f_frsize * size.f_blocks if size else 0,
        "image": image.st_size if image else 0,
        "image_takes": 512 * image.st_blocks if image else 0,
        "free": shutil.disk_usage(mounted(IMAGE)[0]).free,
        "homes": homes,
        "plain": plain(homes, kind),
        "projects": projects(at, kind, source),
        "berths": berths(),
        "btrfs": kernel_has("btrfs", Path("/proc/filesystems")),
        "loop": kernel_has("loop", Path("/dev/loop-control")),
    }


if __name__ == "__main__":
    json.dump(look(), sys.stdout)
