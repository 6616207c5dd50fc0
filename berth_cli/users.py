"""``berth users``: who may log in."""

from __future__ import annotations

import json
import secrets
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from berth_cli.errors import BerthError
from berth_cli.host import confirmed
from berth_cli.options import RunOptions, ask_hosts, run_options
from berth_cli.status import ago

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from berth_cli.project import Project
    from berth_cli.runner import Report

NAME_LIMIT = 255
"""Characters in the column of JupyterHub's database that holds user names."""

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are easily taken for one another: i, l, 1, o, 0."""


def check_names(names: Iterable[str]) -> list[str]:
    """Check user names before anything is run, and write them as JupyterHub does, in lower case.

    Args:
        names: As they were typed.

    Raises:
        BerthError: One of them cannot be a user name, or is there twice.
    """
    checked: list[str] = []
    for name in names:
        wrong = _what_is_wrong(name)
        if wrong:
            raise BerthError(f"user name {name!r} {wrong}")
        lower = name.lower()
        if lower in checked:
            raise BerthError(f"user name {name!r} is there twice (JupyterHub makes no difference between A and a)")
        if lower != name:
            click.echo(f'"{name}" becomes "{lower}": JupyterHub\'s user names are in lower case.', err=True)
        checked.append(lower)
    return checked


def new_password() -> str:
    """Make a password of four groups of four characters: 79 bits, and easy to read out and to type."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


@click.group()
def users() -> None:
    """Add, list and remove the people who may log in."""


@users.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--admin", is_flag=True, help="Let them administer the hub.")
@click.option("--password-stdin", is_flag=True, help="Read the passwords from standard input, a line for each name.")
@run_options
@click.pass_obj
def add(project: Project, options: RunOptions, *, names: tuple[str, ...], admin: bool, password_stdin: bool) -> None:
    """Add users; those who exist are left as they are.

    Unless passwords are given, they are made up and shown once.

    \b
    Examples:
      berth users add anna bert
      pass show jupyter/anna | berth users add anna --admin --password-stdin
    """
    wanted = check_names(names)
    passwords = _passwords(wanted, from_stdin=password_stdin)
    known = _known_everywhere(_change(project, options, []))
    for name in wanted:
        if name in known:
            click.echo(f"{name} exists already and stays as it is.")
    missing = [name for name in wanted if name not in known]
    if not missing:
        return
    changes = [
        {
            "name": name,
            "admin": admin,
            "password": passwords[name],
            "state": "present",
            "update_password": "on_create",
        }
        for name in missing
    ]
    changed = _changed(_change(project, options, changes))
    for name in missing:
        if name not in changed:
            click.echo(f"{name} {'would be added' if options.check else 'was not added: the host left it as it was'}.")
        else:
            _tell_password("added", name, passwords[name], generated=not password_stdin, only_check=options.check)


@users.command("list")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: an object with each host's list of users, by its name."
)
@run_options
@click.pass_obj
def list_users(project: Project, options: RunOptions, *, as_json: bool) -> None:
    """List the users.

    \b
    Example:
      berth users list -i inventory/site
    """
    reports = _change(project, options, [])
    if as_json:
        click.echo(json.dumps({report.host: report.data["users"] for report in reports}, indent=2))
        return
    console = Console(highlight=False)
    for report in reports:
        table = Table(
            "Name", "Admin", "Locked", "Servers", "Last activity", "Created", title=report.host, title_justify="left"
        )
        for user in report.data["users"]:
            table.add_row(
                Text(user["name"]),
                "yes" if user["admin"] else "",
                "yes" if user.get("locked") else "",
                str(user["servers"] or ""),
                ago(user["last_activity"]),
                ago(user["created"]),
            )
        console.print(table)


@users.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--delete-home", is_flag=True, help="Delete their homes, too: everything that they made.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@run_options
@click.pass_obj
def remove(project: Project, options: RunOptions, *, names: tuple[str, ...], delete_home: bool, yes: bool) -> None:
    """Remove users: stop their servers, let them log in no more. Their homes stay, unless you say otherwise.

    \b
    Examples:
      berth users remove anna
      berth users remove anna bert --delete-home --yes
    """
    wanted = check_names(names)
    with_homes = " and delete their homes, with everything that they made" if delete_home else ""
    if not confirmed(f"Remove {', '.join(wanted)}{with_homes}?", yes=yes):
        return
    changes = [{"name": name, "state": "absent", "delete_home": delete_home} for name in wanted]
    changed = _changed(_change(project, options, changes))
    for name in wanted:
        verb = "would be removed" if options.check else "removed"
        click.echo(f"{name} {verb if name in changed else 'was not there'}.")


@users.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one up.")
@run_options
@click.pass_obj
def set_password(project: Project, options: RunOptions, *, name: str, password_stdin: bool) -> None:
    """Give a user a new password.

    Unless it is given, it is made up and shown once.

    \b
    Examples:
      berth users set-password anna
    """
    (name,) = check_names([name])
    passwords = _passwords([name], from_stdin=password_stdin)
    if name not in _known_somewhere(_change(project, options, [])):
        raise BerthError(f'there is no user "{name}": see "berth users list", or add one with "berth users add {name}"')
    _change(
        project,
        options,
        [{"name": name, "password": passwords[name], "state": "present", "update_password": "always"}],
    )
    _tell_password("has a new password", name, passwords[name], generated=not password_stdin, only_check=options.check)


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


def _passwords(names: Sequence[str], *, from_stdin: bool) -> Mapping[str, str]:
    if not from_stdin:
        return {name: new_password() for name in names}
    lines = sys.stdin.read().splitlines()
    if len(lines) != len(names) or not all(lines):
        raise BerthError(
            f"--password-stdin: {len(lines)} lines on standard input for {len(names)} names:"
            " give one password a line, none empty"
        )
    return dict(zip(names, lines, strict=True))


def _change(project: Project, options: RunOptions, changes: Sequence[Mapping[str, Any]]) -> Sequence[Report]:
    return ask_hosts(project, "users", options, {"jupyterhub_users_wanted": list(changes)})


def _names_by_host(reports: Sequence[Report]) -> list[set[str]]:
    return [{user["name"] for user in report.data["users"]} for report in reports]


def _known_everywhere(reports: Sequence[Report]) -> set[str]:
    return set.intersection(*_names_by_host(reports))


def _known_somewhere(reports: Sequence[Report]) -> set[str]:
    return set.union(*_names_by_host(reports))


def _changed(reports: Sequence[Report]) -> set[str]:
    return {name for report in reports for name in report.data["changed"]}


def _tell_password(done: str, name: str, password: str, *, generated: bool, only_check: bool) -> None:
    if only_check:
        click.echo(f"{name} would have been given a password; nothing was changed.")
    elif generated:
        click.echo(f"{name} {done}; password, shown only now: {password}")
    else:
        click.echo(f"{name} {done}.")
