"""Brings back what a snapshot holds. Nothing is ever deleted: what is replaced is moved aside.

A whole restore has steps that the playbook calls one by one, since it stops and starts services between them: look
(refuse what would lose something), fetch (beside what is there, while people work), swap (in a moment, with everything
stopped).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import berth_volumes
from berth_moving.contents import MovingError
from berth_moving.placing import into
from berth_names import directory_name

from berth_backup import database, restic, runs, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from berth_backup.settings import Settings

ASIDE = ".restore-"
"""What folders begin with in which things wait or are kept: no user's home and no file of Berth's does."""

EXAMPLES = 5
SPARSE_SINCE = (0, 15)
"""Restic that can bring back holes as holes."""

SPARE_BYTES = 200 * 2**20


class RestoreError(Exception):
    """Something that must not or cannot be restored; the message says what to do."""


class SpaceError(RestoreError):
    """The space has run short while a restore was at work."""


def resolve(settings: Settings, wanted: str) -> dict[str, Any]:
    """The snapshot that is meant: `latest`, or the first letters of an id.

    Raises:
        RestoreError: There is none, or more than one.
    """
    there = restic.snapshots(settings)
    if not there:
        raise RestoreError(
            f"{settings.repository} has no snapshot of {settings.host} (snapshots are found by the host's name in the"
            " inventory)"
        )
    found = there[-1:] if wanted == "latest" else [one for one in there if one["id"].startswith(wanted)]
    if len(found) != 1:
        ids = ", ".join(one["short_id"] for one in reversed(there[-EXAMPLES:]))
        raise RestoreError(
            f"{len(found)} snapshots of {settings.host} begin with {wanted!r}: `berth backup list` has those that there"
            f" are, the last of them {ids}"
        )
    return found[0]


def look(settings: Settings, wanted: str, *, overwrite: bool) -> dict[str, Any]:
    """Look whether a whole restore may go ahead; returns the snapshot's full id, time and versions.

    Raises:
        RestoreError: It may not.
    """
    snapshot = resolve(settings, wanted)
    _refuse_other_file_systems(settings)
    then = moment(snapshot["time"])
    manifest = json.loads(_dump(settings, snapshot["id"], settings.staged_manifest))
    refuse_newer_version(manifest["versions"], runs.versions())
    newer = [] if overwrite else [*newer_accounts(settings, snapshot["id"]), *newer_files(settings, then)]
    if newer:
        more = f" and {len(newer) - EXAMPLES} more" if len(newer) > EXAMPLES else ""
        raise RestoreError(
            f"snapshot {snapshot['short_id']} is of {then:%Y-%m-%d %H:%M} UTC, and there is newer data on the host:"
            f" {', '.join(newer[:EXAMPLES])}{more}. `--overwrite` (restore_overwrite=true) restores all the same, and"
            " moves what is there aside; `berth backup now` first makes a snapshot of it"
        )
    return {
        "id": snapshot["id"],
        "short": snapshot["short_id"],
        "time": then.isoformat(timespec="seconds"),
        "versions": manifest["versions"],
    }


def moment(text: str) -> dt.datetime:
    """A moment as restic writes it, with nanoseconds, in UTC and whole seconds."""
    return dt.datetime.fromisoformat(re.sub(r"\.\d+", "", text)).astimezone(dt.UTC)


def refuse_newer_version(snapshot: dict[str, str], host: dict[str, str]) -> None:
    """Refuse to give a host what a newer version has written; the other way round the hub brings its database up.

    Raises:
        RestoreError: Names the versions.
    """
    for name, there in snapshot.items():
        if there and host.get(name) and _number(there) > _number(host[name]):
            raise RestoreError(
                f"the snapshot was made by {name} {there}, and the host has {host[name]}, which cannot read what a"
                " newer one has written: provision the host with that version of Berth first"
            )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def newer_files(settings: Settings, then: dt.datetime) -> Iterator[str]:
    """Files of people that were written after a moment."""
    for part in of_people(settings):
        yield from (str(path) for path, found in _files(part) if found.st_mtime > then.timestamp() + 1)


def newer_accounts(settings: Settings, snapshot: str) -> list[str]:
    """Accounts that a snapshot does not know."""
    live = Path(settings.database)
    if not live.exists() or database.damage(live):
        return []
    with tempfile.TemporaryDirectory(prefix="berth-") as folder:
        copied = Path(folder, live.name)
        restic.dump(settings, snapshot, settings.staged_database, copied)
        known = database.accounts(copied)
    return [f"account {name}" for name in sorted(set(database.accounts(live)) - set(known))]


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Files below a folder, without those that go while people work on."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_aside(name)]
        for name in names:
            path = Path(place, name)
            try:
                found = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, found


def parts(settings: Settings) -> list[Path]:
    """What a whole restore replaces, folder by folder; settings and secrets apart."""
    return [path for path in map(Path, settings.paths) if path != Path(settings.secrets).parent]


def of_people(settings: Settings) -> list[Path]:
    """Those of them that are people's: homes and shared folders, wherever these are."""
    own = {Path(settings.state).parent, Path(settings.homes).parent / "shared"}
    return [part for part in parts(settings) if part not in own]


