"""A host in miniature in a temporary folder: real files, links and databases; systemd and the engine are not there."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from berth_release import releases, services

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = 1_000_000_000
"""As all that comes in archives, files are older than their release."""

OLD, NEW = "4621fec11365", "f460b0348206"


@dataclass
class Host:
    """Where things are."""

    root: Path

    def write(self, name: str, content: str = "x", mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
        os.utime(path, (MOMENT, MOMENT))
        return path

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def lay(self, role: str, *names: str) -> None:
        """Files that a role lays over the host (roles/base/tasks/files.yml)."""
        archive = self.root / "opt/berth/laid" / f"{role}.tar"
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "w") as opened:
            for name in names:
                opened.add(self.write(name, f"of {role}"), arcname=name)

    def use_venv(self, name: str, jupyterhub: str = "") -> None:
        venv = self.root / "opt/berth/venvs" / name
        (venv / "lib/python3.13/site-packages" / f"jupyterhub-{jupyterhub}.dist-info").mkdir(
            parents=True, exist_ok=True
        )
        link = self.root / "opt/berth" / name.rpartition("-")[0]
        link.unlink(missing_ok=True)
        link.symlink_to(venv)

    @property
    def database(self) -> Path:
        return self.root / releases.DATABASE

    def set_database(self, revision: str, *users: str) -> None:
        make_database(self.database, revision, *users)

    def users(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.database)) as opened:
            return sorted(row[0] for row in opened.execute("SELECT name FROM users"))


def make_database(path: Path, revision: str, *users: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alembic_version (version_num TEXT)")
        made.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        made.execute("CREATE TABLE users (name TEXT)")
        made.executemany("INSERT INTO users VALUES (?)", [(name,) for name in users])
        made.commit()
    return path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    # What they would be asked and told is this machine's own.
    monkeypatch.setattr(services, "run", lambda *_command, **_more: "")
    monkeypatch.setattr(services, "wait_until_healthy", lambda _root, _seconds: True)
    made = Host(tmp_path)
    made.write("etc/berth/hub.json", json.dumps({"berth": {"image": "berth/notebook:old"}}), 0o640)
    made.write("etc/berth/secrets/cookie_secret", "old", 0o600)
    made.write("etc/systemd/system/berth-hub.service")
    made.write("opt/berth/reads/jupyterhub", "berth-hub.service /opt/berth/hub /opt/berth/lib/berth_hub\n")
    made.write("opt/berth/lib/berth_hub/__init__.py", '__version__ = "0.1.0"\n')
    made.write("opt/berth/lib/berth_release/__main__.py", "this program")
    made.lay("base", "usr/local/sbin/berth-venv", "usr/local/share/ca-certificates/site.crt")
    made.use_venv("hub-old", "5.5.4")
    made.set_database(OLD, "alice")
    return made
