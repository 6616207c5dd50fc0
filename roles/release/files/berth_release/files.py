"""The files that make a release on a host: which they are, kept in an archive, and put back from one."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TREES = ("etc/berth", "opt/berth")
"""All that is in these, but for what LEFT_OUT names."""

PATTERNS = (
    "etc/docker/daemon.json",
    "etc/systemd/system/berth-*",
    "etc/systemd/system/*.d/berth.conf",
    # Whether a unit is started with the host.
    "etc/systemd/system/*.wants/berth-*",
    "etc/systemd/system/*.requires/berth-*",
    "srv/berth/shared/settings.json",
    # Root's own, and not the hub's, which goes on with its routes.
    "var/lib/berth/routes/berth.yaml",
    "var/lib/berth/routes/site-*",
)

LAID = "opt/berth/laid"
"""The archives that roles have laid over the host tell of what is elsewhere (roles/base)."""

LEFT_OUT = re.compile(
    r"opt/berth/venvs/"  # kept where they are, and referred to
    r"|opt/berth/lib/berth_release/|opt/berth/laid/release\."  # this program
    r"|usr/local/share/ca-certificates/"  # other programs of the host may rely on them
    r"|etc/berth/\.restore-"  # what restores have put aside
    r"|.*/__pycache__/"
)

OF_THE_HOST = ("etc/berth/secrets/", "etc/berth/tls/")
"""Made once on a host and not by a release: what came later is never taken away, such as the key of the backups."""

BLOCK_BYTES = 2**20


def members(root: Path) -> list[str]:
    """Files and links of the present release, relative to the root, in order."""
    found: set[str] = set()
    for tree in TREES:
        for place, folders, names in os.walk(root / tree):
            # A link to a folder stands among the folders.
            inside = os.path.relpath(place, root)
            found.update(f"{inside}/{name}" for name in [*names, *folders])
            folders[:] = [name for name in folders if not LEFT_OUT.match(f"{inside}/{name}/")]
    for pattern in PATTERNS:
        found.update(os.path.relpath(path, root) for path in root.glob(pattern))
    for archive in (root / LAID).glob("*.tar"):
        with tarfile.open(archive) as opened:
            found.update(os.path.normpath(name) for name in opened.getnames())
    return sorted(name for name in found if not LEFT_OUT.match(name) and _is_content(root / name))


def _is_content(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def keep(root: Path, archive: Path) -> None:
    """Keep the present release's files in an archive."""
    with tarfile.open(archive, "x", format=tarfile.PAX_FORMAT) as opened:
        for name in members(root):
            # Hub and operators go on working: a file may have gone meanwhile.
            with contextlib.suppress(FileNotFoundError):
                _add(opened, root / name, name)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    member = archive.gettarinfo(path, arcname=name)
    if not member.isreg() and not member.islnk():
        archive.addfile(member)
        return
    with path.open("rb") as file:
        # A second name of one file is a file of its own here.
        member.type, member.linkname = tarfile.REGTYPE, ""
        member.size = os.fstat(file.fileno()).st_size
        archive.addfile(member, file)


def names_in(archive: Path) -> set[str]:
    """What an archive holds."""
    with tarfile.open(archive) as opened:
        return set(opened.getnames())


def put(root: Path, archive: Path, *, of_the_host: bool) -> set[str]:
    """Make the files of an archive the present ones; those that are the same already are not touched.

    Args:
        root: The host's root.
        archive: What :func:`keep` has made.
        of_the_host: Whether secrets and certificates go back too; if not, only those come that are missing.

    Returns:
        The names of what was written or removed.
    """
    changed: set[str] = set()
    # Before anything is written: the lists of what was laid go back, too.
    there = set(members(root))
    with tarfile.open(archive) as opened:
        kept = opened.getmembers()
        for member in kept:
            path = root / member.name
            if not of_the_host and member.name.startswith(OF_THE_HOST) and path.exists():
                continue
            if not _is_same(path, member, opened):
                _write(path, member, opened)
                changed.add(member.name)
    for name in there - {member.name for member in kept}:
        if not name.startswith(OF_THE_HOST):
            (root / name).unlink()
            changed.add(name)
    return changed


def _is_same(path: Path, member: tarfile.TarInfo, archive: tarfile.TarFile) -> bool:
    try:
        there = path.lstat()
    except OSError:
        return False
    if member.issym():
        return stat.S_ISLNK(there.st_mode) and str(path.readlink()) == member.linkname
    if not stat.S_ISREG(there.st_mode):
        return False
    facts = (there.st_size, stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid)
    if facts != (member.size, member.mode, member.uid, member.gid):
        return False
    with path.open("rb") as file:
        return all(block == file.read(len(block)) for block in _blocks(member, archive))


def _blocks(member: tarfile.TarInfo, archive: tarfile.TarFile) -> Iterator[bytes]:
    stream = archive.extractfile(member)
    while stream and (block := stream.read(BLOCK_BYTES)):
        yield block


def _write(path: Path, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    """Replace a file in one moment: services that run read the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.back")
    new.unlink(missing_ok=True)
    if member.issym():
        new.symlink_to(member.linkname)
    else:
        new.touch(mode=0o600, exist_ok=False)
        with new.open("wb") as file:
            for block in _blocks(member, archive):
                file.write(block)
        # Python trusts byte code by the time of its source.
        os.utime(new, (member.mtime, member.mtime))
        new.chmod(member.mode)
    os.chown(new, member.uid, member.gid, follow_symlinks=False)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    new.replace(path)
