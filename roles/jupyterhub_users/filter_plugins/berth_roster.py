"""Reads a class from a CSV file: everything that can be seen to be wrong in the file itself is said by line."""

from __future__ import annotations

import csv
import io
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("name", "password", "groups", "admin")
_ALLOWED = 'the columns are "name" and, if you want them, "password", "groups" (several with ";" between) and "admin"'
_ADMIN = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": None}
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are easily taken for one another: i, l, 1, o, 0."""


class RosterError(ValueError):
    """What is wrong, with the file and the line."""


def new_password() -> str:
    """Make a password of four groups of four characters: 79 bits, and easy to read out and to type."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def read(file: Path, pending: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Accounts as `jupyterhub_users_wanted` takes them; those without a password get one that is made up.

    UTF-8 with or without a byte order mark, lines that end as on any system.

    Args:
        file: the CSV file.
        pending: passwords that an earlier run made up for the same people, by name in lower case.

    Raises:
        RosterError: if the file cannot be read or a line of it is wrong.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RosterError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RosterError(f"{file}: not UTF-8 at byte {error.start}: save it as CSV in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            here, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(file, here, cells)
                continue
            row = _row(f"{file} line {here}", header, cells, pending or {})
            earlier = seen.setdefault(row["name"].lower(), here)
            if earlier != here:
                raise RosterError(f"{file} line {here}: {row['name']!r} is there already, in line {earlier}")
            rows.append(row)
    except csv.Error as error:
        raise RosterError(f"{file} line {line}: not CSV: {error}") from None
    if header is None:
        raise RosterError(f"{file}: is empty: {_ALLOWED}")
    if not rows:
        raise RosterError(f"{file}: has a header and nobody below it")
    return rows


def _header(file: Path, line: int, cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    where = f"{file} line {line}"
    if len(names) == 1 and ";" in names[0]:
        raise RosterError(f'{where}: cells are separated by ";": save it with "," between them; {_ALLOWED}')
    for name in names:
        if name not in COLUMNS:
            raise RosterError(f"{where}: {name!r} is no column, and the first line must name them: {_ALLOWED}")
    if "name" not in names or len(set(names)) < len(names):
        raise RosterError(f"{where}: each column is there once, and name must be: {_ALLOWED}")
    return names


def _row(where: str, header: Sequence[str], cells: Sequence[str], pending: Mapping[str, str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise RosterError(
            f"{where}: has {len(cells)} cells where the header has {len(header)}: put cells with commas in quotes"
        )
    given = dict(zip(header, cells, strict=True))
    name = given["name"].strip()
    if not name:
        raise RosterError(f"{where}: the name is missing")
    admin = given.get("admin", "").strip().lower()
    if admin not in _ADMIN:
        raise RosterError(f"{where}: admin is {given['admin']!r}: use yes, no or nothing")
    row: dict[str, Any] = {"name": name, "where": where, "state": "present", "update_password": "on_create"}
    row["groups"] = [group.strip() for group in given.get("groups", "").split(";") if group.strip()]
    if _ADMIN[admin] is not None:
        row["admin"] = _ADMIN[admin]
    # Not stripped: a blank at an end may be meant.
    row["password"] = given.get("password", "") or pending.get(name.lower()) or new_password()
    row["generated"] = not given.get("password")
    return row


def unfinished(file: Path) -> dict[str, str]:
    """Passwords, by name, that a run wrote down before it asked the hub, and did not hand out.

    Raises:
        RosterError: if the file is there and cannot be read.
    """
    try:
        with file.open(encoding="utf-8", newline="") as source:
            return {row["name"]: row["password"] for row in csv.DictReader(source)}
    except FileNotFoundError:
        return {}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise RosterError(f"{file}: what an earlier run left cannot be read: {error!r}") from None


def berth_roster(file: str, part: str = "") -> dict[str, Any]:
    """For the playbook: `wanted`, or `problem`; an error raised here would be hidden together with the passwords.

    Args:
        file: the CSV file; empty: there is none.
        part: where passwords are between two runs, of which the first was interrupted: `pending`.
    """
    try:
        pending = unfinished(Path(part).expanduser()) if part else {}
        return {
            "wanted": read(Path(file).expanduser(), pending) if file else [],
            "pending": pending,
            "problem": "",
        }
    except RosterError as error:
        return {"wanted": [], "pending": {}, "problem": str(error)}


def berth_passwords(
    wanted: Sequence[Mapping[str, Any]], names: Sequence[str], pending: Mapping[str, str] | None = None
) -> str:
    """The content of a file with the passwords that were made up for those names, and those pending, as CSV."""
    passwords = dict(pending or {})
    for row in wanted:
        if row.get("generated") and row["name"].lower() in names:
            passwords[row["name"].lower()] = row["password"]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["name", "password"])
    writer.writerows(passwords.items())
    return target.getvalue()


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """The filters by their names."""
        return {"berth_roster": berth_roster, "berth_passwords": berth_passwords}
