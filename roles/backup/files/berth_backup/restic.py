"""Runs restic, and says what its failures mean for whoever has to mend them.

Debian 12 has restic 0.14, whose exit code is 1 for nearly everything; Debian 13 has 0.18, which tells a missing
repository (10), a locked one (11) and a wrong password (12) apart. Hence both code and text are looked at.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from berth_backup.settings import ENVIRONMENT, PASSWORD, SSH_KEY, SSH_KNOWN_HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from berth_backup.settings import Settings

TAG = "berth"
"""Of every snapshot that Berth makes."""

NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 10, 11, 12
"""Exit codes, from restic 0.17 on."""

TELLS_RESTORE_SINCE = (0, 16)
"""Restic that says how far a restore has got."""

INCOMPLETE = 3
"""Exit code of a backup that could not read everything."""

PROGRESS_PER_SECOND = "1"

SILENT_SECONDS = 1
"""Between two looks at a restic that says nothing of its progress itself."""

TAIL_LINES = 5

OPEN_SECONDS = 60
"""Longest that opening a repository may take. By itself restic tries for 15 minutes to reach a server."""

_SFTP = re.compile(r"sftp:(?://)?(?P<host>[^:/]+)(?::(?P<port>\d+)(?=/))?[:/]")
"""sftp:USER@HOST:FOLDER, or sftp://USER@HOST:PORT/FOLDER."""

_IS_LOCKED = re.compile(r"^(Fatal: )?unable to create lock in backend: repository is already locked", re.MULTILINE)
"""What restic says that does not tell it by its exit code; not what a file's name may say."""

_OTHER_KEY = re.compile(r"HOST IDENTIFICATION HAS CHANGED.*?(?P<fingerprint>SHA256:[\w+/]+)", re.DOTALL)
"""Of ssh's warning, which is longer than what is kept of other messages."""


