"""The two things that go on by timer: a backup, and a check of the repository."""

from __future__ import annotations

import fcntl
import grp
import importlib.metadata
import json
import os
import pwd
import shutil
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from berth_backup import database, restic, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from berth_backup.settings import Settings

REPOSITORY = "repository.json"
LOCK = "lock"
"""What the names of all files begin with that are locked; this one is of backups and checks."""

ERRORS_KEPT = 20
JOURNAL_SECONDS = 30
"""Between two lines in the journal that tell how far a run has got."""

LOCKED_SECONDS = 40 * 60
"""Longest wait for a repository that another host has locked, each time that it is needed.

More than the half hour after which restic takes the lock of a host that was lost in the middle for stale.
"""

LOCKED_PAUSE_SECONDS = 20

HUB_SITE_PACKAGES = "/opt/berth/hub/lib"
USERS = ("berth", "berth-proxy", "berth-metrics", "berth-dock")
GROUPS = ("berth", "berth-proxy", "berth-metrics", "berth-dock", "berth-routes")

ENOENT = 2

Returned = TypeVar("Returned")


def backup(settings: Settings) -> bool:
    """Make a snapshot, and let go of those that need not be kept any longer. Returns whether all went well."""
    began = time.monotonic()
    result: dict[str, Any] = {"began": state.now(), "result": "failed", "errors": []}
    try:
        with alone(settings):
            _back_up(settings, result)
    except (restic.ResticError, OSError, ValueError) as error:
        result["message"] = str(error)
    result |= {"ended": state.now(), "seconds": round(time.monotonic() - began, 1)}
    good: bool = result["result"] == "ok"
    state.note(settings, backup=result, **({"good": result} if good else {}))
    state.done(settings)
    print(_sentence(result), flush=True)
    return good


def verify(settings: Settings, percent: int) -> bool:
    """Check the repository, and read some of its data or all of it. Returns whether it is sound.

    One that is locked all the while is not known to be damaged: what the last check has found stays.
    """
    began = time.monotonic()
    result: dict[str, Any] = {"began": state.now(), "result": "failed", "percent": percent}
    try:
        with alone(settings):
            state.show(settings, f"reading {percent} % of the repository's data")
            restic.run(settings, "unlock")
            subset = ["--read-data"] if percent == 100 else [f"--read-data-subset={percent}%"]
            _patiently(settings, lambda: restic.run(settings, "check", *subset))
            result["result"] = "ok"
    except (restic.ResticError, OSError, ValueError) as error:
        result["message"] = str(error)
        if isinstance(error, restic.ResticError) and error.locked:
            result["result"] = "put off"
    result |= {"ended": state.now(), "seconds": round(time.monotonic() - began, 1)}
    put_off = result["result"] == "put off"
    state.note(settings, **({"verify_put_off": result} if put_off else {"verify": result, "verify_put_off": None}))
    state.done(settings)
    print(f"check of {percent} % of the data: {result['result']}", result.get("message", ""), flush=True)
    sound: bool = result["result"] == "ok"
    return sound


