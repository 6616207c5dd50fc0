#!/usr/bin/python3 -I
"""Whether Traefik takes a file of dynamic configuration: one that it does not take keeps it from reading all others.

Traefik has no command for that, so it is started with that file alone, on ports of its own, until it says yes or no.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MARK = "berth-check"
LAST = {
    "http": {
        # Routers are built last: Traefik's complaint about this one tells that it has looked at all the rest.
        "routers": {MARK: {"rule": "Path(`/`)", "service": MARK}},
        "middlewares": {"headers": {"headers": {"contentTypeNosniff": True}}},
    }
}
SECONDS_SETTLE = 0.3
"""Complaints of the same moment come in any order."""

SECONDS_MAX = 60
"""Traefik answers in 0.2 to 1 s; the rest is for a host that has much to do."""


def problem_of(file: Path, traefik: str) -> str | None:
    """What Traefik says against the file; None if it takes it.

    Raises:
        TimeoutError: if Traefik says neither yes nor no.
    """
    with tempfile.TemporaryDirectory(prefix="berth-proxy-check-") as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        shutil.copy(file, files / f"site{file.suffix}")
        (files / "berth.yaml").write_text(json.dumps(LAST))
        static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"format": "json"},
            "entryPoints": {entry: {"address": "127.0.0.1:0"} for entry in ("public", "redirect", "api")},
            "providers": {"file": {"directory": str(files), "watch": False}},
        }
        (folder / "traefik.yml").write_text(json.dumps(static))
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [traefik, f"--configfile={folder / 'traefik.yml'}"], stdout=output, stderr=output, cwd=folder
            )
        try:
            return _verdict(log, process)
        finally:
            process.kill()
            process.wait()


def _verdict(log: Path, process: "subprocess.Popen[bytes]") -> str | None:
    deadline = time.monotonic() + SECONDS_MAX
    applied = False
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        errors = _errors(log)
        # What is in another file of the site's is no mistake of this one.
        wrong = [error for error in errors if "does not exist" not in error]
        if wrong:
            return wrong[0]
        if applied:
            return None
        if ended:
            return f"Traefik ended: {log.read_text(errors='replace')[-500:]}"
        applied = any(MARK in error for error in errors)
        time.sleep(SECONDS_SETTLE if applied else 0.05)
    raise TimeoutError(f"Traefik said neither yes nor no to it within {SECONDS_MAX} s")


def _errors(log: Path) -> list[str]:
    found = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # half a line, as yet
            continue
        if entry.get("level") == "error":
            found.append(str(entry.get("error") or entry.get("message")))
    return found


def main() -> int:
    """Check the file that is named; exit code 1 if Traefik does not take it."""
    traefik = os.environ.get("TRAEFIK", "/opt/berth/proxy/bin/traefik")
    problem = problem_of(Path(sys.argv[1]), traefik)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
