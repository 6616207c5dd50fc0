"""A host in miniature in a temporary folder, with a real restic repository."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from berth_backup.settings import PASSWORD, Settings


@dataclass
class Host:
    """Where things are, and what backups are told."""

    root: Path
    settings: Settings

    def change(self, **values: object) -> None:
        self.settings = dataclasses.replace(self.settings, **values)  # type: ignore[arg-type]

    def write(self, name: str, content: str = "x") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def write_settings(self) -> str:
        """The settings as the role renders them; returns the file."""
        return str(self.write("etc/backup.json", json.dumps(dataclasses.asdict(self.settings))))

    def results(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(Path(self.settings.state, "results.json").read_text(encoding="utf-8"))
        return found

    def in_state(self, name: str) -> dict[str, str]:
        """The result of a kind of run."""
        found = self.results()[name]
        assert isinstance(found, dict)
        return found

    @property
    def database(self) -> Path:
        return Path(self.settings.database)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    folders = ("homes/alice", "etc/secrets", "lib/hub", "lib/backup", "repository", "cache")
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc" / "secrets" / PASSWORD).write_text("a-key-of-the-tests-alone\n", encoding="utf-8")
    database = tmp_path / "lib" / "hub" / "jupyterhub.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE users (name TEXT, created TEXT)")
        made.execute("INSERT INTO users VALUES ('alice', '2026-01-01 00:00:00')")
        made.commit()
    settings = Settings(
        repository=str(tmp_path / "repository"),
        host="hub.example.org",
        paths=[str(tmp_path / name) for name in ("etc", "homes", "lib")],
        exclude=[],
        keep_last=2,
        keep_daily=0,
        keep_weekly=0,
        keep_monthly=0,
        verify_percent=100,
        overdue_hours=36,
        upload_kib=0,
        pack_mib=0,
        free_min_mb=0,
        database=str(database),
        state=str(tmp_path / "lib" / "backup"),
        cache=str(tmp_path / "cache"),
        secrets=str(tmp_path / "etc" / "secrets"),
        homes=str(tmp_path / "homes"),
    )
    return Host(tmp_path, settings)


def flip(path: Path, at: int) -> None:
    """Flip one bit of a file."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
        file.flush()
        os.fsync(file.fileno())
