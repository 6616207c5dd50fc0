"""Homes on ext4 and XFS: each is a project of its own, and the project's quota bounds what the home holds.

All of it is asked of the kernel (Linux 5.14), by a descriptor: that needs neither a program nor the disk's device. Who
owns a file may give it to another project, which `within_quota.py` refuses in berths.
"""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FIRST = 0x0BE47000
"""Number of the first home's project: far above those that people, Docker and Kubernetes begin with."""

BYTES_PER_FILE = 16384
"""Bytes of quota for which a home may have one file, as mke2fs makes room for: whoever makes empty ones would
take all the files that an ext4 can have."""

BECOMING = ".becoming-"
"""What a home's companion is called while the home is made a project, or a subvolume."""

# From linux/fs.h: struct fsxattr, whose fourth number is the project.
_GET_ATTRIBUTES, _SET_ATTRIBUTES, _ATTRIBUTES = 0x801C581F, 0x401C5820, "=5I8x"
_INHERIT = 0x200

_MARK = "trusted.berth.project"
"""Attribute of a home with its project's number, which root alone can give it. Where no quota is on yet, whoever owns a
folder may make it look like a home all of which belongs to a project."""

# From linux/quota.h and dqblk_xfs.h: commands of a project's quota, struct if_dqblk, struct fs_quota_stat.
_QUOTACTL_FD = 443
"""On every architecture."""

_PROJECT = 2
_GET, _SET, _STATE = 0x800007, 0x800008, 0x5805
_QUOTA, _LIMITS_ALONE, _BLOCK_BYTES = "=8QI4x", 1 | 4, 1024
_STATE_BYTES, _STATE_FLAGS, _ENFORCED = 256, "=xxH", 1 << 5


class Held(NamedTuple):
    """What a project holds, and may hold: bytes, at most (0: no limit), and how many files."""

    used: int
    most: int
    files: int


def of(folder: Path) -> int:
    """The project that all in a folder belongs to; 0 is none, or a file system without.

    Only root is told of one.
    """
    with opened(folder) as place:
        try:
            flags, _, _, project, _ = _attributes(place)
            mark = os.getxattr(place, _MARK)
        except OSError as error:
            if error.errno in {errno.ENOTTY, errno.EOPNOTSUPP, errno.ENODATA}:
                return 0
            raise
    return project if flags & _INHERIT and mark == b"%d" % project else 0


def enforced(folder: Path) -> bool:
    """Whether quotas of projects hold where a folder is."""
    state = ctypes.create_string_buffer(_STATE_BYTES)
    with opened(folder) as place, contextlib.suppress(OSError):
        _quotactl(place, _STATE, 0, state)
    flags: int = struct.unpack_from(_STATE_FLAGS, state)[0]
    return bool(flags & _ENFORCED)


def claim(folder: Path) -> int:
    """Make an empty folder a project that nothing else belongs to, without a limit; returns its number.

    Raises:
        OSError: Quotas of projects are not on.
    """
    with opened(folder) as place, _alone():
        # What has a folder has a file: nobody is to be asked for numbers that are taken.
        project = next(number for number in itertools.count(FIRST) if not _held(place, number).files)
        _bound(place, project, 0)
        _assign(place, project)
        os.setxattr(place, _MARK, b"%d" % project)
    return project


def become(home: Path) -> None:
    """Make a project of a home that is there, without a limit; nobody works in it meanwhile.

    The home's mark comes last: of a run that was killed it is no project yet, and the next one begins anew.

    Raises:
        OSError: Quotas of projects are not on, or something cannot be changed.
    """
    aside = home.with_name(f"{BECOMING}{home.name}")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(mode=0o700)
    project = claim(aside)
    with opened(aside) as new:
        for _, _, _, place in os.fwalk(home, topdown=False):
            # First, since it may belong to another one, and then take nothing of this one.
            _assign(place, project)
            for name in os.listdir(place):  # noqa: PTH208 (a descriptor has no path)
                _take_over(place, name, new, project)
    with opened(home) as place:
        os.setxattr(place, _MARK, b"%d" % project)
    aside.rmdir()


