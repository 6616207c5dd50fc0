"""Which JupyterHub has written a database, against the migrations of the installed one."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import jupyterhub
import pytest
from berth_hub import schema

MIGRATIONS = Path(jupyterhub.__file__).parent / "alembic" / "versions"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """As the installed JupyterHub makes it."""
    made = tmp_path / "jupyterhub.sqlite"
    code = f"from jupyterhub import orm; orm.new_session_factory('sqlite:///{made}')"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": str(Path(sys.executable).parent)})
    return made


def set_revision(database: Path, revision: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as opened:
        opened.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        opened.commit()


def test_that_of_this_version_of_an_older_and_of_a_newer_one(database: Path, tmp_path: Path) -> None:
    assert schema.state(database, tmp_path, MIGRATIONS) == "current"
    set_revision(database, "4621fec11365")
    assert schema.state(database, tmp_path, MIGRATIONS) == "older"
    set_revision(database, "0123456789ab")
    assert schema.state(database, tmp_path, MIGRATIONS) == "newer"


def test_none_and_one_that_is_elsewhere(tmp_path: Path) -> None:
    assert schema.state(tmp_path / "none.sqlite", tmp_path, MIGRATIONS) == "none"
    (tmp_path / "50-database.py").write_text("c.JupyterHub.db_url = 'postgresql://...'\n")
    assert schema.state(tmp_path / "none.sqlite", tmp_path, MIGRATIONS) == "elsewhere"


def test_migrations_that_tell_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 last migrations"):
        schema.revisions(tmp_path)
