"""One user's home and account as one file: a plain tar that holds the home's own archive, the account and a manifest.

The home's archive comes first and is written as it is made, so that neither memory nor disk holds a second copy of it;
what is only known after that, its size and its SHA-256, stands in the manifest at the end.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from berth_names import check_name

from berth_moving.contents import Contents, MovingError, scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
"""Raised when an older Berth could not read what is written."""

HOME, HOME_COMPRESSED = "home.tar", "home.tar.zst"
ACCOUNT, MANIFEST = "account.json", "manifest.json"
CHUNK_BYTES = 2**20
JSON_BYTES_MAX = 2**20
"""An account with a thousand groups takes a tenth."""

LEFT_OUT = "./.local/share/jupyter/runtime"
"""Keys and tokens of Jupyter's that are made anew when a server starts; they must not travel."""

TAR_CREATE = [
    *("tar", "--create", "--format=posix", "--sparse", "--xattrs", "--xattrs-include=user.*"),
    # Whoever unpacks it is the owner; access times would differ each time.
    *("--pax-option=delete=atime,delete=ctime", "--owner=0", "--group=0", "--numeric-owner"),
    *("--anchored", "--no-wildcards", f"--exclude={LEFT_OUT}"),
]
LOCALE = {"LC_ALL": "C.UTF-8"}
_CHANGED = ("file changed as we read it", "File removed before we read it", "padding with zeros")
_LINES_TOLD = 3


@dataclass(frozen=True)
class Part:
    """Where something is in an archive, and what it must be."""

    name: str
    offset: int
    size: int
    sha256: str


def pack(home: Path, target: Path, account: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """Write the archive of one user; returns its manifest.

    Args:
        home: Directory of the home.
        target: New file, readable by its owner only.
        account: What is known of the account.
        about: What else the manifest tells: user, host, version.

    Raises:
        MovingError: The home cannot be read, or holds what no hub takes.
    """
    name = HOME_COMPRESSED if shutil.which("zstd") else HOME
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(bytes(tarfile.BLOCKSIZE))
        digest, size, changed = _write_home(home, file, compressed=name == HOME_COMPRESSED)
        file.write(bytes(-size % tarfile.BLOCKSIZE))
        end = file.tell()
        file.seek(0)
        file.write(_header(name, size))
        file.flush()
        # Not as the disk has it meanwhile: as it was written.
        contents = look_through(target, Part(name, tarfile.BLOCKSIZE, size, digest))
        file.seek(end)
        text = _json(account)
        _append(file, ACCOUNT, text)
        manifest = {
            "format": FORMAT,
            **about,
            "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            **asdict(contents),
            "changed_meanwhile": changed,
            "home": {"name": name, "size": size, "sha256": digest},
            "account": {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()},
        }
        _append(file, MANIFEST, _json(manifest))
        file.write(bytes(2 * tarfile.BLOCKSIZE))
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _write_home(home: Path, file: IO[bytes], *, compressed: bool) -> tuple[str, int, int]:
    """Write the home's archive; returns its SHA-256, its size, and how many files changed while they were read."""
    digest, size = hashlib.sha256(), 0
    command = [*TAR_CREATE, *(["--zstd"] if compressed else []), f"--directory={home}", "--file=-", "."]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env={**os.environ, **LOCALE}) as process,
    ):
        output = cast("IO[bytes]", process.stdout)
        while chunk := output.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
        changed = read_completely(process.wait(), said, home)
    return digest.hexdigest(), size, changed


def read_completely(code: int, said: IO[bytes], home: Path) -> int:
    """How many files changed while tar read a home.

    Raises:
        MovingError: Something could not be read.
    """
    said.seek(0)
    lines = said.read().decode(errors="backslashreplace").splitlines()
    changed = sum(line.endswith(_CHANGED) for line in lines)
    # 1 says that files changed, and nothing worse.
    if code not in ((0, 1) if changed else (0,)):
        raise MovingError(f"{home} cannot be read: {'; '.join(lines[-_LINES_TOLD:])}")
    return changed


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    member.mtime = int(dt.datetime.now(dt.UTC).timestamp())
    # One block whatever the size, so that it can be written last.
    return member.tobuf(tarfile.GNU_FORMAT)