def limit(home: Path, quota: int) -> None:
    """Bound what a home may hold, in bytes, of which whole kilobytes count; 0 is no limit.

    Raises:
        OSError: It is no project, or quotas of projects are not on.
    """
    project = _known(home)
    with opened(home) as place:
        _bound(place, project, quota)


def usage(home: Path) -> Held:
    """What a home holds, and may hold.

    Raises:
        OSError: It is no project, or quotas of projects are not on.
    """
    project = _known(home)
    with opened(home) as place:
        return _held(place, project)


def bounded_to(quota: int) -> int:
    """The bytes that a limit comes to."""
    return quota // _BLOCK_BYTES * _BLOCK_BYTES


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A folder's descriptor: whatever links its user puts there, it stays that folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Have nobody else look for a number meanwhile, neither here nor in another program.

    By this file, which all of them can read, whatever else they are kept from.
    """
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _known(home: Path) -> int:
    if project := of(home):
        return project
    raise OSError(errno.ENOTSUP, "it has no project quota", str(home))


def _take_over(place: int, name: str, new: int, project: int) -> None:
    """Give what a folder has of a name to a project; other folders have a turn of their own.

    Links and pipes cannot be given: they are made anew, in a folder of the project. Sockets nobody listens on any more.
    """
    found = os.stat(name, dir_fd=place, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        try:
            _assign(descriptor, project)
        finally:
            os.close(descriptor)
        return
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=place), "new", dir_fd=new)
    elif stat.S_ISFIFO(found.st_mode):
        os.mkfifo("new", dir_fd=new)
        os.chmod("new", stat.S_IMODE(found.st_mode), dir_fd=new)
    else:
        return
    os.chown("new", found.st_uid, found.st_gid, dir_fd=new, follow_symlinks=False)
    os.utime("new", ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=new, follow_symlinks=False)
    os.rename("new", name, src_dir_fd=new, dst_dir_fd=place)


def _attributes(place: int) -> tuple[int, int, int, int, int]:
    """Flags, size of extents, their number, project, another size of extents."""
    flags, size, number, project, shared = struct.unpack(
        _ATTRIBUTES, fcntl.ioctl(place, _GET_ATTRIBUTES, bytes(struct.calcsize(_ATTRIBUTES)))
    )
    return flags, size, number, project, shared


def _assign(place: int, project: int) -> None:
    """Give a file or folder to a project, and all that is made in the folder from then on."""
    flags, size, number, _, shared = _attributes(place)
    if stat.S_ISDIR(os.fstat(place).st_mode):
        flags |= _INHERIT
    fcntl.ioctl(place, _SET_ATTRIBUTES, struct.pack(_ATTRIBUTES, flags, size, number, project, shared))


def _bound(place: int, project: int, quota: int) -> None:
    asked = struct.pack(_QUOTA, quota // _BLOCK_BYTES, 0, 0, quota // BYTES_PER_FILE, 0, 0, 0, 0, _LIMITS_ALONE)
    _quotactl(place, _SET, project, ctypes.create_string_buffer(asked))


def _held(place: int, project: int) -> Held:
    told = ctypes.create_string_buffer(struct.calcsize(_QUOTA))
    try:
        _quotactl(place, _GET, project, told)
    except FileNotFoundError:  # XFS knows only those that something belongs to
        return Held(0, 0, 0)
    blocks, _, used, _, _, files, *_ = struct.unpack_from(_QUOTA, told)
    return Held(used, blocks * _BLOCK_BYTES, files)


def _quotactl(place: int, command: int, project: int, data: ctypes.Array[ctypes.c_char]) -> None:
    call = ctypes.CDLL(None, use_errno=True).syscall
    numbers = (ctypes.c_long(number) for number in (_QUOTACTL_FD, place, command << 8 | _PROJECT, project))
    if call(*numbers, data):
        number = ctypes.get_errno()
        if number in {errno.ESRCH, errno.ENOSYS}:
            raise OSError(number, "quotas of projects are not on: is the file system mounted with prjquota?")
        raise OSError(number, os.strerror(number))
