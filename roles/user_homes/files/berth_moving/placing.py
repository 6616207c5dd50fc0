"""Homes on their way: unpacked beside all homes, without rights, and then put in their place by one rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import berth_volumes
from berth_names import directory_name
from berth_projects import opened

from berth_moving.archive import (
    CHUNK_BYTES,
    HOME_COMPRESSED,
    LOCALE,
    TAR_CREATE,
    Part,
    Reader,
    read_completely,
)
from berth_moving.contents import MovingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOMES = Path("/srv/berth/homes")
ASIDE = ".moving-"
"""What folders begin with in which homes wait: no user's home does, backups leave them out, a reboot removes them."""

SPARE_BYTES = 200 * 2**20
RENAME_NOREPLACE = 1
_INSIDE = "/srv/berth/home"
_TAR_EXTRACT = [
    *("tar", "--extract", "--file=-", "--no-same-owner", "--no-same-permissions", "--delay-directory-restore"),
    *("--xattrs", "--xattrs-include=user.*"),
]


def aside(homes: Path, direction: str, name: str) -> Path:
    """Where a user's home waits: on the file system of the homes, closed to users."""
    return homes / f"{ASIDE}{direction}-{directory_name(name)}"


def begin(homes: Path, direction: str, name: str, needed: int) -> Path:
    """Make the folder in which a home waits, without what an interrupted run has left of the same.

    Args:
        homes: Directory of all homes.
        direction: `in` or `out`.
        name: The user's.
        needed: Bytes that it will take.

    Raises:
        MovingError: There is too little space.
    """
    place = aside(homes, direction, name)
    if place.exists():
        berth_volumes.remove(place)
    require_space(homes, needed)
    place.mkdir(mode=0o700)
    return place


def require_space(homes: Path, needed: int) -> None:
    """Refuse what would not leave enough space to those who work.

    Args:
        homes: Directory of all homes.
        needed: Bytes that it will take.

    Raises:
        MovingError: There is too little space.
    """
    free = shutil.disk_usage(homes).free
    if free < needed + SPARE_BYTES:
        raise MovingError(
            f"{(needed + SPARE_BYTES) // 2**20} MB are needed where {homes} is, and {free // 2**20} MB are free: free"
            " some first"
        )


def measure(home: Path) -> tuple[int, int]:
    """How many files there are in a home, and how many bytes it takes on the disk.

    At most: a file with several names is counted as often. What goes meanwhile is passed over. By find, which folders
    within one another never get too deep for.
    """
    files = size = 0
    command = ["find", "-H", str(home), "-ignore_readdir_race", "-mindepth", "1", "-printf", r"%y %b\n"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for line in cast("IO[bytes]", process.stdout):
            kind, blocks = line.split()
            files += kind == b"f"
            size += 512 * int(blocks)
    return files, size


def as_nobody_else(target: Path, uid: int, gid: int) -> list[str]:
    """What a command is put behind to run as the user of the berths, who sees of all homes only the one that is made.

    An archive comes from elsewhere: whatever tar might be talked into, it can reach nothing.
    """
    properties = {
        "UMask": "0000",
        "Environment": "LC_ALL=C.UTF-8",
        "TemporaryFileSystem": "/srv/berth",
        "BindPaths": f"{target}:{_INSIDE}",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "ReadWritePaths": _INSIDE,
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "PrivateNetwork": "yes",
        "CapabilityBoundingSet": "CAP_SETUID CAP_SETGID",
        "NoNewPrivileges": "yes",
        "RestrictAddressFamilies": "AF_UNIX",
        "RestrictNamespaces": "yes",
        "RestrictSUIDSGID": "yes",
        "ProtectKernelTunables": "yes",
        "ProtectControlGroups": "yes",
        "SystemCallFilter": "@system-service",
    }
    command = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--description=Berth: unpacks a home"]
    # Not User=: systemd knows no number without a name.
    become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all"]
    inside = ["--", *become, "env", f"--chdir={_INSIDE}"]
    return [*command, *(f"--property={key}={value}" for key, value in properties.items()), *inside]


def unpack(path: Path, part: Part, target: Path, before: Sequence[str]) -> None:
    """Unpack the home's archive of a file into a folder.

    Args:
        path: The file.
        part: Where the home's archive is in it.
        target: A new, empty folder, its owner's that the files shall belong to.
        before: What tar is put behind (see :func:`as_nobody_else`); the folder itself is where it runs.

    Raises:
        MovingError: Tar failed, or the file was changed since it was looked at.
    """
    with path.open("rb") as file:
        reader = Reader(file, part)
        extract(reader.feed, target, before, compressed=part.name == HOME_COMPRESSED)
        reader.check(path)


def extract(
    feed: Callable[[IO[bytes]], None], target: Path, before: Sequence[str], *, compressed: bool = False
) -> None:
    """Unpack what is fed into a folder.

    Raises:
        MovingError: Tar failed.
    """
    command = [*before, *_TAR_EXTRACT, *(["--zstd"] if compressed else [])]
    inside = None if before else target
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=said, cwd=inside, umask=0, env={**os.environ, **LOCALE}
        ) as process,
    ):
        feed(cast("IO[bytes]", process.stdin))
        process.stdin = None  # closed by now
        code = process.wait()
        said.seek(0)
        lines = said.read().decode(errors="backslashreplace").splitlines()
    if code:
        raise MovingError(f"the home could not be unpacked: {'; '.join(lines[-3:])}")


