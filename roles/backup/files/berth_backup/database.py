"""The hub's database: copied while it is written to, and looked at."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 60
"""Writers of the hub's take milliseconds; a copy that waits longer waits in vain."""


class DatabaseError(Exception):
    """A database that cannot be copied or is damaged."""


def copy(source: Path, target: Path) -> None:
    """Copy a database while others read and write it; the copy is of one moment, and was checked.

    In one step: a copy in several steps begins anew whenever somebody writes, and would never end on a busy hub.

    Raises:
        DatabaseError: It cannot be read, or is damaged.
    """
    target.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as origin,
            contextlib.closing(sqlite3.connect(target)) as copied,
        ):
            origin.backup(copied)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise DatabaseError(f"{source}: {error}") from error
    wrong = damage(target)
    if wrong:
        target.unlink()
        raise DatabaseError(f"{source} is damaged: {wrong}")


def recover(path: Path) -> None:
    """Undo what a hub was about to write when it was killed, once none runs; a damaged database stays as it is."""
    if path.with_name(f"{path.name}-journal").exists():
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def damage(path: Path) -> str:
    """What is wrong with a database; empty if nothing is."""
    # To SQLite, a file without a byte is a sound database.
    if not path.stat().st_size:
        return "the file is empty"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA integrity_check(5)")]
    except sqlite3.Error as error:
        return str(error)
    return "" if found == ["ok"] else "; ".join(found)


def accounts(path: Path) -> dict[str, str]:
    """Names of the hub's users, with when each was made (UTC, as SQLite writes it); none of a file that is empty."""
    if not path.stat().st_size:
        return {}
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return {str(name): str(created or "") for name, created in database.execute("SELECT name, created FROM users")}


def revision(path: Path) -> str:
    """Which schema of JupyterHub's a database has; empty if it tells of none."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return ""
    return str(found[0]) if found else ""
