#!/usr/bin/python3 -I
"""Keeps homes on what the site wants; root runs it, from a converge or by timer.

`image BYTES` makes the file that holds the homes' file system, moves homes into it that are there, and keeps the old
ones beside it; `undo` puts those back of a move that broke off; `grow BYTES` makes it larger; `settle` makes subvolumes
(or projects, on ext4 and XFS) of homes that are none, and sets the limit of each; `settle --dry` only tells; `snapshot`
takes one of each home that has changed, and lets go of old ones. Each prints what it did as JSON.
"""

import argparse
import contextlib
import datetime as dt
import fcntl
import filecmp
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

# After the line above, since isolated mode has no path to this folder.
import berth_projects
import berth_volumes
from berth_volumes import btrfs

HOMES, IMAGE = Path("/srv/berth/homes"), Path("/srv/berth/homes.btrfs")
BEFORE = Path("/srv/berth/homes.before-loop")
LOCK = Path("/run/berth-storage.lock")
NEW = Path("/run/berth-homes-new")
"""Where the new file system is mounted while homes are copied into it."""

STAMP = "%Y-%m-%d_%H%M%S"
"""Names of snapshots sort by age; in UTC, since local time comes twice in autumn."""


def homes(root: Path) -> list[Path]:
    """All homes, and nothing else that is beside them."""
    return sorted(path for path in root.iterdir() if not path.name.startswith(".") and _is_folder(path))


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def image(size: int) -> dict[str, Any]:
    """Make the file, and move into it what is there. What is there is only read, and stays beside it.

    The file has its name last: without it, homes are where they were, or :func:`undo` puts them there.

    Raises:
        OSError: Something is in the way, or what was copied differs. The homes are as they were.
    """
    undo()
    if IMAGE.exists() or BEFORE.exists():
        there = IMAGE if IMAGE.exists() else BEFORE
        raise OSError(f"{there} is there already: look what is in it, and move it away")
    if NEW.is_mount():  # of a run that was killed
        run("umount", str(NEW))
    new = IMAGE.with_name(f"{IMAGE.name}.new")
    new.unlink(missing_ok=True)
    with new.open("xb") as file:
        file.truncate(size)
    new.chmod(0o600)
    run("mkfs.btrfs", "--quiet", "--label=berth-homes", str(new))
    NEW.mkdir(mode=0o700, exist_ok=True)
    run("mount", "-t", "btrfs", "-o", "loop,noatime", str(new), str(NEW))
    try:
        NEW.chmod(0o711)
        moved = move(HOMES, NEW)
        os.sync()
    finally:
        run("umount", str(NEW))
    try:
        if moved:
            HOMES.rename(BEFORE)
            BEFORE.chmod(0o700)
            HOMES.mkdir(mode=0o711)
            HOMES.chmod(0o711)
        new.rename(IMAGE)
    except OSError:
        undo()
        raise
    os.sync()
    return {"moved": moved, "before": str(BEFORE) if moved else ""}