def _append(file: IO[bytes], name: str, content: bytes) -> None:
    file.write(_header(name, len(content)) + content + bytes(-len(content) % tarfile.BLOCKSIZE))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def inspect(path: Path) -> tuple[dict[str, Any], dict[str, Any], Part]:
    """Read and check what an archive says of itself; returns manifest, account, and where the home's archive is.

    Raises:
        MovingError: It is no archive of Berth's, of a newer Berth, or damaged.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = {member.name: member for member in archive}
            manifest = _read_json(archive, members, MANIFEST)
            account = _read_json(archive, members, ACCOUNT)
    except OSError as error:
        raise MovingError(f"{path} cannot be read: {error.strerror}") from None
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise MovingError(f"{path} is no archive that `berth export` has made, or not all of it: {error}") from None
    if manifest[0].get("format") != FORMAT:
        raise MovingError(
            f"{path} has format {manifest[0].get('format')!r}, and this Berth reads format {FORMAT}: use the Berth"
            " that has made it, or a newer one"
        )
    try:
        _check(manifest[0])
        home = manifest[0]["home"]
        member = members[home["name"]]
        part = Part(home["name"], member.offset_data, int(home["size"]), str(home["sha256"]))
        known = manifest[0]["account"]["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise MovingError(f"{path}: the manifest is not as `berth export` writes it: {error!r}") from None
    if len(members) != 3 or member.size != part.size or hashlib.sha256(account[1]).hexdigest() != known:
        raise MovingError(f"{path} is damaged or was changed: it is not what its manifest says")
    return manifest[0], account[0], part


def _check(manifest: dict[str, Any]) -> None:
    for key in ("user", "host", "date"):
        if not isinstance(manifest[key], str):
            raise TypeError(key)
    for key in ("entries", "files", "bytes", "special_bits"):
        if type(manifest[key]) is not int or manifest[key] < 0:
            raise TypeError(key)
    check_name(manifest["user"])
    if manifest["home"]["name"] not in (HOME, HOME_COMPRESSED):
        raise ValueError("home")


def _read_json(
    archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str
) -> tuple[dict[str, Any], bytes]:
    member = members.get(name)
    if member is None or not member.isreg() or member.size > JSON_BYTES_MAX:
        raise ValueError(f"it has no {name}")
    content = cast("IO[bytes]", archive.extractfile(member)).read()
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f"its {name} is no object")  # noqa: TRY004 (handled like what is not JSON)
    return found, content


def verify(path: Path, part: Part) -> None:
    """Check the home's archive by its SHA-256.

    Raises:
        MovingError: It is another one.
    """
    with path.open("rb") as file:
        reader = Reader(file, part)
        while reader.read(CHUNK_BYTES):
            pass
    reader.check(path)


def look_through(path: Path, part: Part) -> Contents:
    """Count what the home's archive holds; refuse what must not be unpacked, and what is not as its SHA-256 says.

    Raises:
        MovingError: Says what.
    """
    with path.open("rb") as file:
        reader = Reader(file, part)
        with _plain(reader, part.name) as stream:
            contents = scan(stream)
            # To its end: what follows a tar's own end must not be fed to who unpacks it.
            while stream.read(CHUNK_BYTES):
                pass
        reader.check(path)
    return contents


class Reader:
    """Reads one part of an archive, and takes its SHA-256 on the way."""

    def __init__(self, file: IO[bytes], part: Part) -> None:
        file.seek(part.offset)
        self._file = file
        self._left = part.size
        self._digest = hashlib.sha256()
        self._wanted = part.sha256

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """Up to so many bytes; none at the part's end."""
        chunk = self._file.read(min(size, self._left))
        self._left -= len(chunk)
        self._digest.update(chunk)
        return chunk

    def check(self, path: Path) -> None:
        """Compare, once all was read.

        Raises:
            MovingError: The part is shorter, or another one.
        """
        if self._left or self._digest.hexdigest() != self._wanted:
            raise MovingError(
                f"{path} is damaged: the home's archive in it has not the SHA-256 that the manifest says. Copy it once"
                " more from where it was made"
            )

    def feed(self, target: IO[bytes]) -> None:
        """Write all of it to a program, unless that ends earlier."""
        with contextlib.suppress(BrokenPipeError), target:
            while chunk := self.read():
                target.write(chunk)


@contextlib.contextmanager
def _plain(reader: Reader, name: str) -> Iterator[IO[bytes]]:
    """The home's archive, decompressed."""
    if name == HOME:
        yield cast("IO[bytes]", reader)
        return
    command = ["zstd", "--decompress", "--stdout", "--quiet"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise MovingError("there is no zstd here, which the archive is packed with: install the package zstd") from None
    with process:
        feeder = threading.Thread(target=reader.feed, args=[process.stdin])
        feeder.start()
        try:
            yield cast("IO[bytes]", process.stdout)
        finally:
            cast("IO[bytes]", process.stdout).close()
            feeder.join()
            # The pipe is closed already.
            process.stdin = None