def _refuse_other_file_systems(settings: Settings) -> None:
    """Refuse a part beside which nothing can wait that is to be put in its place by renaming.

    Raises:
        RestoreError: Names it.
    """
    for part in parts(settings):
        if part.exists() and part.stat().st_dev != aside(part, "").parent.stat().st_dev:
            raise RestoreError(
                f"{part} is a file system of its own that belongs to users, so that what comes cannot wait beside it:"
                " leave it out of jupyterhub_shared_folders while the host is restored (berth up -t jupyterhub,backup);"
                " what is in it stays as it is"
            )


def _is_aside(name: str) -> bool:
    # Snapshots of homes stay where they are: no backup has them.
    return name.startswith(ASIDE) or name == berth_volumes.SNAPSHOTS


def aside(part: Path, date: str) -> Path:
    """Where a part's new content waits, and its old content goes: on the same file system, closed to users.

    Beside a folder that belongs to a user, who could put something else in its place.
    """
    if part.stat().st_uid == os.geteuid():
        return part / f"{ASIDE}{date}"
    return part.parent / f"{ASIDE}{date}-{part.name}"


def fetch(settings: Settings, snapshot: str, date: str) -> None:
    """Bring everything beside what is there, and check it. How far that has got is told under the date.

    Raises:
        RestoreError: There is no room, the snapshot lacks the database, or it is damaged.
    """
    _require_space(settings, _needed(settings, snapshot))
    held = resolve(settings, snapshot)["paths"]
    made: list[Path] = []
    for part in [Path(settings.secrets).parent, *parts(settings)]:
        if str(part) not in held:
            continue
        part.mkdir(parents=True, exist_ok=True)
        target = aside(part, date)
        # Not one that is there: it might be a link.
        target.mkdir(mode=0o700)
        made.append(target)
        try:
            _restore(settings, snapshot, part, target / "fetched", date)
        except SpaceError:
            # Nothing has been put aside yet: in these there is only what has just come.
            for one in made:
                shutil.rmtree(one)
            raise
    staged = _fetched(Path(settings.state).parent, date) / Path(settings.state).name / settings.staged.name
    copied = staged / Path(settings.database).name
    if not copied.exists():
        raise RestoreError(
            f"snapshot {snapshot[:8]} has no database of the hub, since it was damaged by then: take an earlier one, or"
            " bring back homes with --user"
        )
    wrong = database.damage(copied)
    if wrong:
        raise RestoreError(f"the database in snapshot {snapshot[:8]} is damaged: {wrong}")


def _fetched(part: Path, date: str) -> Path:
    return aside(part, date) / "fetched" / part.relative_to("/")


def _restore(settings: Settings, snapshot: str, part: Path, target: Path, told: str) -> None:
    """Bring one part of a snapshot to a folder, and tell meanwhile, under a name, how far that has got."""
    sparse = ["--sparse"] if restic.version(settings) >= SPARSE_SINCE else []
    arguments = ["restore", "--no-lock", snapshot, "--target", str(target), "--include", _literal(part), *sparse]
    name = _note(told)

    def take(message: dict[str, Any]) -> None:
        # More may be needed than is known at the beginning: a restore must not fill the disk that people work on.
        free = shutil.disk_usage(settings.homes).free
        if free < SPARE_BYTES:
            raise SpaceError(
                f"there is not enough space where {settings.homes} is: while {part} was brought, only"
                f" {free // 2**20} MB were left. What was brought is removed again"
            )
        if message.get("message_type") == "status":
            state.show(settings, f"{part.name}: {progress(message)}", name)

    state.show(settings, f"{part.name}: opening the repository", name)
    try:
        code = restic.stream(settings, arguments, take)
    finally:
        state.done(settings, name)
    if code:
        raise RestoreError(f"restic could not bring back everything of {part}")


