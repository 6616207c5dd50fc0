"""The settings of backups as Ansible renders them to /etc/berth/backup.json, without the secrets beside them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "backup_key"
ENVIRONMENT = "backup_environment.json"
SSH_KEY = "backup_ssh_key"
SSH_KNOWN_HOSTS = "backup_ssh_known_hosts"


@dataclass(frozen=True)
class Settings:
    """Everything that backups are told.

    Attributes:
        repository: Where to, in restic's words: a folder, sftp:USER@HOST:FOLDER, or any other.
        host: The host's name among the snapshots of a repository that several hosts share.
        paths: What is backed up, but for the database.
        exclude: What is not, in restic's patterns.
        keep_last: Snapshots that are kept, whenever they were made; those of days, weeks and months come on top.
        keep_daily: The last snapshot of so many days is kept.
        keep_weekly: The same for weeks.
        keep_monthly: The same for months.
        verify_percent: How much of the repository's data a check by the timer reads.
        overdue_hours: Since the last good backup, from which on the next one is overdue.
        upload_kib: KiB a second at most; 0 for no limit.
        pack_mib: Size of the repository's files in MiB; 0 for restic's own.
        free_min_mb: MB that have to be free where the repository is a folder.
        database: The hub's.
        state: Folder of results, and of what is prepared for the next snapshot.
        cache: Folder of restic's cache.
        secrets: Folder of Berth's secrets.
        homes: Folder of the homes.
    """

    repository: str
    host: str
    paths: list[str]
    exclude: list[str]
    keep_last: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    verify_percent: int
    overdue_hours: int
    upload_kib: int
    pack_mib: int
    free_min_mb: int
    database: str
    state: str
    cache: str
    secrets: str
    homes: str

    @property
    def folder(self) -> Path | None:
        """The repository's folder, if it is one of this host."""
        return Path(self.repository) if self.repository.startswith("/") else None

    @property
    def staged(self) -> Path:
        """Folder of what is made for a snapshot: a copy of the database, and what the host is."""
        return Path(self.state, "staged")

    @property
    def staged_database(self) -> Path:
        """The copy of the database."""
        return self.staged / Path(self.database).name

    @property
    def staged_manifest(self) -> Path:
        """What the host was when the snapshot was made."""
        return self.staged / "manifest.json"

    def secret(self, name: str) -> Path:
        """Path of a secret."""
        return Path(self.secrets, name)


def load(path: Path) -> Settings:
    """Read and validate.

    Raises:
        ValueError: With one line for each mistake: the variable, what is wrong and what is allowed.
    """
    try:
        made = Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    wrong = mistakes(made)
    if wrong:
        raise ValueError("\n".join(f"{path}: {line}" for line in wrong))
    return made


def mistakes(settings: Settings) -> list[str]:
    """Say what is wrong, by the variables of the role."""
    values = dataclasses.asdict(settings)
    bounds = {
        "keep_last": (1, 10000),
        "keep_daily": (0, 10000),
        "keep_weekly": (0, 10000),
        "keep_monthly": (0, 10000),
        "verify_percent": (1, 100),
        "overdue_hours": (1, 24 * 366),
        "upload_kib": (0, 10**8),
        "free_min_mb": (0, 10**9),
    }
    found = [
        f"backup_{name} is {values[name]!r}: a whole number from {low} to {high} is allowed"
        for name, (low, high) in bounds.items()
        if type(values[name]) is not int or not low <= values[name] <= high
    ]
    if settings.pack_mib != 0 and settings.pack_mib not in range(4, 129):
        found.append(f"backup_pack_mib is {settings.pack_mib!r}: 0 or a whole number from 4 to 128 is allowed")
    return found
