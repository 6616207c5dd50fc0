"""What playbooks call: `python3 -m berth_moving COMMAND`. Answers are JSON.

On the host, as root:
look NAME...             where each home is, and whether there is one
export NAME UID:GID      packs a home, and the account that is on standard input, for that user to fetch
begin NAME BYTES UID:GID makes a folder that this user brings an archive into
unpack NAME UID:GID      looks at the archive that was brought, and unpacks its home for that user
put NAME FOLDER          puts the home in its place: as the home if there is none, or else as that folder within it
take NAME FOLDER         takes out of its place what was put there last, since what comes after it failed
end in|out NAME          removes what an import or export has put aside
people KIND FROM DATA    who there is in another kind of hub, whose configuration is on standard input
hashes KIND FROM DATA    what that keeps of passwords
adopt KIND:FROM UID:GID  brings a home from there, of which name, home, place and folder are on standard input
noted KIND:FROM NAME...  notes that accounts are made for these people of it
On the controller, too:
inspect FILE             checks a whole archive, and prints its manifest
keep FILE TARGET         the same, and then gives it its name, which nothing has yet
account FILE             prints the account that is in an archive
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import berth_projects
import berth_volumes
from berth_names import directory_name

from berth_moving import accounts, adopting, archive, placing
from berth_moving.contents import MovingError

if TYPE_CHECKING:
    from collections.abc import Callable

FILE, HOME = "archive", "home"


def look(*names: str) -> dict[str, Any]:
    """Where homes are; names that can be nobody's are refused."""
    homes = {name: placing.HOMES / directory_name(name) for name in names}
    return {name: {"folder": home.name, "there": home.is_dir()} for name, home in homes.items()}


def export(name: str, owner: str) -> dict[str, Any]:
    """Pack a home for who connects to this host, who can read nothing else of it."""
    account = json.load(sys.stdin)
    home = placing.HOMES / directory_name(name)
    if not home.is_dir() or home.is_symlink():
        raise MovingError(f"there is no home of {name!r}")
    account["password_hash"] = accounts.password_hash(accounts.DATABASE, name) if account["known"] else None
    _, size = placing.measure(home)
    place = placing.begin(placing.HOMES, "out", name, size)
    try:
        about = {"user": name, "host": socket.gethostname(), "admin": bool(account["admin"])}
        manifest = archive.pack(home, place / FILE, account, about)
        _give([place / FILE, place], owner)
    except BaseException:
        berth_volumes.remove(place)
        raise
    return {"path": str(place / FILE), "manifest": manifest}


def begin(name: str, needed: str, owner: str) -> dict[str, Any]:
    """Make a folder for an archive that is brought."""
    place = placing.begin(placing.HOMES, "in", name, int(needed))
    _give([place], owner)
    return {"folder": str(place), "path": str(place / FILE)}


def unpack(name: str, owner: str) -> dict[str, Any]:
    """Unpack what was brought."""
    place = placing.aside(placing.HOMES, "in", name)
    # From here on nobody else can change what is looked at.
    _give([place], "0:0")
    _, _, part = archive.inspect(place / FILE)
    contents = archive.look_through(place / FILE, part)
    # The manifest, which space was asked for by until here, says what whoever made the archive wants it to.
    placing.require_space(placing.HOMES, contents.space())
    target = place / HOME
    berth_volumes.make(target, 0o700, berth_volumes.settings())
    _give([target], owner)
    placing.unpack(place / FILE, part, target, placing.as_nobody_else(target, *_numbers(owner)))
    return {"special_bits": contents.special_bits}


def put(name: str, folder: str) -> dict[str, Any]:
    """Put what was unpacked in its place."""
    return {"folder": placing.put(placing.aside(placing.HOMES, "in", name) / HOME, placing.HOMES, name, folder)}


def take(name: str, folder: str) -> dict[str, Any]:
    """Take it out of its place."""
    home = placing.HOMES / directory_name(name)
    if folder and berth_volumes.settings().subvolumes:
        # It is a copy, and no folder leaves a subvolume by a rename.
        with berth_projects.opened(home) as inside:
            berth_volumes.remove(folder, inside)
    else:
        (home / folder).rename(placing.aside(placing.HOMES, "in", name) / HOME)
    return {}


def end(direction: str, name: str) -> dict[str, Any]:
    """Remove what was put aside."""
    with contextlib.suppress(OSError):
        berth_volumes.remove(placing.aside(placing.HOMES, direction, name))
    return {}


