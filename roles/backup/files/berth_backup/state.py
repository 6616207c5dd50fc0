"""What became of the last backup and the last check, for status, monitoring and people; and how far a run has got."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from berth_backup.settings import Settings

PROGRESS = "progress"
"""Of what units do; one at a time."""

RESTORING = "restoring-"
"""What the names begin with of files that tell how far restores have got, of which there may be several."""

RESULTS = "results.json"


def now() -> str:
    """The present, in ISO 8601 with its offset."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that readers find the old one or the new one, never half of it."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read(settings: Settings) -> dict[str, Any]:
    """The results there are: `since` (backups are wanted), `backup`, `good` (the last good one), `verify`.

    `verify_put_off` is a check that has found the repository locked, if it was the last one.
    """
    try:
        found: dict[str, Any] = json.loads(Path(settings.state, RESULTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def note(settings: Settings, **results: Any) -> None:
    """Note results beside those that are there."""
    write(Path(settings.state, RESULTS), json.dumps({**read(settings), **results}, indent=2) + "\n")


def show(settings: Settings, text: str, name: str = PROGRESS) -> None:
    """Tell how far a run has got."""
    write(Path(settings.state, name), text + "\n")


def shown(settings: Settings, name: str = PROGRESS) -> str:
    """How far a run has got; empty if there is none."""
    try:
        return Path(settings.state, name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def done(settings: Settings, name: str = PROGRESS) -> None:
    """No run is at work any more."""
    Path(settings.state, name).unlink(missing_ok=True)
