"""Puts a release in place of the present one, which is kept first: nothing is lost, and the way leads back again."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

from berth_release import database, files, releases, services

if TYPE_CHECKING:
    from pathlib import Path

    from berth_release.releases import Release

LINES = 12
"""Of the hub's that are told: enough for the end of a traceback."""


def go_back(root: Path, release: Release, *, gave_up: str, seconds: float) -> dict[str, Any]:
    """Put a release in place; returns what became of it.

    Args:
        root: The host's root.
        release: The one to put in place.
        gave_up: Why the present one is left, if it does not work; empty if somebody wants the other one.
        seconds: How long the hub may take to answer.
    """
    said = services.last_lines(LINES)
    began = time.monotonic()
    services.run("systemctl", "stop", services.HUB)
    try:
        database.recover(root / releases.DATABASE)
        left = releases.keep(root, gave_up=gave_up)
    except (database.DatabaseError, releases.ReleaseError, OSError):
        services.start([services.HUB])
        raise
    told = {"release": release.id, "left": left.id, "said": said, **_versions(release)}
    # Also what the release that goes knows of its units: an older one may tell nothing.
    lists = services.lists(root)
    services.drop(services.units_of(files.members(root)) - services.units_of(files.names_in(release.archive)))
    changed = files.put(root, release.archive, of_the_host=bool(gave_up))
    told["database"] = put_database(root, release, half_changed=bool(gave_up))
    services.run("systemctl", "daemon-reload")
    services.restart(services.readers([*services.lists(root), *lists], changed))
    services.start({*release.note.get("units", []), services.PROXY, services.HUB})
    healthy = services.wait_until_healthy(root, seconds)
    if not healthy and told["database"] == "stays" and release.database.exists():
        # What is wrong with the present one, nobody but the hub can know. It is in the release that was left.
        services.run("systemctl", "stop", services.HUB)
        place(root / releases.DATABASE, release.database)
        told["database"] = "as kept"
        services.start([services.HUB])
        healthy = services.wait_until_healthy(root, seconds)
    releases.set_pending(root, None)
    return {**told, "healthy": healthy, "seconds": round(time.monotonic() - began, 1), "files": len(changed)}


def _versions(release: Release) -> dict[str, Any]:
    return {name: release.note.get(name, "") for name in ("berth", "commit", "jupyterhub", "traefik", "image", "kept")}


def plan(root: Path, release: Release) -> dict[str, Any]:
    """What would become of the database."""
    return {"release": release.id, "database": _told(release, database_for(root, release)), **_versions(release)}


def put_database(root: Path, release: Release, *, half_changed: bool) -> str:
    """Give a release a database that it can read; returns what became of it."""
    source = database_for(root, release, half_changed=half_changed)
    if source is not None:
        place(root / releases.DATABASE, source)
    return _told(release, source)


def _told(release: Release, source: Path | None) -> str:
    return "stays" if source is None else "as kept" if source == release.database else "before its migration"


def database_for(root: Path, release: Release, *, half_changed: bool = False) -> Path | None:
    """Which copy of the database a release needs; None if the present one suits it, so that nothing is lost.

    Of another schema, the copy that JupyterHub made when it changed it knows more than the one that was kept before.

    Args:
        root: The host's root.
        release: Which one.
        half_changed: Whether such a copy, made since, means that the present one may be half changed, whatever it says.
    """
    live = root / releases.DATABASE
    wanted = release.note.get("revision", "")
    if not release.database.exists():
        return None
    copies = [path for path in live.parent.glob(f"{live.name}.*") if path.stat().st_mtime >= release.kept]
    suitable = [path for path in copies if database.revision(path) == wanted and not database.damage(path)]
    is_sound = live.exists() and not database.damage(live) and database.revision(live) == wanted
    if is_sound and not (half_changed and suitable):
        return None
    return max(suitable, key=lambda path: path.stat().st_mtime, default=release.database)


def place(live: Path, source: Path) -> None:
    """Put a copy in the database's place, while the hub is stopped."""
    new = live.with_name(f".{live.name}.back")
    shutil.copyfile(source, new)
    owner = (live if live.exists() else live.parent).stat()
    new.chmod(0o600)
    os.chown(new, owner.st_uid, owner.st_gid)
    # They belong to the database that goes.
    for suffix in releases.BESIDE:
        live.with_name(live.name + suffix).unlink(missing_ok=True)
    new.replace(live)
