"""The first process of the kernel that boot.py starts: mounts, loads, runs pytest, and switches off.

``init.py CHECKOUT FOLDER TESTS...``: results and exit code go to the folder, which alone is written to on the machine.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

MODULES = Path("/usr/lib/uml/modules", os.uname().release, "kernel/fs/quota")
FINIT_MODULE = 313
"""Of x86-64, which user-mode Linux is."""

POWER_OFF = 0x4321FEDC
OUT = Path("/mnt/out")
TEST_SECONDS = 120


def call(*command: str) -> None:
    """Run a program that has to be well."""
    subprocess.run(command, check=True)


def load(module: Path) -> None:
    """Load a module, for which the machine need have no program.

    Raises:
        OSError: The kernel does not take it.
    """
    with module.open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).syscall(FINIT_MODULE, file.fileno(), b"", 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(module))


def main(checkout: str, folder: str, *tests: str) -> None:
    """All of it."""
    os.environ.update(TMPDIR="/mnt", PATH="/usr/sbin:/usr/bin:/sbin:/bin", PYTHONDONTWRITEBYTECODE="1", LANG="C.UTF-8")
    call("mount", "-t", "proc", "proc", "/proc")
    call("mount", "-t", "sysfs", "sysfs", "/sys")
    call("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    OUT.mkdir()
    call("mount", "-t", "hostfs", "-o", folder, "none", str(OUT))
    for name in ("quota_tree.ko", "quota_v2.ko"):
        load(MODULES / name)
    options = [
        "-q",
        "--color=no",
        "-p",
        "no:cacheprovider",
        f"--timeout={TEST_SECONDS}",
    ]
    results = f"--junitxml={OUT / 'results.xml'}"
    pytest = [sys.executable, "-m", "pytest", *options, results, "--basetemp=/mnt/tests", *tests]
    code = subprocess.run(pytest, cwd=checkout, check=False).returncode
    (OUT / "code").write_text(str(code), encoding="utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        sys.stdout.flush()
        os.sync()
        ctypes.CDLL(None).reboot(POWER_OFF)
