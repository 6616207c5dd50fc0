"""What playbooks and units call: `python3 -m berth_backup COMMAND`. Run as root.

check FILE       only validates settings
prepare          makes what a first backup needs, and prints what it has made
run              makes a snapshot
verify PERCENT   checks the repository
list             prints the snapshots as JSON
follow UNIT      prints as JSON whether a unit is at work, how far it has got, and the results there are
restore look SNAPSHOT keep|overwrite    prints as JSON what would be restored, or refuses
restore fetch ID DATE                   brings it beside what is there
restore swap DATE                       puts it in its place, and what was there aside
restore user SNAPSHOT NAME              brings a user's home back within the home
restore follow FILE NAME                prints as JSON whether one of the two is at work, and how far it has got
drill pack SNAPSHOT UID:GID             packs a snapshot for another host, and prints as JSON where it is
drill compare ID FILE                   prints as JSON how what was restored compares
drill end                               removes what was packed
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from berth_backup import drill, restic, restore, runs, state
from berth_backup.settings import PASSWORD, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from berth_backup.settings import Settings

SETTINGS = Path("/etc/berth/backup.json")
AT_WORK = ("activating", "active", "deactivating", "reloading")


def prepare(settings: Settings) -> int:
    """Make the repository's key and the first note, if they are missing; print what was made."""
    key = settings.secret(PASSWORD)
    if not key.exists():
        state.write(key, secrets.token_urlsafe(32) + "\n", 0o600)
        print("key")
    Path(settings.state).mkdir(mode=0o755, exist_ok=True)
    if "since" not in state.read(settings):
        state.note(settings, since=state.now())
        print("note")
    return 0


def list_snapshots(settings: Settings) -> int:
    """Print the snapshots, the newest first."""
    found = [{"id": one["short_id"], "time": one["time"]} for one in reversed(restic.snapshots(settings))]
    print(json.dumps(found))
    return 0


def follow(settings: Settings, unit: str) -> int:
    """Print how a run gets on."""
    asked = ["systemctl", "show", "--property=ActiveState,Job,Result", unit]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    running = found.get("ActiveState") in AT_WORK or found.get("Job", "0") not in ("", "0")
    report: dict[str, Any] = {
        "running": running,
        "progress": state.shown(settings) if running else "",
        "good": found.get("Result") == "success",
        "results": state.read(settings),
    }
    print(json.dumps(report))
    return 0


def bring_back(settings: Settings, step: str, *more: str) -> int:
    """A step of a restore."""
    date = f"{dt.datetime.now(dt.UTC):%Y-%m-%d_%H%M%S}"
    if step == "look":
        snapshot, mode = more
        print(json.dumps({**restore.look(settings, snapshot, overwrite=mode == "overwrite"), "date": date}))
    elif step == "fetch":
        restore.fetch(settings, *more)
    elif step == "swap":
        restore.swap(settings, *more)
    elif step == "follow":
        results, told = more
        print(json.dumps(restore.follow(settings, Path(results), told)))
    else:
        snapshot, name = more
        print(json.dumps(restore.restore_user(settings, snapshot, name, date[:10])))
    return 0


def rehearse(settings: Settings, step: str, *more: str) -> int:
    """A step of a drill."""
    if step == "pack":
        print(json.dumps(drill.pack(settings, *more)))
    elif step == "compare":
        snapshot, checksums = more
        print(json.dumps(drill.compare(settings, snapshot, Path(checksums))))
    else:
        drill.end(settings)
    return 0


RESTORE_STEPS = {"look": 2, "fetch": 2, "swap": 1, "user": 2, "follow": 2}
DRILL_STEPS = {"pack": 2, "compare": 2, "end": 0}


def main(arguments: list[str]) -> int:
    """Entry point."""
    commands: dict[str, tuple[int, Callable[..., int]]] = {
        "check": (1, lambda _settings, _file: 0),
        "prepare": (0, prepare),
        "run": (0, lambda settings: 0 if runs.backup(settings) else 1),
        "verify": (1, lambda settings, percent: 0 if runs.verify(settings, int(percent)) else 1),
        "list": (0, list_snapshots),
        "follow": (1, follow),
    }
    name, *more = arguments or [""]
    if name == "restore" and more:
        commands[name] = (1 + RESTORE_STEPS.get(more[0], -2), bring_back)
    if name == "drill" and more:
        commands[name] = (1 + DRILL_STEPS.get(more[0], -2), rehearse)
    if name not in commands or len(more) != commands[name][0]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        settings = load(Path(more[0]) if name == "check" else SETTINGS)
        return commands[name][1](settings, *more)
    except FileNotFoundError as error:
        print(f"{error.filename} is not there: `./berth up -t backup` brings what backups need", file=sys.stderr)
    except (restic.ResticError, restore.RestoreError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