@contextmanager
def alone(settings: Settings, name: str = LOCK) -> Iterator[None]:
    """One at a time of those that take the same name: a check and a backup wait for one another."""
    with Path(settings.state, name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _patiently(settings: Settings, call: Callable[[], Returned]) -> Returned:
    """Call what runs restic, again and again while another host has locked the repository that they share.

    Restic before 0.16 cannot wait by itself.

    Raises:
        ResticError: It failed, or the repository was locked all the while.
    """
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return call()
        except restic.ResticError as error:
            if not error.locked or time.monotonic() >= until:
                raise
        state.show(settings, "waiting for another host, which has locked the repository")
        time.sleep(LOCKED_PAUSE_SECONDS)
        # Of a host that was lost in the middle, whose lock has become stale meanwhile.
        restic.run(settings, "unlock")


def _back_up(settings: Settings, result: dict[str, Any]) -> None:
    state.show(settings, "opening the repository")
    _require_space(settings)
    _open(settings)
    # Of a run that was killed; those of a run at work stay.
    restic.run(settings, "unlock")
    errors: list[str] = []
    try:
        stage(settings)
    except database.DatabaseError as error:
        # The homes are worth a snapshot by themselves.
        errors.append(f"the hub's database is not in the snapshot: {error}")
    arguments = ["backup", "--host", settings.host, "--tag", restic.TAG, "--exclude-file", str(_excludes(settings))]
    if settings.pack_mib:
        arguments += ["--pack-size", str(settings.pack_mib)]
    paths = [path for path in settings.paths if Path(path).exists()]
    watch = _Watch(settings)
    arguments += ["--", *paths, str(settings.staged)]
    code = _patiently(settings, lambda: restic.stream(settings, arguments, watch.take))
    errors += watch.errors
    result |= {
        "snapshot": watch.summary["snapshot_id"][:8],
        "files": watch.summary["total_files_processed"],
        "bytes": watch.summary["total_bytes_processed"],
        "added_bytes": watch.summary["data_added"],
        "errors": errors[:ERRORS_KEPT],
        "vanished": watch.vanished,
    }
    state.show(settings, "letting go of old snapshots")
    keep = [f"--keep-{name}={getattr(settings, f'keep_{name}')}" for name in ("last", "daily", "weekly", "monthly")]
    keep = [option for option in keep if not option.endswith("=0")]
    forget = ["forget", "--prune", "--host", settings.host, "--tag", restic.TAG, "--group-by", "host", *keep]
    try:
        _patiently(settings, lambda: restic.run(settings, *forget))
    except restic.ResticError as error:
        if not error.locked:
            raise
        result["note"] = f"old snapshots stay until the next time: {error}"
    if errors or (code == restic.INCOMPLETE and not watch.vanished):
        result["result"] = "incomplete"
        result["message"] = errors[0] if errors else "restic could not read everything"
    else:
        result["result"] = "ok"


def _require_space(settings: Settings) -> None:
    folder = settings.folder
    if folder is None:
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there: mount it, or make it by `./berth up -t backup`")
    free = shutil.disk_usage(folder).free // 1024**2
    if free < settings.free_min_mb:
        raise ValueError(
            f"only {free} MB are free where {folder} is, less than backup_free_min_mb ({settings.free_min_mb}):"
            " a backup must not fill the disk that people work on. Free some, or set backup_repository to another place"
        )


def _open(settings: Settings) -> None:
    """Find the repository, or make it; but not where there was one before: a disk may not be mounted."""
    known_file = Path(settings.state, REPOSITORY)
    known = json.loads(known_file.read_text(encoding="utf-8")) if known_file.exists() else {}
    try:
        found = json.loads(restic.run(settings, "cat", "config", "--no-lock", seconds=restic.OPEN_SECONDS))
    except restic.ResticError as error:
        if not error.missing:
            raise
        if known.get("repository") == settings.repository:
            raise restic.ResticError(
                f"the repository that was at {settings.repository} is not there any more: mount it or bring it back."
                f" (To begin a new one, remove {known_file}.) It says: {error}"
            ) from error
        restic.run(settings, "init")
        found = json.loads(restic.run(settings, "cat", "config", "--no-lock", seconds=restic.OPEN_SECONDS))
    state.write(known_file, json.dumps({"repository": settings.repository, "id": found["id"]}) + "\n")


def stage(settings: Settings) -> None:
    """Prepare what a snapshot has beside the files: a copy of the database, and what the host is.

    Raises:
        DatabaseError: The database cannot be copied.
    """
    settings.staged.mkdir(mode=0o700, exist_ok=True)
    # Never that of an earlier run.
    settings.staged_database.unlink(missing_ok=True)
    state.write(settings.staged_manifest, json.dumps(manifest(), indent=2) + "\n", 0o600)
    database.copy(Path(settings.database), settings.staged_database)


def manifest() -> dict[str, Any]:
    """What the host is: versions, and the numbers of users and groups, which another host may have given to others."""
    return {
        "host": socket.gethostname(),
        "time": state.now(),
        "versions": versions(),
        "users": _numbers(USERS),
        "groups": _group_numbers(GROUPS),
    }


def versions() -> dict[str, str]:
    """Versions of Berth and of JupyterHub on this host; empty where there are none."""
    folders = [str(path) for path in Path(HUB_SITE_PACKAGES).glob("python3*/site-packages")]
    hub = next((one.version for one in importlib.metadata.distributions(name="jupyterhub", path=folders)), "")
    source = Path("/opt/berth/lib/berth_hub/__init__.py")
    lines = source.read_text(encoding="utf-8").splitlines() if source.exists() else []
    berth = next((line.split('"')[1] for line in lines if line.startswith("__version__")), "")
    return {"berth": berth, "jupyterhub": hub}


def _numbers(names: tuple[str, ...]) -> dict[str, int]:
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return {name: known[name] for name in names if name in known}


def _group_numbers(names: tuple[str, ...]) -> dict[str, int]:
    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    return {name: known[name] for name in names if name in known}


def _excludes(settings: Settings) -> Path:
    """A file of patterns: the live database, whose copy is in the snapshot, and what the site leaves out."""
    live = [f"{settings.database}{suffix}" for suffix in ("", "-journal", "-wal", "-shm")]
    path = Path(settings.state, "exclude")
    own = [
        str(Path(settings.state, name)) for name in (f"{LOCK}*", "exclude", state.PROGRESS, state.RESULTS, REPOSITORY)
    ]
    # How far restores have got, and what is being written right now: it comes and goes while restic reads.
    own += [str(Path(settings.state, name)) for name in (f"{state.RESTORING}*", ".*.new")]
    # What restores have put aside, homes on their way to or from another hub or another file system, what is left of
    # those that were deleted, and snapshots.
    names = (".restore", ".moving", ".becoming", ".deleted")
    aside = [f"{folder}/{name}-*" for folder in settings.paths for name in names]
    aside.append(f"{settings.homes}/.snapshots")
    state.write(path, "".join(f"{line}\n" for line in (*live, *own, *aside, *settings.exclude)))
    return path


class _Watch:
    """Takes what restic tells of a backup."""

    def __init__(self, settings: Settings) -> None:
        self.summary: dict[str, Any] = {}
        self.errors: list[str] = []
        self.vanished = 0
        self._settings = settings
        self._told = time.monotonic()

    def take(self, message: dict[str, Any]) -> None:
        kind = message.get("message_type")
        if kind == "summary":
            self.summary = message
        elif kind == "error":
            self._take_error(message)
        elif kind == "status":
            text = progress(message)
            state.show(self._settings, text)
            if time.monotonic() - self._told > JOURNAL_SECONDS:
                self._told = time.monotonic()
                print(text, flush=True)

    def _take_error(self, message: dict[str, Any]) -> None:
        error = message.get("error") or {}
        text = str(error.get("message") or os.strerror(error.get("Err") or 5))
        # People work meanwhile: a file that they have removed since it was listed is no failure.
        if error.get("Err") == ENOENT or "no such file or directory" in text:
            self.vanished += 1
            return
        self.errors.append(f"{message.get('item', '')}: {text}")


def progress(message: dict[str, Any], done: str = "done") -> str:
    """How far a run has got, from one of restic's status messages.

    Args:
        message: Restic's.
        done: What it calls files and bytes that are done: `done` while it backs up, `restored` while it restores.
    """
    percent = int(100 * message.get("percent_done", 0))
    files = f"{message.get(f'files_{done}', 0)} of {message.get('total_files', 0)} files"
    megabytes = f"{message.get(f'bytes_{done}', 0) / 1e6:.0f} of {message.get('total_bytes', 0) / 1e6:.0f} MB"
    return f"{percent} %: {files}, {megabytes}"


def _sentence(result: dict[str, Any]) -> str:
    if "snapshot" not in result:
        return f"backup failed: {result.get('message', '')}"
    what = f"snapshot {result['snapshot']}: {result['files']} files, {result['bytes'] / 1e6:.0f} MB"
    return f"{what}, {result['added_bytes'] / 1e6:.1f} MB of them new, {result['seconds']} s, {result['result']}" + (
        "".join(f": {result[name]}" for name in ("message", "note") if result.get(name))
    )
