"""What the commands of ``berth users`` share: names, passwords, and what the hosts answer."""

from __future__ import annotations

import csv
import hashlib
import os
import secrets
import sys
import unicodedata
from typing import TYPE_CHECKING

import click

from berth_cli.errors import BerthError
from berth_cli.state import state_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from berth_cli.runner import Report

NAME_LIMIT = 255
"""Characters in the column of JupyterHub's database that holds user names."""

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are easily taken for one another: i, l, 1, o, 0."""


def check_names(names: Iterable[str]) -> list[str]:
    """Check user names before anything is run, and leave them as they were typed.

    Whether Alice and alice are one is the hub's to say: with some ways to log in they are two.

    Args:
        names: As they were typed.

    Raises:
        BerthError: One of them cannot be a user name, or is there twice.
    """
    checked: list[str] = []
    for name in names:
        if wrong := _what_is_wrong(name):
            raise BerthError(f"user name {name!r} {wrong}")
        if name in checked:
            raise BerthError(f"user name {name!r} is there twice")
        checked.append(name)
    return checked


def in_lower_case(names: Iterable[str]) -> list[str]:
    """Check names of accounts that are brought from elsewhere, and write them in lower case.

    Raises:
        BerthError: One of them cannot be a user name, or is there twice.
    """
    names = check_names(names)
    for name in names:
        if name.lower() != name:
            click.echo(f'"{name}" becomes "{name.lower()}": names that are brought are in lower case.', err=True)
    return check_names(name.lower() for name in names)


def _what_is_wrong(name: str) -> str | None:
    if not name or len(name) > NAME_LIMIT:
        return f"has {len(name)} characters: use 1 to {NAME_LIMIT}"
    if name != name.strip():
        return "begins or ends with a blank: leave it out"
    if name in {".", ".."}:
        return "means a directory: use another one"
    for character in name:
        if character == "/" or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            return f"contains {character!r}: use no slashes and no control characters"
    return None


def new_password() -> str:
    """Make a password of four groups of four characters: 79 bits, and easy to read out and to type."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def given_passwords(names: Sequence[str]) -> dict[str, str]:
    """Read passwords from standard input, a line for each name.

    Raises:
        BerthError: There are more or fewer lines than names, or an empty one.
    """
    lines = sys.stdin.read().splitlines()
    if len(lines) != len(names) or not all(lines):
        raise BerthError(
            f"--password-stdin: {len(lines)} lines on standard input for {len(names)} names:"
            " give one password a line, none empty"
        )
    return dict(zip(names, lines, strict=True))


def check_new_file(file: Path) -> None:
    """Refuse a place for passwords that is taken or cannot be written to.

    Raises:
        BerthError: Says which.
    """
    if file.exists() or file.is_symlink():
        raise BerthError(f'--passwords-to: "{file}" is there already: name a new file, passwords are never overwritten')
    if not os.access(file.absolute().parent, os.W_OK | os.X_OK):
        raise BerthError(f'--passwords-to: "{file.absolute().parent}" is no directory that you can write to')


def unfinished(target: Path) -> dict[str, str]:
    """The passwords that an interrupted run made up and did not hand out to ``target``."""
    return read_passwords(target.with_name(f"{target.name}.part"))


def write_passwords(file: Path, passwords: Mapping[str, str]) -> None:
    """Write passwords to a new file that only this user can read, as CSV."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["name", "password"])
        writer.writerows(passwords.items())


def file_until_shown(people: str, inventory: str) -> Path:
    """Where passwords that are made up are until they are shown; it is not there yet.

    The same people for the same inventory have the same place: an interrupted run is finished by the next one, which
    takes over what lies beside it with the suffix ``.part``.

    Args:
        people: The CSV file's absolute path, or the names, a line each.
        inventory: The inventory's absolute path.
    """
    folder = state_dir() / "passwords"
    folder.mkdir(mode=0o700, exist_ok=True)
    key = hashlib.sha256(f"{inventory}\n{people}".encode()).hexdigest()[:16]
    target = folder / f"{key}.csv"
    if target.exists():
        # Done, and not shown any more.
        target.replace(f"{target}.part")
    return target


def read_passwords(file: Path) -> dict[str, str]:
    """Read passwords as :func:`write_passwords` and the playbook write them; none from a file that is not there."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as source:
        return {row["name"]: row["password"] for row in csv.DictReader(source)}


def names_in(reports: Sequence[Report], key: str) -> set[str]:
    """Names that at least one host has in a list of its answer, such as ``created``."""
    return {name for report in reports for name in report.data.get(key, [])}


def names_by_host(reports: Sequence[Report], key: str = "users") -> list[set[str]]:
    """Names of those whom each host knows: who has an account, or who is ``waiting``."""
    return [{one["name"] for one in report.data.get(key, [])} for report in reports]


def as_meant(reports: Sequence[Report], names: Iterable[str]) -> list[str]:
    """The names as the hubs write them: in lower case, unless one of them tells Alice from alice.

    Raises:
        BerthError: Two are the same.
    """
    exact = any(report.data.get("exact_names") for report in reports)
    return check_names(name if exact else name.lower() for name in names)


def as_known(reports: Sequence[Report], names: Iterable[str], key: str = "users") -> list[str]:
    """The names as the hubs write them, of people who are there.

    Raises:
        BerthError: No host knows one of them, or two are the same.
    """
    meant = as_meant(reports, names)
    known = set().union(*names_by_host(reports, key))
    missing = [f'"{name}"' for name in meant if name not in known]
    if not missing:
        return meant
    who = f"user {missing[0]}" if len(missing) == 1 else f"users {', '.join(missing)}"
    if key == "waiting":
        raise BerthError(f'no {who} waits for approval, and nothing was changed: see "berth users list --waiting"')
    raise BerthError(f'there is no {who}, and nothing was changed: see "berth users list"')


def check_passwords_are_ours(reports: Sequence[Report]) -> None:
    """Refuse to deal in passwords where people log in with those of another system.

    Raises:
        BerthError: Names the host.
    """
    for report in reports:
        if not report.data.get("passwords", True):
            raise BerthError(
                f"on {report.host} passwords are not the hub's business (jupyterhub_auth is not native):"
                " change them where people have them"
            )