def _note(told: str) -> str:
    """Name of the file that tells how far a restore has got: of a user's, or of a date's."""
    return f"{state.RESTORING}{directory_name(told)}"


def progress(message: dict[str, Any]) -> str:
    """How far a restore has got, as far as restic tells."""
    if "written" in message:
        return f"{message['written'] / 1e6:.0f} MB written (this restic does not tell of how many)"
    return runs.progress(message, "restored")


def follow(settings: Settings, results: Path, told: str) -> dict[str, Any]:
    """Whether a restore is at work that Ansible has begun, and how far it has got.

    Args:
        settings: Of this host's backups.
        results: File of Ansible's in which the end is noted.
        told: The name under which the restore tells how far it has got.
    """
    noted = json.loads(results.read_text(encoding="utf-8"))
    # Once it has ended, the file holds what the module returned, and nothing of its beginning.
    running = bool(noted.get("started")) and not noted.get("finished")
    return {"running": running, "progress": state.shown(settings, _note(told))}


def _literal(path: Path) -> str:
    """A path as a pattern that means it alone."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", str(path))


def _needed(settings: Settings, snapshot: str) -> int:
    """Bytes of everything in a snapshot, at least.

    Where holes come back as holes, that is what is stored: the size that a file claims may be all holes.
    """
    counted: int = json.loads(restic.run(settings, "stats", "--json", "--no-lock", snapshot))["total_size"]
    if restic.version(settings) < SPARSE_SINCE:
        return counted
    said = restic.run(settings, "stats", "--json", "--no-lock", "--mode=raw-data", snapshot)
    stored: dict[str, int] = json.loads(said)
    return min(counted, stored.get("total_uncompressed_size", stored["total_size"]))


def _needed_below(settings: Settings, snapshot: str, folder: Path) -> int:
    """Bytes of a folder of a snapshot, at least: of a file with several names, restic lists each."""
    listed = restic.run(settings, "ls", "--json", "--no-lock", "--recursive", snapshot, str(folder))
    sizes: list[int] = [json.loads(line).get("size", 0) for line in listed.strip().split("\n")]
    return min(_needed(settings, snapshot), sum(sizes))


def _require_space(settings: Settings, bytes_needed: int) -> None:
    needed = bytes_needed + SPARE_BYTES
    free = shutil.disk_usage(settings.homes).free
    if free < needed:
        holes = (
            "" if restic.version(settings) >= SPARSE_SINCE else ". (Restic before 0.15 fills the holes of sparse files)"
        )
        raise RestoreError(
            f"{needed // 2**20} MB are needed where {settings.homes} is, since nothing is deleted that is there, and"
            f" {free // 2**20} MB are free{holes}"
        )


def _dump(settings: Settings, snapshot: str, path: Path) -> str:
    return restic.run(settings, "dump", "--no-lock", snapshot, str(path))


def swap(settings: Settings, date: str) -> None:
    """Put what was fetched in its place, and what was there aside. Services and berths are stopped."""
    own, etc = Path(settings.state).parent, Path(settings.secrets).parent
    staged = _fetched(own, date) / Path(settings.state).name / settings.staged.name
    manifest = json.loads((staged / settings.staged_manifest.name).read_text(encoding="utf-8"))
    live = Path(settings.database)
    fetched = _fetched(own, date) / live.relative_to(own)
    shutil.copyfile(staged / live.name, fetched)
    fetched.chmod(0o600)
    owner = fetched.parent.stat()
    os.chown(fetched, owner.st_uid, owner.st_gid)
    for part in (own, etc):
        renumber(_fetched(part, date), manifest)
    for part in parts(settings):
        if part.exists() and aside(part, date).is_dir():
            # Of Berth's own state, only what the snapshot has: results of backups and the image's base are this host's.
            _swap_children(part, date, keep={Path(settings.state).name} if part == own else None)
    _swap_settings(settings, etc, date)


def _swap_children(part: Path, date: str, keep: set[str] | None) -> None:
    place, new = aside(part, date), _fetched(part, date)
    before = place / "before"
    before.mkdir(mode=0o700)
    coming = {child.name for child in new.iterdir() if not _is_aside(child.name)} - (keep or set())
    for child in sorted(part.iterdir()):
        if not _is_aside(child.name) and (keep is None or child.name in coming):
            child.rename(before / child.name)
    for name in sorted(coming):
        (new / name).rename(part / name)
    found = new.stat()
    if keep is None:
        os.chown(part, found.st_uid, found.st_gid)
        part.chmod(stat.S_IMODE(found.st_mode))
        os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))


def _swap_settings(settings: Settings, etc: Path, date: str) -> None:
    """Secrets and certificates come back; settings stay those that the inventory has rendered for this host."""
    before = aside(etc, date) / "before"
    before.mkdir(mode=0o700)
    new = _fetched(etc, date)
    for name in (Path(settings.secrets).name, "tls"):
        if not (new / name).is_dir():
            continue
        (before / name).mkdir(mode=0o700)
        for child in sorted((new / name).iterdir()):
            # The key and the way to the repository are those that have just worked.
            if child.name.startswith("backup_"):
                continue
            place = etc / name / child.name
            if place.exists() or place.is_symlink():
                place.rename(before / name / child.name)
            child.rename(place)


def renumber(place: Path, manifest: dict[str, Any]) -> None:
    """Give files to those of this host who have the names that their owners had on the snapshot's host."""
    now = runs.manifest()
    users = {number: now["users"][name] for name, number in manifest["users"].items() if name in now["users"]}
    groups = {number: now["groups"][name] for name, number in manifest["groups"].items() if name in now["groups"]}
    for path in [place, *place.rglob("*")]:
        found = path.lstat()
        was = (found.st_uid, found.st_gid)
        wanted = (users.get(was[0], was[0]), groups.get(was[1], was[1]))
        if wanted != was:
            os.chown(path, *wanted, follow_symlinks=False)
            if not stat.S_ISLNK(found.st_mode):
                path.chmod(stat.S_IMODE(found.st_mode))  # of which chown takes some bits


