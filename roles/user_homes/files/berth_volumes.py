"""Homes on btrfs: each is a subvolume, with a limit and snapshots of its own. Elsewhere homes are plain directories.

On ext4 and XFS they may have limits as well (`berth_projects`). What a start of a berth waits for is asked of the
kernel directly, the rest of btrfs-progs.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import berth_projects
from berth_projects import BECOMING, opened

SETTINGS = Path("/etc/berth/homes.json")
SNAPSHOTS = ".snapshots"
"""Folder beside the homes with a folder for each home; no home begins with a dot."""

ROOT_INODE = 256
"""Of every subvolume."""

# From linux/btrfs.h.
_CREATE, _CREATE_FORMAT = 0x5000940E, "=q4088s"
_LIMIT, _LIMIT_FORMAT, _LIMIT_REFERENCED, _NO_LIMIT = 0x8030942B, "=6Q", 1, 2**64 - 1
_INFO, _INFO_BYTES, _INFO_NUMBER, _INFO_CHANGED_AT = 0x81F8943C, 504, 0, 344
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


@dataclass(frozen=True)
class Settings:
    """What the site wants.

    Attributes:
        subvolumes: Whether homes are subvolumes.
        quota: Bytes that a home may hold; 0 is no limit.
        snapshots: Whether there are snapshots.
        kept: How many of each home.
        projects: Whether homes are projects of an ext4 or XFS, which bound them.
    """

    subvolumes: bool = False
    quota: int = 0
    snapshots: bool = False
    kept: int = 24
    projects: bool = False


PLAIN = Settings()
"""Of a site that wants nothing of the kind."""


def settings(path: Path = SETTINGS) -> Settings:
    """What the site wants; where it was never asked, plain directories."""
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return PLAIN


def make(path: Path, mode: int, wanted: Settings) -> None:
    """Make an empty home, owned by root.

    Raises:
        FileExistsError: There is something.
    """
    if wanted.subvolumes:
        with opened(path.parent) as parent:
            # Writable, since Python takes no more than 1024 bytes otherwise.
            fcntl.ioctl(parent, _CREATE, bytearray(struct.pack(_CREATE_FORMAT, 0, os.fsencode(path.name))))
    else:
        path.mkdir(mode=0o700)
    try:
        path.chmod(mode)
        if wanted.projects:
            berth_projects.claim(path)
        if wanted.quota:
            limit(path, wanted.quota)
    except OSError:
        path.rmdir()
        raise


def is_subvolume(path: Path) -> bool:
    """Whether a folder on btrfs is a subvolume."""
    return path.lstat().st_ino == ROOT_INODE


def limit(home: Path, quota: int) -> None:
    """Bound what a home may hold, in bytes; 0 is no limit. What snapshots alone still hold does not count.

    Raises:
        OSError: Quotas are not on, or it is neither subvolume nor project.
    """
    if berth_projects.of(home):
        berth_projects.limit(home, quota)
        return
    with opened(home) as place:
        most = quota or _NO_LIMIT
        fcntl.ioctl(place, _LIMIT, struct.pack(_LIMIT_FORMAT, 0, _LIMIT_REFERENCED, most, 0, 0, 0))


def number(subvolume: Path) -> int:
    """A subvolume's number."""
    return _info(subvolume, _INFO_NUMBER)


def changed_at(subvolume: Path) -> int:
    """Number of the transaction that changed it last; a snapshot has the one of what it was taken of."""
    return _info(subvolume, _INFO_CHANGED_AT)


def _info(subvolume: Path, offset: int) -> int:
    with opened(subvolume) as place:
        told = fcntl.ioctl(place, _INFO, bytes(_INFO_BYTES))
    found: int = struct.unpack_from("=Q", told, offset)[0]
    return found


def usage(home: Path) -> tuple[int, int]:
    """Bytes that a home holds, and that it may hold (0: no limit), on btrfs as of the last 30 seconds.

    Raises:
        OSError: Quotas are not on.
    """
    if berth_projects.of(home):
        return berth_projects.usage(home)[:2]
    found = _rows(btrfs("qgroup", "show", "--raw", "-r", "-f", str(home)))
    if len(found) != 1:
        raise OSError(errno.ENOTSUP, "quotas are not on", str(home))
    return next(iter(found.values()))


def usages(root: Path) -> dict[int, tuple[int, int]]:
    """The same of all subvolumes, by their numbers; none without quotas."""
    try:
        return _rows(btrfs("qgroup", "show", "--raw", "-r", str(root)))
    except OSError:
        return {}


def _rows(text: str) -> dict[int, tuple[int, int]]:
    """Read the table of `btrfs qgroup show --raw -r`: group, bytes referenced, bytes exclusive, the most referenced."""
    found = {}
    for line in text.splitlines():
        cells = line.split()
        if cells and cells[0].startswith("0/"):
            found[int(cells[0][2:])] = (int(cells[1]), 0 if cells[3] == "none" else int(cells[3]))
    return found


def snapshots_of(root: Path, home: str) -> Path:
    """Folder with the snapshots of a home, which its user sees."""
    return root / SNAPSHOTS / home


def make_folder_of_snapshots(root: Path, home: str) -> Path:
    """Make it unless it is there. Only root may write to it, and only who is in its berth gets there."""
    folder = snapshots_of(root, home)
    for path, mode in ((folder.parent, 0o711), (folder, 0o755)):
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            path.chmod(mode)
    return folder


def remove_snapshots(root: Path, home: str) -> None:
    """Remove all snapshots of a home."""
    folder = snapshots_of(root, home)
    if not folder.is_dir():
        return
    for snapshot in folder.iterdir():
        btrfs("subvolume", "delete", str(snapshot))
    folder.rmdir()


def become(home: Path, quota: int) -> None:
    """Make a subvolume of a plain directory, in which nobody works meanwhile; its data is shared and not copied.

    Raises:
        OSError: It was not possible, and the home is as it was.
    """
    new = home.with_name(f"{BECOMING}{home.name}")
    if new.exists():
        remove(new)
    make(new, 0o700, Settings(subvolumes=True))
    copy(home, new)
    os.sync()
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    if rename(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(home), _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(home))
    remove(new)
    if quota:
        limit(home, quota)


def copy(source: Path, target: Path) -> None:
    """Copy what is in a folder, and what is known of the folder itself.

    Raises:
        OSError: Says what could not be copied.
    """
    _run("cp", "--archive", "--reflink=auto", "--no-target-directory", str(source), str(target))


def remove(path: Path | str, inside: int | None = None) -> None:
    """Remove a folder and all that is in it, following no links; it need not be there.

    By rm: shutil ends at a thousand folders within one another (before Python 3.13), which any user can make. Without
    --one-file-system, to which each subvolume is one.

    Args:
        path: What is removed.
        inside: Descriptor of the folder that a relative path begins at.

    Raises:
        OSError: Says what could not be removed.
    """
    _run("rm", "-rf", "--", str(path), cwd=None if inside is None else f"/proc/self/fd/{inside}")


def btrfs(*arguments: str) -> str:
    """Run btrfs-progs.

    Raises:
        OSError: With what it says.
    """
    return _run("btrfs", *arguments)


def _run(*command: str, cwd: str | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="backslashreplace", check=False, env=environment, cwd=cwd
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(errno.EIO, f"{command[0]} {command[1]}: {'; '.join(lines[-3:])}")
    return done.stdout