class ResticError(Exception):
    """Restic failed; the message says what that means.

    Attributes:
        missing: Whether there is no repository.
        locked: Whether another run of restic, on whatever host, has locked it.
    """

    def __init__(self, message: str, *, missing: bool = False, locked: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        self.locked = locked


def command(settings: Settings, *arguments: str) -> list[str]:
    """A call of restic with everything that leads to the repository."""
    made = ["restic", "--repo", settings.repository, "--password-file", str(settings.secret(PASSWORD))]
    made += ["--cache-dir", settings.cache] if Path(settings.cache).is_dir() else ["--no-cache"]
    made += way(settings)
    if settings.upload_kib:
        made += ["--limit-upload", str(settings.upload_kib)]
    return [*made, *arguments]


def way(settings: Settings) -> list[str]:
    """Options that lead to a repository that a server of SFTP has, be it copied from or to; none for the others."""
    found = _SFTP.match(settings.repository)
    return ["--option", f"sftp.command={shlex.join(ssh(settings, found['host'], found['port']))}"] if found else []


def ssh(settings: Settings, host: str, port: str | None) -> list[str]:
    """How restic reaches an SFTP server: with the key and the server's key that the site has given, asking nobody."""
    options = ["BatchMode=yes", "ConnectTimeout=30", "ServerAliveInterval=30", "IdentitiesOnly=yes"]
    options += ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={settings.secret(SSH_KNOWN_HOSTS)}"]
    made = ["ssh", "-i", str(settings.secret(SSH_KEY))]
    for option in options:
        made += ["-o", option]
    return [*made, *(["-p", port] if port else []), host, "-s", "sftp"]


def environment(settings: Settings) -> dict[str, str]:
    """Variables of the site's (credentials of a repository) on top of this process's own."""
    path = settings.secret(ENVIRONMENT)
    own = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {**os.environ, "RESTIC_PROGRESS_FPS": PROGRESS_PER_SECOND, **own}


def run(settings: Settings, *arguments: str, seconds: float | None = None) -> str:
    """Run it to its end, and return what it prints.

    Args:
        settings: Where the repository is.
        arguments: For restic.
        seconds: The longest that it may take; None: as long as it takes.

    Raises:
        ResticError: It failed.
    """
    try:
        done = subprocess.run(
            command(settings, *arguments),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=environment(settings),
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode(errors="replace")
        raise ResticError(f"{settings.repository} did not answer within {seconds:.0f} s. {said.strip()}") from error
    if done.returncode:
        raise explained(settings, done.returncode, done.stderr or done.stdout)
    return done.stdout


def dump(settings: Settings, snapshot: str, path: Path, target: Path) -> None:
    """Write one file of a snapshot elsewhere; an empty one if the snapshot lacks it.

    Raises:
        ResticError: It failed.
    """
    with target.open("wb") as file:
        call = command(settings, "dump", "--no-lock", snapshot, str(path))
        done = subprocess.run(call, stdout=file, stderr=subprocess.PIPE, check=False, env=environment(settings))
    said = done.stderr.decode(errors="replace")
    if done.returncode and "not found" not in said:
        raise explained(settings, done.returncode, said)


def stream(settings: Settings, arguments: Sequence[str], take: Callable[[dict[str, Any]], None]) -> int:
    """Run it, and hand over each line of JSON that it prints, on either stream, as it comes.

    Restic before 0.16 says nothing while it restores; then what it has written so far is handed over as a message of
    its own: `{"message_type": "status", "written": BYTES}`.

    Returns:
        0, or :data:`INCOMPLETE`.

    Raises:
        ResticError: It failed. It is ended if `take` raises something.
    """
    other: list[str] = []
    with (
        subprocess.Popen(
            command(settings, "--json", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(settings),
        ) as process,
        _watched(process, take, wanted=arguments[0] == "restore" and version(settings) < TELLS_RESTORE_SINCE),
    ):
        try:
            for line in process.stdout or ():
                message = _json(line)
                if message is None:
                    other.append(line)
                else:
                    take(message)
                    other += [f"{text}\n" for text in _complaint(message)]
        except BaseException:
            process.kill()
            raise
    if process.returncode not in (0, INCOMPLETE):
        raise explained(settings, process.returncode, "".join(other))
    return process.returncode


def _complaint(message: dict[str, Any]) -> list[str]:
    """What a message says that went wrong, if it is one of those."""
    if message.get("message_type") == "exit_error":
        return [message.get("message", "")]
    if message.get("message_type") == "error":
        return [f"{message.get('item', '')}: {(message.get('error') or {}).get('message', '')}"]
    return []


@contextmanager
def _watched(process: subprocess.Popen[str], take: Callable[[dict[str, Any]], None], *, wanted: bool) -> Iterator[None]:
    """Hand over, meanwhile, what a process has written so far; it is ended if `take` raises something, which is raised.

    How much is in its files says nothing: they have their full size from the beginning.
    """
    if not wanted:
        yield
        return
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SILENT_SECONDS):
            try:
                take({"message_type": "status", "written": written(process.pid)})
            except BaseException:
                process.kill()
                raise

    with ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(look)
        try:
            yield
        finally:
            ended.set()
        watcher.result()


def written(process: int) -> int:
    """Bytes that a process has written so far; 0 once it has ended."""
    try:
        counted = Path(f"/proc/{process}/io").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(dict(line.split(": ") for line in counted.splitlines())["wchar"])


def version(settings: Settings) -> tuple[int, ...]:
    """Restic's, such as (0, 18)."""
    return tuple(int(found) for found in re.findall(r"\d+", run(settings, "version"))[:2])


def _json(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def explained(settings: Settings, code: int, said: str) -> ResticError:
    """What a failure means, and what to do about it."""
    text = _tail(said) or f"restic ended with exit code {code}"
    where = settings.repository
    if code == WRONG_PASSWORD or "wrong password" in said:
        return ResticError(
            f"{where} was made with another key than the one in {settings.secret(PASSWORD)}: set backup_password to"
            " the one that it was made with (docs/restore.md), or backup_repository to a place that is empty"
        )
    if code == NO_REPOSITORY or "Is there a repository at the following location" in said:
        return ResticError(f"there is no repository at {where}, or nothing answers there: {text}", missing=True)
    if code == LOCKED or _IS_LOCKED.search(said):
        return ResticError(
            f"{where} is in use by another run of restic: wait for it. If there is none (a host that was lost in the"
            f" middle), `restic unlock` frees it. It says: {text}",
            locked=True,
        )
    if "no space left on device" in said.lower():
        return ResticError(f"the disk of {where} is full: {text}")
    if "unable to start the sftp session" in said:
        return ResticError(f"{where} is not reached: {_ssh_says(settings) or text}")
    return ResticError(f"{where}: {text}")


def _ssh_says(settings: Settings) -> str:
    """Why a server of SFTP lets nobody in. Restic hands on what ssh says, but often ends before it has arrived."""
    found = _SFTP.match(settings.repository)
    if not found:
        return ""
    call = ssh(settings, found["host"], found["port"])
    try:
        done = subprocess.run(
            call, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=OPEN_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {OPEN_SECONDS} s"
    other = _OTHER_KEY.search(done.stderr)
    if other:
        return (
            f"{found['host'].split('@')[-1]} has another key ({other['fingerprint']}) than backup_ssh_known_hosts says:"
            " if it was made anew, set that to its new line; if not, somebody else may be answering"
        )
    return _tail(done.stderr)


def _tail(said: str) -> str:
    """The last that a program says, in one line."""
    return "; ".join([line.strip() for line in said.splitlines() if line.strip()][-TAIL_LINES:])


def snapshots(settings: Settings) -> list[dict[str, Any]]:
    """Those of this host, the oldest first."""
    asked = ["snapshots", "--json", "--no-lock", "--host", settings.host, "--tag", TAG]
    found = json.loads(run(settings, *asked, seconds=OPEN_SECONDS)) or []
    return sorted(found, key=lambda one: str(one["time"]))