def restore_user(settings: Settings, wanted: str, name: str, date: str) -> dict[str, Any]:
    """Bring back one user's home as a folder within it. How far that has got is told under the user's name.

    What an earlier restore of the user has left that was interrupted is removed; one that is at work is waited for.

    Raises:
        RestoreError: The snapshot has no home of that user, or there is no room.
    """
    snapshot = resolve(settings, wanted)
    home = Path(settings.homes, directory_name(name))
    with runs.alone(settings, f"{runs.LOCK}-{home.name}"):
        for left in _leftovers(home):
            shutil.rmtree(left)
        _require_space(settings, _needed_below(settings, snapshot["id"], home))
        work = home.parent / f"{ASIDE}{date}-{home.name}"
        work.mkdir(mode=0o700)
        try:
            _restore(settings, snapshot["id"], home, work, name)
            found = work / home.relative_to("/")
            if not found.is_dir():
                raise RestoreError(f"snapshot {snapshot['short_id']} has no home of {name!r}")
            owner = found.stat()
            if not home.is_dir():
                berth_volumes.make(home, stat.S_IMODE(owner.st_mode), berth_volumes.settings())
            # A run that was interrupted may have made it, and not given it away.
            if home.stat().st_uid == os.geteuid():
                os.chown(home, owner.st_uid, owner.st_gid)
            place = into(found, home, f"restored-{date}")
        except MovingError as error:
            raise RestoreError(str(error)) from None
        finally:
            shutil.rmtree(work)
    return {"user": name, "snapshot": snapshot["short_id"], "home": str(home), "folder": place}


def _leftovers(home: Path) -> Iterator[Path]:
    """Folders in which restores of a home have waited that were interrupted.

    What a whole restore has put aside has the time of day in its name, and other folders at its top. In these there is
    nothing but the way to the home as it was in a snapshot, which until the last step is nowhere else.
    """
    wanted = re.compile(re.escape(ASIDE) + r"\d{4}-\d\d-\d\d-" + re.escape(home.name))
    for path in home.parent.iterdir():
        if wanted.fullmatch(path.name) and not path.is_symlink() and _is_way(path, home.relative_to("/")):
            yield path


def _is_way(folder: Path, path: Path) -> bool:
    """Whether a folder holds nothing beside a relative path, of which the last parts may be missing."""
    for part in path.parts:
        there = [child.name for child in folder.iterdir()]
        if not there:
            return True
        folder /= part
        if there != [part] or folder.is_symlink() or not folder.is_dir():
            return False
    return True
