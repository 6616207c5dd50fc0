"""A drill: one snapshot leaves for a host to be thrown away, and what is restored there is compared, file by file.

On the host that is backed up: `pack` copies the snapshot into a small repository of its own, whatever kind of
repository it is in, and notes the checksums of what people have now. On the other: `compare`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from berth_backup import restic, restore
from berth_backup.settings import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from berth_backup.settings import Settings

FOLDER = "drill"
"""Below the state's folder, what leaves the host; closed to all but root until it is given to who fetches it."""

REPOSITORY, CHECKSUMS = "repository.tar", "checksums.json"

EXAMPLES = 20
"""Paths that are named of each kind of difference."""

_BLOCK = 2**20


def pack(settings: Settings, wanted: str, owner: str) -> dict[str, Any]:
    """Copy a snapshot, and note what people have now.

    Args:
        settings: Of this host's backups.
        wanted: `latest`, or the first letters of an id.
        owner: UID:GID of who fetches it.

    Returns:
        Where it is, and which snapshot it is: by the id that the copy has, and by the short one that people know.

    Raises:
        RestoreError: There is no such snapshot, or no room.
        ResticError: It cannot be read.
    """
    place = Path(settings.state, FOLDER)
    end(settings)
    snapshot = restore.resolve(settings, wanted)
    needed = json.loads(restic.run(settings, "stats", "--json", "--no-lock", "--mode=raw-data", snapshot["id"]))
    # The copy, and its archive.
    room = 2 * needed["total_size"] + restore.SPARE_BYTES
    free = shutil.disk_usage(settings.state).free
    if free < room:
        raise restore.RestoreError(
            f"a drill takes {room // 2**20} MB where {settings.state} is, for as long as it lasts, and there are"
            f" {free // 2**20} MB free"
        )
    place.mkdir(mode=0o700)
    copy = dataclasses.replace(settings, repository=str(place / "repository"))
    source = ["--from-repo", settings.repository, "--from-password-file", str(settings.secret(PASSWORD))]
    source += restic.way(settings)
    restic.run(copy, "init", *source, "--copy-chunker-params")
    restic.run(copy, "copy", *source, snapshot["id"])
    (copied,) = restic.snapshots(copy)
    archive = ["tar", "--directory", copy.repository, "--create", "--file", str(place / REPOSITORY), "."]
    subprocess.run(archive, check=True, capture_output=True)
    shutil.rmtree(place / "repository")
    checksums = {str(path): list(_fingerprint(path)) for path in _of_people(settings)}
    (place / CHECKSUMS).write_text(json.dumps(checksums), encoding="utf-8")
    user, group = map(int, owner.split(":"))
    for path in (place / REPOSITORY, place / CHECKSUMS, place):
        os.chown(path, user, group)
        path.chmod(0o700 if path == place else 0o600)
    # Who fetches goes through it and sees nothing of it.
    Path(settings.state).chmod(0o711)
    return {
        "folder": str(place),
        "id": copied["id"],
        "short": snapshot["short_id"],
        "time": restore.moment(snapshot["time"]).isoformat(timespec="seconds"),
    }


def end(settings: Settings) -> None:
    """Remove what was packed, be it whole or not."""
    shutil.rmtree(Path(settings.state, FOLDER), ignore_errors=True)


def compare(settings: Settings, snapshot: str, checksums: Path) -> dict[str, Any]:
    """Compare what was restored with the snapshot's list, and with what people had when it was packed.

    Returns:
        How many files there should be, how many of them have the content that they have where they come from, how
        many have changed there since the snapshot, and which are missing or different.
    """
    there: dict[str, list[Any]] = json.loads(checksums.read_text(encoding="utf-8"))
    files, same, changed = 0, 0, 0
    missing: list[str] = []
    different: list[str] = []
    odd = _odd(settings)
    for told, size in _listed(settings, snapshot):
        files += 1
        path = _meant(told, size, odd)
        if not path.is_file() or path.is_symlink():
            missing.append(str(told))
            continue
        here = list(_fingerprint(path))
        then = there.get(str(path))
        if here[0] != size:
            different.append(str(told))
        elif then is None or then[:2] != here[:2]:
            changed += 1
        elif then == here:
            same += 1
        else:
            different.append(str(told))
    return {
        "files": files,
        "same": same,
        "changed_since": changed,
        "missing": sorted(missing)[:EXAMPLES],
        "missing_count": len(missing),
        "different": sorted(different)[:EXAMPLES],
        "different_count": len(different),
    }


def _listed(settings: Settings, snapshot: str) -> Iterator[tuple[Path, int]]:
    """Files of people in a snapshot, as restic tells their paths, each with its size."""
    parts = _parts(settings)
    # A name may hold other characters that end a line for Python, which JSON does not escape.
    for line in restic.run(settings, "ls", "--json", "--no-lock", snapshot).rstrip("\n").split("\n"):
        node = json.loads(line)
        path = Path(node.get("path", "/"))
        if node.get("type") == "file" and any(path.is_relative_to(part) for part in parts):
            yield path, node.get("size", 0)


def _odd(settings: Settings) -> dict[str, list[Path]]:
    """Files of people that are here and whose paths are not UTF-8, by the path that restic tells of them.

    It tells each byte that is none as U+FFFD, so several files may have one path.
    """
    found: dict[str, list[Path]] = {}
    for path in _of_people(settings):
        told = re.sub("[\udc80-\udcff]", "\ufffd", str(path))
        if "\ufffd" in told:
            found.setdefault(told, []).append(path)
    return found


def _meant(told: Path, size: int, odd: dict[str, list[Path]]) -> Path:
    """The file that restic tells of; of several that it can be, one of that size, and each of them once."""
    there = odd.get(str(told))
    if not there:
        return told
    return there.pop(next((number for number, path in enumerate(there) if path.lstat().st_size == size), 0))


def _parts(settings: Settings) -> list[Path]:
    """What is people's; the rest belongs to the host, which has its own."""
    return [Path(settings.homes), *(part for part in restore.parts(settings) if part.name == "folders")]


def _of_people(settings: Settings) -> Iterator[Path]:
    for part in _parts(settings):
        for place, folders, names in os.walk(part):
            folders[:] = [name for name in folders if not name.startswith(restore.ASIDE)]
            for name in names:
                path = Path(place, name)
                try:
                    if stat.S_ISREG(path.lstat().st_mode):
                        yield path
                except FileNotFoundError:  # people go on working
                    continue


def _fingerprint(path: Path) -> tuple[int, int, str]:
    """Size, time and checksum; of a file that goes meanwhile, those of an empty one."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            while block := file.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError:
        return 0, 0, digest.hexdigest()
    return found.st_size, found.st_mtime_ns, digest.hexdigest()