def copy(source: Path, target: Path, before: Sequence[str]) -> int:
    """Copy a home as an import unpacks it; returns how many files changed while they were read.

    Raises:
        MovingError: It cannot be read, or not be written.
    """
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [*TAR_CREATE, f"--directory={source}", "--file=-", "."],
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, **LOCALE},
        ) as process,
    ):
        output = cast("IO[bytes]", process.stdout)

        def feed(unpacking: IO[bytes]) -> None:
            with contextlib.suppress(BrokenPipeError), unpacking:
                shutil.copyfileobj(output, unpacking, CHUNK_BYTES)

        extract(feed, target, before)
        output.close()
        return read_completely(process.wait(), said, source)


def put(source: Path, homes: Path, name: str, folder: str) -> str:
    """Put a home in its place: as the user's home, or if there is one, as a folder within it.

    Args:
        source: What was unpacked.
        homes: Directory of all homes, on the same file system.
        name: The user's.
        folder: What the folder within the home is called; empty: there must be no home.

    Returns:
        The folder's name; empty if it is the home.

    Raises:
        MovingError: There is a home, and no folder is wanted.
    """
    home = homes / directory_name(name)
    try:
        _rename_to_nothing(source, home)
    except FileExistsError:
        if not folder:
            raise MovingError(f"{home} is there already") from None
        return into(source, home, folder)
    return ""


def _copy_into(source: Path, home: Path, inside: int, name: str) -> None:
    owner = os.fstat(inside)
    before = [
        *as_nobody_else(home, owner.st_uid, owner.st_gid),
        "sh",
        "-c",
        'mkdir -- "$1" && cd -- "$1" && shift && exec "$@"',
    ]
    try:
        copy(source, home, [*before, "sh", name])
    except MovingError:
        berth_volumes.remove(name, inside)
        raise


def _rename_to_nothing(source: Path, target: Path) -> None:
    """Rename a folder, but never over an empty one, which a berth may have mounted a moment ago.

    Raises:
        FileExistsError: There is something.
    """
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    at = -100  # AT_FDCWD
    if rename(at, os.fsencode(source), at, os.fsencode(target), RENAME_NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    # Network file systems cannot.
    if number == errno.EINVAL and not os.path.lexists(target):
        source.rename(target)
        return
    if number == errno.EINVAL:
        number = errno.EEXIST
    raise OSError(number, os.strerror(number), str(target))


def into(source: Path, home: Path, wanted: str) -> str:
    """Move a folder into a home, under a name that is free; returns the name.

    The home is its user's, who may have put links there: the folder is moved by the home's descriptor, and a rename of
    a folder replaces neither a file nor a link, only an empty folder, which is asked for first.

    A home that is a subvolume or a project takes no folder by a rename: it gets a copy that its user writes, to whose
    quota it counts.

    Raises:
        FileExistsError: There are a thousand of that name.
        MovingError: The copy does not fit, or cannot be made; nothing of it stays.
    """
    with opened(home) as inside:
        for number in range(1, 1000):
            name = wanted if number == 1 else f"{wanted}-{number}"
            if name in os.listdir(inside):  # noqa: PTH208 (a descriptor has no path)
                continue
            try:
                os.rename(source, name, dst_dir_fd=inside)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy_into(source, home, inside, name)
            return name
    raise FileExistsError(f"{home} has too many folders {wanted}-*: remove some")
