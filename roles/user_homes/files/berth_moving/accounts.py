"""What the hub's database keeps of passwords. It is only read: accounts are changed by asking the hub."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

DATABASE = Path("/var/lib/berth/hub/jupyterhub.sqlite")
BUSY_SECONDS = 60


def password_hash(database: Path, name: str) -> str | None:
    """What the hub compares a password with; None for who has none, as where passwords are another system's."""
    return password_hashes(database).get(name)


def password_hashes(database: Path) -> dict[str, str]:
    """The same of all who may log in, by name; also of another hub that uses NativeAuthenticator."""
    address = f"{database.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as found:
        if not found.execute("SELECT 1 FROM sqlite_master WHERE name = 'users_info'").fetchone():
            return {}
        rows = found.execute("SELECT username, password FROM users_info WHERE is_authorized").fetchall()
    return {
        str(name): kept.decode(errors="replace") if isinstance(kept, bytes) else str(kept)
        for name, kept in rows
        if kept
    }