def undo() -> dict[str, Any]:
    """Put homes back that a move has put aside, if it broke off before there was the file.

    Raises:
        OSError: What is there in their place, and is no home, cannot be removed.
    """
    if IMAGE.exists() or not BEFORE.exists() or (HOMES.exists() and homes(HOMES)):
        return {"back": False}
    with contextlib.suppress(FileNotFoundError):
        HOMES.rmdir()
    BEFORE.rename(HOMES)
    HOMES.chmod(0o711)
    return {"back": True}


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Have no other run of this program change what homes are on meanwhile, such as one that nobody waits for any more.

    Raises:
        BlockingIOError: There is one.
    """
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError("homes are being moved by a run that was begun earlier: wait until it ends") from None
        yield


def move(source: Path, target: Path) -> list[str]:
    """Copy all homes, and whatever else is beside them, and compare; returns what that was.

    Raises:
        OSError: Something could not be copied, or is not the same then.
    """
    moved = []
    for path in sorted(source.iterdir()):
        copied = target / path.name
        if _is_folder(path) and not path.name.startswith("."):
            berth_volumes.make(copied, 0o700, berth_volumes.Settings(subvolumes=True))
        berth_volumes.copy(path, copied)
        if wrong := difference(path, copied):
            raise OSError(f"{wrong} is not the same after it was copied: does somebody write to it?")
        moved.append(path.name)
    return moved


def difference(one: Path, other: Path) -> str:
    """The first path at which two trees differ, in contents, kind, mode, owner or time; empty if they are the same."""
    # Not by calling itself: folders may be deeper within one another than Python may.
    waiting = [(one, other)]
    while waiting:
        one, other = waiting.pop()
        if _differ(one, other):
            return str(one)
        if _is_folder(one):
            names, there = (sorted(path.name for path in folder.iterdir()) for folder in (one, other))
            if names != there:
                return str(one)
            waiting += [(one / name, other / name) for name in reversed(names)]
    return ""


def _differ(one: Path, other: Path) -> bool:
    """Whether two paths do, whatever is in them if they are folders."""
    ours, theirs = one.lstat(), other.lstat()
    kind = stat.S_IFMT(ours.st_mode)
    return (
        _known(ours) != _known(theirs)
        or (kind == stat.S_IFLNK and one.readlink() != other.readlink())
        or (kind == stat.S_IFREG and not filecmp.cmp(one, other, shallow=False))
    )


def _known(status: os.stat_result) -> tuple[int, ...]:
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev, size


def grow(size: int) -> dict[str, Any]:
    """Make the file larger, and the file system in it, while people work.

    Raises:
        OSError: It is not mounted.
    """
    os.truncate(IMAGE, size)
    devices = run("losetup", "--noheadings", "--output=NAME", "--associated", str(IMAGE)).split()
    for device in devices:
        run("losetup", "--set-capacity", device)
    btrfs("filesystem", "resize", "max", str(HOMES))
    return {"size": size}


def settle(root: Path, wanted: berth_volumes.Settings, *, dry: bool) -> dict[str, Any]:
    """Have each home be a subvolume or a project, with the limit that is wanted; tells which were not.

    Raises:
        OSError: Quotas of projects are wanted, and not on.
    """
    found: dict[str, Any] = {"enabled": False, "converted": [], "limited": []}
    if not wanted.subvolumes:
        return {**found, **settle_projects(root, wanted, dry=dry)}
    known = berth_volumes.usages(root)
    # Once quotas are on they stay on: a home without a limit has its use counted still, and nothing else.
    if wanted.quota and not known:
        found["enabled"] = True
        if not dry:
            btrfs("quota", "enable", str(root))
            known = berth_volumes.usages(root)
    for home in homes(root):
        if not berth_volumes.is_subvolume(home):
            found["converted"].append(home.name)
            if not dry:
                berth_volumes.become(home, wanted.quota)
        elif known.get(berth_volumes.number(home), (0, 0))[1] != wanted.quota:
            found["limited"].append(home.name)
            if not dry:
                berth_volumes.limit(home, wanted.quota)
    return found


def settle_projects(root: Path, wanted: berth_volumes.Settings, *, dry: bool) -> dict[str, list[str]]:
    """Have each home be a project with the limit that is wanted; where none are wanted any more, without a limit.

    Raises:
        OSError: They are wanted, and their quotas are not on.
    """
    found: dict[str, list[str]] = {"converted": [], "limited": []}
    most = berth_projects.bounded_to(wanted.quota)
    holds = wanted.projects or berth_projects.enforced(root)
    for home in homes(root) if holds else []:
        if berth_projects.of(home):
            if berth_projects.usage(home).most == most:
                continue
            found["limited"].append(home.name)
        elif wanted.projects:
            found["converted"].append(home.name)
            if not dry:
                berth_projects.become(home)
        else:
            continue
        if not dry:
            berth_projects.limit(home, most)
    return found


def snapshot(root: Path, wanted: berth_volumes.Settings, now: dt.datetime) -> dict[str, Any]:
    """Take a snapshot of each home that has changed since its last one, and let go of those that are too many."""
    told: dict[str, Any] = {"taken": 0, "removed": 0, "failed": []}
    for home in homes(root):
        try:
            folder = berth_volumes.make_folder_of_snapshots(root, home.name)
            there = sorted(folder.iterdir())
            if not there or berth_volumes.changed_at(there[-1]) != berth_volumes.changed_at(home):
                new = folder / now.strftime(STAMP)
                btrfs("subvolume", "snapshot", "-r", str(home), str(new))
                there.append(new)
                told["taken"] += 1
            for old in there[: -wanted.kept]:
                btrfs("subvolume", "delete", str(old))
                told["removed"] += 1
        except OSError as error:  # of one home, such as one that is deleted right now; the others get theirs
            told["failed"].append(f"{home.name}: {error}")
    if told["removed"] and wanted.quota:
        # Kernels before 6.12 keep the counters of what is gone, and a new hour brings new ones for everybody.
        subprocess.run(["btrfs", "qgroup", "clear-stale", str(root)], capture_output=True, check=False)
    return told


def run(*command: str) -> str:
    """Run a program.

    Raises:
        OSError: With what it says.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def main() -> int:
    """Entry point; the exit code is 0, or 1 if something went wrong, which standard error tells."""
    parser = argparse.ArgumentParser(description="File system of Berth's homes")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("image", "grow"):
        commands.add_parser(name).add_argument("size", type=int, help="bytes")
    commands.add_parser("undo")
    commands.add_parser("settle").add_argument("--dry", action="store_true", help="only tell")
    commands.add_parser("snapshot")
    arguments = parser.parse_args()
    wanted = berth_volumes.settings()
    try:
        if arguments.command == "image":
            with alone():
                told = image(arguments.size)
        elif arguments.command == "undo":
            with alone():
                told = undo()
        elif arguments.command == "grow":
            told = grow(arguments.size)
        elif arguments.command == "settle":
            told = settle(HOMES, wanted, dry=arguments.dry)
        else:
            told = snapshot(HOMES, wanted, dt.datetime.now(dt.UTC))
    except OSError as error:
        print(f"berth-storage: {error}", file=sys.stderr)
        return 1
    print(json.dumps(told))
    return 1 if told.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
