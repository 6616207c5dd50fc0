"""Becomes a command that stays within the quota of its home, with all that it starts.

``within_quota.py COMMAND ARGUMENT...``. The kernel lets everybody make subvolumes and snapshots of btrfs where they can
write, and what is in one counts to its own limit, of which it has none; and whoever owns a file of an ext4 or XFS may
give it to another project than the home's. Both would be ways around the quota. Run by an isolated Python (``-I -S``),
so that nothing in the home comes before it.
"""

import ctypes
import os
import platform
import signal
import struct
import sys

# From linux/btrfs.h: SNAP_CREATE, SUBVOL_CREATE, and both with more flags; SUBVOL_SETFLAGS, by which a home becomes
# read-only.
SUBVOLUMES = (0x50009401, 0x5000940E, 0x50009417, 0x50009418, 0x4008941A)
# From linux/fs.h: FSSETXATTR, which sets a file's project; SETFLAGS of 64 and of 32 bits, by which a folder's files no
# longer get that of the folder.
PROJECTS = (0x401C5820, 0x40086602, 0x40046602)
REFUSED = SUBVOLUMES + PROJECTS

# From linux/audit.h and the tables of system calls: kinds of programs, and the numbers that `ioctl` has for them. A
# 64-bit x86 runs three kinds.
IOCTL: dict[str, dict[int, tuple[int, ...]]] = {
    "x86_64": {0xC000003E: (16, 0x40000202), 0x40000003: (54,)},
    "aarch64": {0xC00000B7: (29,), 0x40000028: (54,)},
}

# What `file_setattr` (Linux 6.17) is in all of them. It does what FSSETXATTR does, and is no `ioctl`.
SET_ATTRIBUTES = 469
# A third kind of program on x86 adds this to it; elsewhere there is no such number.
_X32 = 0x40000000

# From linux/filter.h, seccomp.h and prctl.h.
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _SECOND_ARGUMENT = 0, 4, 24
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # EPERM
_SET_SECCOMP, _MODE_FILTER, _SET_NO_NEW_PRIVILEGES = 22, 2, 38


def program(machine: str) -> list[tuple[int, int, int, int]]:
    """The filter, as instructions: code, lines to leave out if true, if false, operand."""
    lines: list[tuple[int, int, int, int]] = []
    for architecture, numbers in IOCTL[machine].items():
        block = [(_LOAD, 0, 0, _NUMBER)]
        # To the look at the second argument, behind the line that allows all else.
        never = (SET_ATTRIBUTES, SET_ATTRIBUTES | _X32)
        block += [(_JUMP_EQUAL, len(numbers) + len(never) - place, 0, number) for place, number in enumerate(numbers)]
        # To the last line.
        block += [(_JUMP_EQUAL, len(never) + 2 + len(REFUSED) - place, 0, number) for place, number in enumerate(never)]
        block += [(_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _SECOND_ARGUMENT)]
        block += [(_JUMP_EQUAL, len(REFUSED) - place, 0, command) for place, command in enumerate(REFUSED)]
        block += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
        lines += [(_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_EQUAL, 0, len(block), architecture), *block]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def refuse() -> None:
    """Have this process, and all that it becomes and starts, be refused.

    Raises:
        OSError: The kernel has no filters.
        KeyError: This kind of machine is not known.
    """
    lines = program(platform.machine())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    # struct sock_fprog
    described = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))
    call = ctypes.CDLL(None, use_errno=True).prctl
    last = ctypes.c_ulong(0)
    one = ctypes.c_ulong(1)
    if call(_SET_NO_NEW_PRIVILEGES, one, last, last, last) or call(
        _SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), described, last, last
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    try:
        refuse()
    except (OSError, KeyError) as error:
        print(f"within_quota: quotas can be got around in this berth: {error!r}", file=sys.stderr)
    # Which Python ignores, and what it becomes would, too.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 (it is there to become another program)
