"""People of another kind of hub on this host, or in a copy of it: who they are, and where their files are.

The source is only read. What was brought is noted, so that the same again brings only what is missing.
"""

from __future__ import annotations

import contextlib
import dbm
import hashlib
import importlib.util
import json
import re
import shutil
import sqlite3
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from berth_moving.accounts import password_hashes
from berth_moving.contents import MovingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NOTE = Path("/var/lib/berth/adopted.json")
"""What was brought from where: by source, names of homes and of accounts."""

DATA_VOLUME = "jupyterhub-data"
USER_VOLUME = "jupyterhub-user-"
WORK = "work"
"""Where the volume of a user is mounted within a home, so that paths in notebooks stay what they were."""

_TLJH_NAME_MAX = 26


@dataclass(frozen=True)
class Person:
    """Somebody of the other hub.

    Attributes:
        name: The user's name.
        admin: Whether they administer it.
        groups: The groups they are in.
        home: Where their files are; None if they have none.
        place: Folder within the new home that the files go to; empty for the home itself.
    """

    name: str
    admin: bool = False
    groups: list[str] = field(default_factory=list)
    home: Path | None = None
    place: str = ""


@dataclass(frozen=True)
class Source:
    """Another hub.

    Attributes:
        people: Who may log in there.
        strays: Homes or volumes that belong to none of them.
        hashes: Reads what it keeps of their passwords, by name.
        needs: Debian packages without which those cannot be read here.
    """

    people: list[Person]
    strays: list[str]
    hashes: Callable[[], dict[str, str]]
    needs: list[str] = field(default_factory=list)


def tljh(root: Path, config: Mapping[str, Any]) -> Source:
    """The Littlest JupyterHub.

    Args:
        root: `/`, or the folder that a copy of `/opt/tljh` and `/home` is in.
        config: What its config.yaml says.

    Raises:
        MovingError: There is none, or what it keeps cannot be read.
    """
    state = root / "opt" / "tljh" / "state"
    database = state / "jupyterhub.sqlite"
    known = accounts(database)
    lists = config.get("users") or {}
    admins = {name.lower() for name in lists.get("admin") or []}
    for name in [*(lists.get("allowed") or []), *admins]:
        known.setdefault(name.lower(), Person(name.lower()))
    banned = {name.lower() for name in lists.get("banned") or []}
    homes = {name: root / "home" / system_name(name) for name in known}
    people = [
        Person(name, one.admin or name in admins, one.groups, _if_folder(homes[name]))
        for name, one in known.items()
        if name not in banned
    ]
    strays = set((root / "home").glob("jupyter-*")) - {one.home for one in people}
    passwords = state / "passwords.dbm"
    return Source(
        people,
        sorted(map(str, strays)),
        lambda: {**_first_use(passwords), **password_hashes(database)},
        _needs(passwords),
    )


def system_name(name: str) -> str:
    """What The Littlest JupyterHub calls a user on the host: at most 32 characters."""
    whole = f"jupyter-{name}"
    if len(whole) < _TLJH_NAME_MAX:
        return whole
    return f"{whole[:_TLJH_NAME_MAX]}-{hashlib.sha256(whole.encode()).hexdigest()[:5]}"


def deploy_docker(volumes: Mapping[str, Path], data: str = "") -> Source:
    """A hub in a container that keeps its data in one volume and its users' in one each (jupyterhub-deploy-docker).

    Args:
        volumes: Where each volume is, by its name.
        data: Name of the volume with the database; empty: that which is called so, with any project's name before it.

    Raises:
        MovingError: There is none, or more than one.
    """
    called = [name for name in volumes if name == data or (not data and re.fullmatch(rf"(.+_)?{DATA_VOLUME}", name))]
    if len(called) != 1:
        there = ", ".join(called) or "none"
        raise MovingError(
            f"one volume {data or DATA_VOLUME} with the hub's database is needed, there is {there}: name it"
            " (adopt_data_volume)"
        )
    database = volumes[called[0]] / "jupyterhub.sqlite"
    hashes = password_hashes(database) if database.is_file() else {}
    known = accounts(database)
    for name in hashes:
        known.setdefault(name, Person(name))
    refused = _unauthorized(database)
    people = []
    taken = set()
    for name, one in known.items():
        if name in refused:
            continue
        volume = next((v for v in (USER_VOLUME + escaped for escaped in escapes(name)) if v in volumes), None)
        taken.add(volume)
        people.append(Person(name, one.admin, one.groups, volumes[volume] if volume else None, WORK))
    strays = {name for name in volumes if name.startswith(USER_VOLUME)} - taken
    return Source(people, sorted(strays), lambda: hashes)


