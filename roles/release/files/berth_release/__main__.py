"""What playbooks and a timer call: `python3 -m berth_release COMMAND`. Run as root; each prints JSON.

list                      the releases that are kept, the newest first, each with what going back would mean
keep SECONDS              keeps the present one, unless an upgrade from there has broken off; from now on the host goes
                          back by itself if its hub does not answer for so long
watch SECONDS             what it does meanwhile
back ID|previous SECONDS [WHY]
                          puts one in place, waits so long for the hub; WHY the present one does not work
prune COUNT               after an upgrade: removes releases beyond so many, and what only they needed
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from berth_release import back, database, releases, services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path("/")
WATCH_SECONDS_MAX = 6 * 3600
"""What goes wrong so long after an upgrade broke off is another matter."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One at a time."""
    folder = ROOT / releases.FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def list_releases() -> list[dict[str, Any]]:
    """What is kept, and what would become of the database."""
    return [{"id": one.id, **one.note, **back.plan(ROOT, one)} for one in releases.listed(ROOT)]


def keep(seconds: str) -> dict[str, Any]:
    """The present release."""
    waiting = releases.pending(ROOT)
    release = waiting or releases.keep(ROOT)
    releases.set_pending(ROOT, release)
    services.arm(int(seconds))
    return {"id": release.id, "reused": waiting is not None, **release.note}


def watch(seconds: str) -> dict[str, Any]:
    """Go back if the hub does not answer, and nobody does it."""
    if releases.pending(ROOT) is None or releases.pending_seconds(ROOT) > WATCH_SECONDS_MAX:
        services.disarm()
        return {}
    if services.wait_until_healthy(ROOT, float(seconds)):
        return {}
    with alone():
        release = releases.pending(ROOT)
        if release is None:
            return {}
        why = f"the hub did not answer for {seconds} s, and whoever upgraded was gone"
        return back.go_back(ROOT, release, gave_up=why, seconds=float(seconds))


def go_back(wanted: str, seconds: str, gave_up: str = "") -> dict[str, Any]:
    """Put a release in place."""
    return back.go_back(ROOT, releases.find(ROOT, wanted), gave_up=gave_up, seconds=float(seconds))


def prune(count: str) -> dict[str, list[str]]:
    """The upgrade is through: remove what need not be kept."""
    releases.set_pending(ROOT, None)
    return releases.prune(ROOT, int(count))


COMMANDS: dict[str, tuple[Callable[..., object], tuple[int, ...]]] = {
    "list": (list_releases, (0,)),
    "keep": (keep, (1,)),
    "watch": (watch, (1,)),
    "back": (go_back, (2, 3)),
    "prune": (prune, (1,)),
}


def main(arguments: list[str]) -> int:
    """Entry point."""
    name, *more = arguments or [""]
    if name not in COMMANDS or len(more) not in COMMANDS[name][1]:
        print(__doc__, file=sys.stderr)
        return 2
    # Whoever only looks on must not keep others from doing something.
    on_its_own = contextlib.nullcontext() if name == "watch" else alone()
    try:
        with on_its_own:
            print(json.dumps(COMMANDS[name][0](*more)))
    except (releases.ReleaseError, database.DatabaseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
