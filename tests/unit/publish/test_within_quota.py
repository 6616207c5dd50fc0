"""Nobody in a berth makes a subvolume, or takes a file out of the home's project: no quota would bound it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import within_quota

if TYPE_CHECKING:
    from pathlib import Path

ASK = """
import errno, fcntl, os, subprocess, sys
if len(sys.argv) > 3:
    sys.exit(subprocess.run([sys.executable, "-c", sys.argv[3], *sys.argv[1:3]]).returncode)
try:
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2]), bytearray(4096))
except OSError as error:
    print(errno.errorcode[error.errno])
"""
FICLONE = 0x40049409
"""By which `cp` shares data."""

LOAD, JUMP, RETURN = 0x20, 0x15, 0x06


def asked(place: Path, command: int, *more: str) -> str:
    call = [sys.executable, "-I", "-S", within_quota.__file__, sys.executable, "-c", ASK, str(place), str(command)]
    return subprocess.run([*call, *more], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("command", within_quota.REFUSED)
def test_no_way_around_is_there(tmp_path: Path, command: int) -> None:
    assert asked(tmp_path, command) == "EPERM"


def test_nor_by_what_is_started(tmp_path: Path) -> None:
    assert asked(tmp_path, within_quota.REFUSED[0], ASK) == "EPERM"


def test_all_else_is_as_ever(tmp_path: Path) -> None:
    assert asked(tmp_path, FICLONE) != "EPERM"
    shell = [sys.executable, "-I", "-S", within_quota.__file__, "sh", "-c", "kill -PIPE $$"]
    assert subprocess.run(shell, check=False).returncode == -signal.SIGPIPE


def judged(machine: str, architecture: int, number: int, second: int) -> int:
    """What the kernel makes of a system call: the filter, run."""
    words = {0: number, 4: architecture, 24: second}
    lines, at, held = within_quota.program(machine), 0, 0
    while True:
        code, if_true, if_false, operand = lines[at]
        if code == RETURN:
            return operand
        if code == LOAD:
            held = words[operand]
        else:
            assert code == JUMP
            at += if_true if held == operand else if_false
        at += 1


WAYS = [
    (machine, architecture, number)
    for machine, kinds in within_quota.IOCTL.items()
    for architecture, numbers in kinds.items()
    for number in numbers
]


@pytest.mark.parametrize(("machine", "architecture", "number"), WAYS)
def test_whatever_kind_of_program_asks(machine: str, architecture: int, number: int) -> None:
    refused = 0x00050000 | errno.EPERM
    for command in within_quota.REFUSED:
        assert judged(machine, architecture, number, command) == refused
        assert judged(machine, architecture, number + 1, command) == 0x7FFF0000
    assert judged(machine, architecture, number, FICLONE) == 0x7FFF0000
    assert judged(machine, 0xC0000015, number, within_quota.REFUSED[0]) == 0x7FFF0000, "no such program runs here"


@pytest.mark.parametrize(("machine", "architecture", "number"), WAYS)
def test_nor_by_the_newer_way_to_a_project(machine: str, architecture: int, number: int) -> None:
    """`file_setattr`, which is 469 for all kinds of programs, with a bit more for those of x32."""
    newer = 469 | number & 0x40000000
    assert judged(machine, architecture, newer, FICLONE) == 0x00050000 | errno.EPERM
    assert judged(machine, architecture, newer - 1, FICLONE) == 0x7FFF0000, "`file_getattr` may be asked"


def test_a_machine_that_is_not_known_starts_all_the_same(tmp_path: Path) -> None:
    code = (
        "import platform, runpy, sys; platform.machine = lambda: 'm68k'; sys.argv = sys.argv[1:];"
        " runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    call = [sys.executable, "-c", code, within_quota.__file__, "echo", "well"]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)})
    assert done.stdout == "well\n"
    assert "quotas can be got around" in done.stderr