def escapes(name: str) -> list[str]:
    """What DockerSpawner makes of a name for volumes: as it does now, as it did before version 12, and as it is."""
    now = "".join(one if re.fullmatch("[a-z0-9]", one) else _escape(one, "-") for one in name).lower()
    before = "".join(one if re.fullmatch("[A-Za-z0-9-]", one) else _escape(one, "_") for one in name)
    return [now, before, name]


def _escape(character: str, mark: str) -> str:
    return "".join(f"{mark}{byte:X}" for byte in character.encode())


def docker_volumes() -> dict[str, Path]:
    """Where the volumes of this host's engine are.

    Raises:
        MovingError: It does not say.
    """
    try:
        names = _said("docker", "volume", "ls", "--quiet").split()
        found = json.loads(_said("docker", "volume", "inspect", *names)) if names else []
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise MovingError(f"the engine does not tell its volumes: {error}") from None
    return {one["Name"]: Path(one["Mountpoint"]) for one in found}


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def copied_volumes(folder: Path) -> dict[str, Path]:
    """The same in a copy of the engine's folder of volumes, or of what is in each."""
    if not folder.is_dir():
        raise MovingError(f"{folder} is no folder")
    return {
        one.name: one / "_data" if (one / "_data").is_dir() else one for one in sorted(folder.iterdir()) if one.is_dir()
    }


def accounts(database: Path) -> dict[str, Person]:
    """The users of a JupyterHub, by name, from its database.

    Raises:
        MovingError: There is none, or it cannot be read.
    """
    if not database.is_file():
        raise MovingError(f"there is no database {database}")
    try:
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as found:
            rows = found.execute("SELECT name, admin FROM users ORDER BY name").fetchall()
            groups: dict[str, list[str]] = {}
            for name, group in found.execute(
                "SELECT users.name, groups.name FROM user_group_map JOIN users ON users.id = user_id"
                " JOIN groups ON groups.id = group_id ORDER BY 1, 2"
            ):
                groups.setdefault(name, []).append(group)
    except sqlite3.Error as error:
        raise MovingError(f"{database} cannot be read: {error}") from None
    return {name: Person(name, bool(admin), groups.get(name, [])) for name, admin in rows}


def _unauthorized(database: Path) -> set[str]:
    """Who has signed up and was not let in yet, or not any more."""
    with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as found:
        if not found.execute("SELECT 1 FROM sqlite_master WHERE name = 'users_info'").fetchone():
            return set()
        return {name for (name,) in found.execute("SELECT username FROM users_info WHERE NOT is_authorized")}


def _needs(passwords: Path) -> list[str]:
    missing = dbm.whichdb(str(passwords)) == "dbm.gnu" and importlib.util.find_spec("_gdbm") is None
    return ["python3-gdbm"] if missing else []


def _first_use(path: Path) -> dict[str, str]:
    """What FirstUseAuthenticator keeps of passwords. A copy is read: some kinds of the file are written to by readers.

    Raises:
        MovingError: It cannot be read here.
    """
    with tempfile.TemporaryDirectory(prefix="berth-") as folder:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        copied = str(Path(folder, path.name))
        kind = dbm.whichdb(copied)
        if kind is None:
            return {}
        try:
            with dbm.open(copied, "r") as found:
                # Not all kinds can be iterated over.
                names = cast("list[bytes]", list(found.keys()))
                return {name.decode(): found[name].decode() for name in names}
        except (dbm.error[0], ImportError, OSError, UnicodeDecodeError) as error:
            raise MovingError(f"{path} ({kind or 'of an unknown kind'}) cannot be read: {error}") from None


def _if_folder(path: Path) -> Path | None:
    return path if path.is_dir() else None


def noted(source: str) -> dict[str, list[str]]:
    """Whose homes and accounts were brought from a source."""
    empty: dict[str, list[str]] = {"homes": [], "accounts": []}
    if not NOTE.exists():
        return empty
    found: dict[str, list[str]] = json.loads(NOTE.read_text(encoding="utf-8")).get(source, empty)
    return found


def note(source: str, kind: str, names: Iterable[str]) -> None:
    """Note that homes are brought, once they are, or accounts, before they are, since what is there then is ours."""
    known = json.loads(NOTE.read_text(encoding="utf-8")) if NOTE.exists() else {}
    mine = known.setdefault(source, {"homes": [], "accounts": []})
    mine[kind] = sorted({*mine[kind], *names})
    new = NOTE.with_name(f".{NOTE.name}.new")
    new.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    new.replace(NOTE)


KINDS: dict[str, Callable[[str, dict[str, Any], str], Source]] = {
    "tljh": lambda folder, config, _data: tljh(Path(folder or "/"), config),
    "deploy-docker": lambda folder, _config, data: deploy_docker(
        copied_volumes(Path(folder)) if folder else docker_volumes(), data
    ),
}
