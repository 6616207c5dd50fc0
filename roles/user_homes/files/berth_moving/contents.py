"""What a home's archive may hold: looked at before it is unpacked, which is done without rights in any case."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

ENTRY_BYTES = 4096
"""What a file takes beside its content, at most: a block of the file system."""

SPECIAL_BITS = 0o7000


class MovingError(Exception):
    """Something that must not or cannot be moved; the message says what to do."""


@dataclass(frozen=True)
class Contents:
    """What a home's archive holds.

    Attributes:
        entries: Files, folders and links.
        files: Regular files; further names of the same file are not counted.
        bytes: Content of all files, without holes.
        special_bits: Entries with setuid, setgid or sticky bits, which are dropped.
    """

    entries: int = 0
    files: int = 0
    bytes: int = 0
    special_bits: int = 0

    def space(self) -> int:
        """Bytes that it takes on a disk, at most."""
        return self.bytes + ENTRY_BYTES * self.entries


def scan(stream: IO[bytes]) -> Contents:
    """Look at everything in a home's archive, as it comes.

    Raises:
        MovingError: It is damaged, or holds what must not be unpacked: paths that lead out of it, devices.
    """
    entries = files = size = special = 0
    links: set[str] = set()
    try:
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=2, errors="surrogateescape") as archive:
            while (member := archive.next()) is not None:
                # Which would otherwise be kept, all of them.
                archive.members.clear()  # type: ignore[attr-defined] # (not in its stubs)
                _check(member, links)
                entries += 1
                special += bool(member.mode & SPECIAL_BITS)
                if member.isreg():
                    files += 1
                    size += _stored(member)
    except (tarfile.TarError, ValueError, EOFError, OSError) as error:
        raise MovingError(f"the home's archive is damaged: {error}") from None
    return Contents(entries, files, size, special)


def _stored(member: tarfile.TarInfo) -> int:
    sparse = getattr(member, "sparse", None)
    return member.size if sparse is None else sum(length for _, length in sparse)


def _check(member: tarfile.TarInfo, links: set[str]) -> None:
    name = _shown(member.name)
    _check_path(member.name, name, links)
    if member.islnk():
        _check_path(member.linkname, f"{name}, a hard link to {_shown(member.linkname)}", links)
    elif member.issym():
        links.add(str(PurePosixPath(member.name)))
    elif not (member.isreg() or member.isdir() or member.isfifo()):
        raise MovingError(f"the home's archive holds {name}, which is a device or of a kind that no home has")


def _check_path(path: str, shown: str, links: set[str]) -> None:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise MovingError(f"the home's archive holds {shown}, which would lead out of the home")
    if links and any(str(parent) in links for parent in parts.parents):
        raise MovingError(f"the home's archive holds {shown}, which goes through a link")


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
