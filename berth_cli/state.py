"""What Berth remembers between runs: logs, and how many tasks the last run of the same playbooks had."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

from berth_cli.errors import BerthError

LOGS_KEPT = 20
"""Enough to look back over a day of trying things out."""


def state_dir() -> Path:
    """The directory for all of this, made when missing, readable by its owner alone.

    Raises:
        BerthError: It cannot be made.
    """
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(base) / "berth"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BerthError(
            f'cannot make the directory for logs "{path}": {error.strerror}; set XDG_STATE_HOME to another place'
        ) from error
    return path


def new_log(command: str) -> Path:
    """Make an empty log file and remove the oldest ones.

    Args:
        command: What the log is of, such as ``up``; part of the file's name.

    Raises:
        BerthError: The file cannot be made.
    """
    logs = state_dir() / "logs"
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = logs / f"{stamp}-{command}.log"
    try:
        logs.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise BerthError(
            f'cannot write the log "{path}": {error.strerror}; set XDG_STATE_HOME to another place'
        ) from error
    # Names begin with the time, so they sort by age.
    for old in sorted(logs.glob("*.log"))[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)
    return path


def expected_tasks(key: str) -> int | None:
    """How many tasks a run had that was remembered under the same key; None if there was none."""
    return _counts().get(key)


def remember_tasks(key: str, count: int) -> None:
    """Keep the number of tasks of a finished run for the next run's progress display."""
    path = _counts_path()
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(_counts() | {key: count}, indent=1), encoding="utf-8")
    temporary.replace(path)


def _counts_path() -> Path:
    return state_dir() / "task-counts.json"


def _counts() -> dict[str, int]:
    try:
        content = json.loads(_counts_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # It only serves the progress display: without it, that shows no total.
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: count for key, count in content.items() if isinstance(count, int)}
