"""Whether this JupyterHub can use the database that is there: `python -m berth_hub.schema DATABASE FRAGMENTS`.

Prints "current", "older", "newer", "none" (no database yet), or "elsewhere" (a fragment of the site names another one).
Without importing JupyterHub, which takes longer than a whole restart of the hub should.
"""

import contextlib
import importlib.util
import re
import sqlite3
import sys
from pathlib import Path

_REVISION = re.compile(r"^(down_)?revision\s*(?::[^=]+)?=\s*['\"](\w+)['\"]", re.MULTILINE)


def state(database: Path, fragments: Path, migrations: Path) -> str:
    """How a database and the migrations of a JupyterHub stand to each other.

    Args:
        database: The file.
        fragments: Folder with configuration of the site's own.
        migrations: Folder with JupyterHub's, one file for each.
    """
    if any("db_url" in path.read_text(encoding="utf-8", errors="replace") for path in fragments.glob("*.py")):
        return "elsewhere"
    found = revision(database)
    if not found:
        return "none"
    known, head = revisions(migrations)
    return "current" if found == head else "older" if found in known else "newer"


def revision(database: Path) -> str:
    """Which schema a database has; empty if there is none."""
    if not database.exists():
        return ""
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=60)) as opened:
        if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return ""
        row = opened.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def revisions(migrations: Path) -> tuple[set[str], str]:
    """All schemas that a JupyterHub knows, and the one that it uses.

    Raises:
        ValueError: The folder tells of none, or of several that nothing follows.
    """
    known: set[str] = set()
    followed: set[str] = set()
    for path in migrations.glob("*.py"):
        for down, name in _REVISION.findall(path.read_text(encoding="utf-8")):
            (followed if down else known).add(name)
    last = known - followed
    if len(last) != 1:
        raise ValueError(f"{migrations} has {len(last)} last migrations")
    return known, last.pop()


def main() -> None:
    """Entry point."""
    found = importlib.util.find_spec("jupyterhub")
    if found is None or found.origin is None:
        raise SystemExit("there is no JupyterHub in this environment")
    database, fragments = map(Path, sys.argv[1:])
    print(state(database, fragments, Path(found.origin).parent / "alembic" / "versions"))


if __name__ == "__main__":
    main()
