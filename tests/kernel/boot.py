"""Runs tests in a kernel of Debian's that is a process (user-mode Linux), for what this machine's kernel may lack.

``boot.py RESULTS TESTS...``, by the Python that runs the tests, which needs no rights. The kernel sees this machine's
files and can write none of them; it has two empty disks. The exit code is that of pytest, or 1 if none came.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600
"""Above what all of it takes on a slow machine."""

DISKS = {"ubd0": 200, "ubd1": 400}
"""Size of each in MB, of which only what is written is taken: above the least that mkfs.xfs makes (300)."""


def boot(out: Path, tests: list[str]) -> None:
    """Run pytest there; results and exit code are left in a folder."""
    disks = []
    for name, size in DISKS.items():
        disk = out / name
        disk.touch()
        os.truncate(disk, size * 1024**2)
        disks.append(f"{name}={disk}")
    init = out / "init"
    begin = [sys.executable, str(Path(__file__).with_name("init.py")), str(ROOT), str(out), *tests]
    init.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in begin) + "\n", encoding="utf-8")
    init.chmod(0o755)
    # Of this machine's root file system, as it is; what is told goes to standard output.
    machine = ["mem=512M", "rootfstype=hostfs", "rootflags=/", f"init={init}", "quiet", "con=null", "con0=null,fd:1"]
    # Its memory is a file, which has to be where programs can be.
    environment = {**os.environ, "TMPDIR": str(out)}
    command = ["linux.uml", *machine, *disks]
    subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, timeout=SECONDS, check=False)


def main(results: str, *tests: str) -> int:
    """Boot, and bring what came of it."""
    with tempfile.TemporaryDirectory(prefix="berth-kernel-") as name:
        out = Path(name)
        boot(out, list(tests))
        if (out / "results.xml").exists():
            shutil.copyfile(out / "results.xml", results)
        code = out / "code"
        return int(code.read_text(encoding="utf-8")) if code.exists() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
