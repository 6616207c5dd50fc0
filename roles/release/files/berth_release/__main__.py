"""What playbooks and a timer call: `python3 -m berth_release COMMAND`. Run as root; each prints JSON.

list                      the releases that are kept, the newest first, each with what going back would mean
keep                      keeps the present one, unless an upgrade from there has broken off
back ID|previous SECONDS [WHY]
                          puts one in place, waits so long for the hub; WHY the present one does not work
prune COUNT               after an upgrade: removes releases beyond so many, and what only they needed
"""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from berth_release import back, database, releases

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path("/")


def list_releases() -> list[dict[str, Any]]:
    """What is kept, and what would become of the database."""
    return [{"id": one.id, **one.note, **back.plan(ROOT, one)} for one in releases.listed(ROOT)]


def keep() -> dict[str, Any]:
    """The present release."""
    waiting = releases.pending(ROOT)
    release = waiting or releases.keep(ROOT)
    releases.set_pending(ROOT, release)
    return {"id": release.id, "reused": waiting is not None, **release.note}


def go_back(wanted: str, seconds: str, gave_up: str = "") -> dict[str, Any]:
    """Put a release in place."""
    return back.go_back(ROOT, releases.find(ROOT, wanted), gave_up=gave_up, seconds=float(seconds))


def prune(count: str) -> dict[str, list[str]]:
    """The upgrade is through: remove what need not be kept."""
    releases.set_pending(ROOT, None)
    return releases.prune(ROOT, int(count))


COMMANDS: dict[str, tuple[Callable[..., object], tuple[int, ...]]] = {
    "list": (list_releases, (0,)),
    "keep": (keep, (0,)),
    "back": (go_back, (2, 3)),
    "prune": (prune, (1,)),
}


def main(arguments: list[str]) -> int:
    """Entry point."""
    name, *more = arguments or [""]
    if name not in COMMANDS or len(more) not in COMMANDS[name][1]:
        print(__doc__, file=sys.stderr)
        return 2
    folder = ROOT / releases.FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            print(json.dumps(COMMANDS[name][0](*more)))
    except (releases.ReleaseError, database.DatabaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