def people(kind: str, source: str, data: str) -> dict[str, Any]:
    """Who would come, and what is here already of theirs or of others of that name."""
    found = adopting.KINDS[kind](source, json.load(sys.stdin), data)
    told: list[dict[str, Any]] = []
    for one in found.people:
        try:
            home = placing.HOMES / directory_name(one.name)
        except ValueError as error:
            told.append({"name": one.name, "problem": str(error)})
            continue
        files, size = placing.measure(one.home) if one.home else (0, 0)
        told.append(
            {
                "name": one.name,
                "admin": one.admin,
                "groups": one.groups,
                "home": str(one.home) if one.home else "",
                "place": one.place,
                "files": files,
                "bytes": size,
                "home_there": home.is_dir(),
            }
        )
    return {
        "people": told,
        "strays": found.strays,
        "noted": adopting.noted(f"{kind}:{source}"),
        "free": shutil.disk_usage(placing.HOMES).free - placing.SPARE_BYTES,
        "needs": found.needs,
    }


def hashes(kind: str, source: str, data: str) -> dict[str, Any]:
    """What another hub keeps of passwords."""
    return dict(adopting.KINDS[kind](source, json.load(sys.stdin), data).hashes())


def adopt(source: str, owner: str) -> dict[str, Any]:
    """Bring one home from a folder of this host, which is only read: as the home, or into it as a folder."""
    told = json.load(sys.stdin)
    name, origin, folder = told["name"], Path(told["home"]), told["folder"]
    if not folder and (placing.HOMES / directory_name(name)).exists():
        raise MovingError(f"{name!r} has a home already")
    _, size = placing.measure(origin)
    waiting = placing.begin(placing.HOMES, "in", name, size)
    try:
        made = [waiting / HOME, *([waiting / HOME / told["place"]] if told["place"] else [])]
        berth_volumes.make(made[0], 0o700, berth_volumes.settings())
        for path in made[1:]:
            path.mkdir(mode=0o700)
        _give(made, owner)
        changed = placing.copy(origin, made[-1], placing.as_nobody_else(made[-1], *_numbers(owner)))
        put = placing.put(made[0], placing.HOMES, name, folder)
        # Not before: what was noted and then failed would never be brought, if there is a home. What was put and not
        # noted, since the host went down in between, is told as a clash, and at most brought twice.
        adopting.note(source, "homes", [name])
        return {"folder": put, "changed_meanwhile": changed}
    finally:
        berth_volumes.remove(waiting)


def noted(source: str, *names: str) -> dict[str, Any]:
    """Note whose accounts are made."""
    adopting.note(source, "accounts", names)
    return {}


def inspect(file: str) -> dict[str, Any]:
    """Check a whole archive."""
    manifest, _, part = archive.inspect(Path(file))
    archive.verify(Path(file), part)
    return {**manifest, "archive_bytes": Path(file).stat().st_size}


def keep(file: str, target: str) -> dict[str, Any]:
    """Give an archive its name, once all of it is there and well.

    Raises:
        FileExistsError: Something has that name.
    """
    found = inspect(file)
    # FAT has no modes.
    with contextlib.suppress(PermissionError):
        Path(file).chmod(0o600)
    try:
        # Unlike a rename, a link replaces nothing.
        Path(target).hardlink_to(file)
    except FileExistsError:
        raise
    except OSError:
        # FAT, as sticks have it, and many network folders have no links: there an empty file takes the name first.
        Path(target).touch(0o600, exist_ok=False)
        try:
            Path(file).replace(target)
        except OSError:
            if Path(target).stat().st_size == 0:
                Path(target).unlink()
            raise
    else:
        Path(file).unlink()
    return {**found, "file": target}


def account(file: str) -> dict[str, Any]:
    """What an archive tells of the account."""
    return archive.inspect(Path(file))[1]


def _numbers(owner: str) -> tuple[int, int]:
    uid, gid = owner.split(":")
    return int(uid), int(gid)


def _give(paths: list[Path], owner: str) -> None:
    for path in paths:
        shutil.chown(path, *_numbers(owner))


COMMANDS: dict[str, tuple[int, Callable[..., dict[str, Any]]]] = {
    "export": (2, export),
    "begin": (3, begin),
    "unpack": (2, unpack),
    "put": (2, put),
    "take": (2, take),
    "end": (2, end),
    "people": (3, people),
    "hashes": (3, hashes),
    "adopt": (2, adopt),
    "inspect": (1, inspect),
    "keep": (2, keep),
    "account": (1, account),
}


def main(arguments: list[str]) -> int:
    """Entry point."""
    name, *more = arguments or [""]
    commands: dict[str, tuple[int, Callable[..., dict[str, Any]]]] = {
        **COMMANDS,
        "look": (len(more), look),
        "noted": (max(1, len(more)), noted),
    }
    if name not in commands or len(more) != commands[name][0]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(json.dumps(commands[name][1](*more)))
    except (MovingError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
