"""Releases that are kept, each a folder with its files, a copy of the database and a note; and what goes with them."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
import shutil
import textwrap
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from berth_release import database, files, record, services

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "var/lib/berth/releases"
DATABASE = "var/lib/berth/hub/jupyterhub.sqlite"
BESIDE = ("-journal", "-wal", "-shm")
"""Files of SQLite's own beside a database that somebody writes to."""

VENVS = "opt/berth/venvs"
WHY_CHARACTERS = 500
"""A line of a list; the command that has failed tells more."""

SPARE_BYTES = 200 * 2**20
ID = re.compile(r"\d{4}-\d{2}-\d{2}_\d{6}")


class ReleaseError(Exception):
    """Something that must not or cannot be done; the message says what to do."""


@dataclass(frozen=True)
class Release:
    """A release that is kept.

    Attributes:
        folder: Its files are in there.
        note: What it says of itself.
    """

    folder: Path
    note: dict[str, Any]

    @property
    def id(self) -> str:
        """When it was kept, which is its name."""
        return self.folder.name

    @property
    def archive(self) -> Path:
        """Its files."""
        return self.folder / "files.tar"

    @property
    def database(self) -> Path:
        """Copy of its database; not there if it had none, or one that is elsewhere."""
        return self.folder / "jupyterhub.sqlite"

    @property
    def kept(self) -> float:
        """When it was kept, in seconds since 1970."""
        return dt.datetime.fromisoformat(self.note["kept"]).timestamp()

    @property
    def gave_up(self) -> bool:
        """Whether it was left because it did not work."""
        return bool(self.note.get("gave_up"))


def listed(root: Path) -> list[Release]:
    """All that are kept, the newest first."""
    folders = sorted((path for path in (root / FOLDER).glob("*") if ID.fullmatch(path.name)), reverse=True)
    return [Release(path, record.read(path / "release.json")) for path in folders]


def find(root: Path, wanted: str) -> Release:
    """The release of an id, or the newest that worked (`previous`).

    Raises:
        ReleaseError: There is none.
    """
    there = listed(root)
    found = [one for one in there if one.id == wanted or (wanted == "previous" and not one.gave_up)]
    if not found:
        ids = ", ".join(one.id for one in there)
        raise ReleaseError(
            f"no release {wanted!r} is kept here; those that are: {ids}"
            if there
            else "no release is kept here: `berth upgrade` keeps the one that it replaces"
        )
    return found[0]


def pending(root: Path) -> Release | None:
    """The release to go back to, if an upgrade has begun and is not through."""
    try:
        return find(root, (root / record.PENDING).read_text(encoding="utf-8").strip())
    except (OSError, ReleaseError):
        return None


def pending_seconds(root: Path) -> float:
    """How long ago it has begun."""
    return time.time() - (root / record.PENDING).stat().st_mtime


def set_pending(root: Path, release: Release | None) -> None:
    """Note that an upgrade has begun; or that it is through."""
    path = root / record.PENDING
    if release is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(f"{release.id}\n", encoding="utf-8")


def keep(root: Path, *, gave_up: str = "") -> Release:
    """Keep what is there; hub and users go on meanwhile.

    Args:
        root: The host's root.
        gave_up: Why this release is left, if it did not work.

    Raises:
        ReleaseError: There is no room.
        database.DatabaseError: The database is damaged; one that is left is kept even so.
    """
    live = root / DATABASE
    (root / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_space(root, live)
    moment = dt.datetime.now(dt.UTC)
    while (root / FOLDER / f"{moment:%Y-%m-%d_%H%M%S}").exists():
        moment += dt.timedelta(seconds=1)
    new = root / FOLDER / f".new-{moment:%Y-%m-%d_%H%M%S}"
    new.mkdir(mode=0o700)
    try:
        release = _fill(root, new, live, moment, gave_up)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    folder = root / FOLDER / new.name.removeprefix(".new-")
    new.rename(folder)
    return Release(folder, release.note)


def _fill(root: Path, new: Path, live: Path, moment: dt.datetime, gave_up: str) -> Release:
    note: dict[str, Any] = {
        **record.present(root),
        "commit": record.read(root / record.NOTE).get("commit", ""),
        "kept": moment.isoformat(timespec="seconds"),
        "gave_up": textwrap.shorten(gave_up, WHY_CHARACTERS),
        "venvs": sorted(current_venvs(root)),
        "units": services.running(),
    }
    release = Release(new, note)
    files.keep(root, release.archive)
    if live.exists():
        try:
            database.copy(live, release.database)
        except database.DatabaseError:
            if not gave_up:
                raise
            for path in (live.with_name(live.name + suffix) for suffix in ("", *BESIDE)):
                if path.exists():
                    shutil.copy2(path, new / path.name)
        note["revision"] = database.revision(release.database)
    for path in new.iterdir():
        path.chmod(0o600)
    (new / "release.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    return release


def _require_space(root: Path, live: Path) -> None:
    needed = SPARE_BYTES + (live.stat().st_size if live.exists() else 0)
    free = shutil.disk_usage(root / FOLDER).free
    if free < needed:
        raise ReleaseError(
            f"{free // 2**20} MB are free where {root / FOLDER} is, and {needed // 2**20} MB are needed to keep the"
            " present release: free some"
        )


def current_venvs(root: Path) -> set[str]:
    """Names of the virtual environments that run now, and of the tool that makes them."""
    found = {path.readlink().name for path in (root / "opt/berth").glob("*") if path.is_symlink()}
    with contextlib.suppress(OSError):
        lock = (root / "opt/berth/locks/uv.txt").read_bytes()
        found.add(f"uv-{hashlib.sha256(lock).hexdigest()[:12]}")
    return found


def prune(root: Path, count: int) -> dict[str, list[str]]:
    """Remove releases beyond so many, and what only they needed; returns what went.

    Of those that did not work as many are kept: their databases may hold accounts that no other one has.
    """
    waiting = pending(root)
    there = [one for one in listed(root) if waiting is None or one.id != waiting.id]
    good = [one for one in there if not one.gave_up]
    bad = [one for one in there if one.gave_up]
    gone = [*good[count:], *bad[count:]]
    for one in gone:
        shutil.rmtree(one.folder)
    for path in (root / FOLDER).glob(".new-*"):
        shutil.rmtree(path)
    left = listed(root)
    wanted = current_venvs(root).union(*(one.note.get("venvs", []) for one in left))
    venvs = [path for path in (root / VENVS).glob("*") if path.is_dir() and path.name not in wanted]
    for path in venvs:
        shutil.rmtree(path)
    images = {str(record.present(root)["image"]), *(str(one.note.get("image", "")) for one in left)}
    return {
        "releases": [one.id for one in gone],
        "venvs": [path.name for path in venvs],
        "images": services.prune_images(images),
    }
