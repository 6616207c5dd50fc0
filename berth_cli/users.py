"""``berth users``: who may log in, and in which groups they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from berth_cli import accounts
from berth_cli.accounts import check_names, names_in, new_password
from berth_cli.errors import BerthError
from berth_cli.host import confirmed
from berth_cli.options import RunOptions, ask_hosts, run_options
from berth_cli.status import ago

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from berth_cli.project import Project
    from berth_cli.runner import Report

_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")
_GROUP = click.option(
    "-g", "--group", "groups", multiple=True, metavar="GROUP", help="Add them to this group; made if it is not there."
)
_PASSWORDS_TO = click.option(
    "--passwords-to", metavar="FILE", help="Write passwords that are made up to this new file instead of showing them."
)
_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the passwords from standard input, a line for each name."
)
_YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: an object with each host's part, by its name."
)


@click.group()
def users() -> None:
    """Add, list and remove the people who may log in."""


@users.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--csv", "csv_file", metavar="FILE", help="Add the people of a CSV file; docs/users.md shows one.")
@_PASSWORDS_TO
@_GROUP
@click.option("--admin", is_flag=True, help="Let them administer the hub.")
@_STDIN
@run_options
@click.pass_obj
def add(
    project: Project,
    options: RunOptions,
    *,
    names: tuple[str, ...],
    csv_file: str | None,
    passwords_to: str | None,
    groups: tuple[str, ...],
    admin: bool,
    password_stdin: bool,
) -> None:
    """Add users; who exists already keeps the password, and is added to the groups.

    Unless passwords are given, they are made up and shown once. All names and all lines of a file are checked before
    anybody is added.

    \b
    Examples:
      berth users add anna bert --group students
      pass show jupyter/anna | berth users add anna --admin --password-stdin
      berth users add --csv class.csv --passwords-to class-passwords.csv
    """
    if bool(names) == bool(csv_file):
        raise BerthError("give either names or --csv FILE")
    if csv_file and (groups or admin or password_stdin):
        raise BerthError("with --csv, groups, admin and password are columns of the file: leave the options out")
    target = None if passwords_to is None else Path(passwords_to)
    if target is not None:
        accounts.check_new_file(target)
    if csv_file:
        _add_file(project, options, Path(csv_file), target)
        return
    wanted = check_names(names)
    if password_stdin:
        passwords, until = accounts.given_passwords(wanted), None
    else:
        until = target or accounts.file_until_shown("\n".join(sorted(wanted)), project.inventory(options.inventory))
        pending = accounts.unfinished(until)
        passwords = {name: pending.get(name.lower()) or new_password() for name in wanted}
    change = {
        # Nothing is said about admin unless it is asked for: an admin stays one.
        **({"admin": True} if admin else {}),
        "groups": list(groups),
        "generated": not password_stdin,
        "state": "present",
        "update_password": "on_create",
    }
    variables: dict[str, Any] = {
        "jupyterhub_users_wanted": [{"name": name, "password": passwords[name], **change} for name in wanted]
    }
    if until is not None:
        variables["jupyterhub_users_passwords_to"] = str(until.absolute())
    reports = ask_hosts(project, "users", options, variables)
    _tell_added(accounts.as_meant(reports, wanted), reports, only_check=options.check)
    if until is not None:
        hand_out(until, target, only_check=options.check)


def _add_file(project: Project, options: RunOptions, file: Path, passwords_to: Path | None) -> None:
    if not file.is_file():
        raise BerthError(f'--csv: there is no file "{file}"')
    inventory = project.inventory(options.inventory)
    target = passwords_to or accounts.file_until_shown(str(file.absolute()), inventory)
    variables = {"jupyterhub_users_csv": str(file.absolute()), "jupyterhub_users_passwords_to": str(target.absolute())}
    reports = ask_hosts(project, "users", options, variables)
    for report in reports:
        created, changed = report.data["created"], report.data["changed"]
        would = "would be " if options.check else ""
        others = len(set(changed) - set(created))
        click.echo(f"{report.host}: {len(created)} {would}added, {others} {would}changed.")
    _tell_homes(reports)
    hand_out(target, passwords_to, only_check=options.check)


@users.command("list")
@click.option("--waiting", is_flag=True, help="Only those who have signed up and wait for approval.")
@_JSON
@run_options
@click.pass_obj
def list_users(project: Project, options: RunOptions, *, waiting: bool, as_json: bool) -> None:
    """List the users: groups, who is locked out, who runs a server, and who waits for approval.

    \b
    Examples:
      berth users list -i inventory/site
      berth users list --waiting
    """
    reports = _change(project, options, [])
    if as_json:
        listed = {report.host: report.data["waiting" if waiting else "users"] for report in reports}
        click.echo(json.dumps(listed, indent=2))
        return
    console = Console(highlight=False)
    for report in reports:
        if not waiting:
            console.print(_table(report))
        asking = report.data.get("waiting", [])
        if asking:
            console.print(_waiting_table(asking, report.host))
        elif waiting:
            console.print(f"Nobody waits on {report.host}.", markup=False)


def _table(report: Report) -> Table:
    table = Table(
        *("Name", "Admin", "Groups", "Servers", "Last seen", "Locked until"), title=report.host, title_justify="left"
    )
    for user in report.data["users"]:
        table.add_row(
            Text(user["name"]),
            "yes" if user["admin"] else "",
            Text(", ".join(user.get("groups", []))),
            str(user["servers"] or ""),
            ago(user["last_activity"]),
            user.get("locked_until") or "",
        )
    return table


def _waiting_table(asking: Sequence[Mapping[str, str]], host: str) -> Table:
    table = Table("Name", "Says", "From", "Since", title=f"{host}: waiting for approval", title_justify="left")
    for one in asking:
        table.add_row(Text(one["name"]), Text(one["note"]), one["address"], ago(one["since"]))
    return table


@users.command("groups")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("-a", "--add", "added", multiple=True, metavar="GROUP", help="Add them to it; made if it is not there.")
@click.option("-r", "--remove", "removed", multiple=True, metavar="GROUP", help="Take them out of it.")
@_JSON
@run_options
@click.pass_obj
def groups_of(
    project: Project,
    options: RunOptions,
    *,
    names: tuple[str, ...],
    added: tuple[str, ...],
    removed: tuple[str, ...],
    as_json: bool,
) -> None:
    """List the groups and who is in them; or add users to groups, and take them out.

    \b
    Examples:
      berth users groups
      berth users groups anna bert --add students --remove guests
    """
    if bool(names) != bool(added or removed):
        raise BerthError("give names together with --add GROUP or --remove GROUP, or neither to list the groups")
    if twice := sorted(set(added) & set(removed)):
        raise BerthError(f'group "{twice[0]}" is both in --add and in --remove')
    wanted = check_names(names)
    reports = _change(project, options, [])
    if wanted:
        wanted = accounts.as_known(reports, wanted)
        change = {"groups": list(added), "groups_absent": list(removed), "state": "present"}
        reports = _change(project, options, [{"name": name, **change} for name in wanted])
        changed = names_in(reports, "changed")
        for name in wanted:
            verb = "would be changed" if options.check else "changed"
            click.echo(f"{name} {verb if name in changed else 'is in these groups as wanted already'}.")
        return
    listed = {report.host: _members(report) for report in reports}
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    console = Console(highlight=False)
    for host, members in listed.items():
        table = Table("Group", "Users", title=host, title_justify="left")
        for group, inside in members.items():
            table.add_row(Text(group), Text(", ".join(inside)))
        console.print(table)


def _members(report: Report) -> dict[str, list[str]]:
    people = report.data["users"]
    return {
        group: [user["name"] for user in people if group in user.get("groups", [])]
        for group in report.data.get("groups", [])
    }


@users.command()
@_NAMES
@click.option("--delete-home", is_flag=True, help="Delete their homes, too: everything that they made.")
@_YES
@run_options
@click.pass_obj
def remove(project: Project, options: RunOptions, *, names: tuple[str, ...], delete_home: bool, yes: bool) -> None:
    """Remove users: their servers, sessions, tokens and groups. Their homes stay, unless you say otherwise.

    \b
    Examples:
      berth users remove anna
      berth users remove anna bert --delete-home --yes
    """
    wanted = check_names(names)
    reports = _change(project, options, [])
    # Somebody who is gone already may have left a home.
    wanted = accounts.as_meant(reports, wanted) if delete_home else accounts.as_known(reports, wanted)
    with_homes = " and delete their homes, with everything that they made" if delete_home else ""
    if not confirmed(f"Remove {', '.join(wanted)}{with_homes}?", yes=yes):
        return
    reports = _change(
        project, options, [{"name": name, "state": "absent", "delete_home": delete_home} for name in wanted]
    )
    removed, emptied = names_in(reports, "removed"), names_in(reports, "homes_deleted")
    would = "would be " if options.check else ""
    for name in wanted:
        if name in removed:
            home = " with the home" if delete_home else "; the home stays: a new user of that name would get it"
            click.echo(f"{name} {would}removed{home}.")
        elif name in emptied:
            click.echo(f"{name} was no user any more; the home {would}deleted.")
    if unknown := [name for name in wanted if name not in removed | emptied]:
        raise BerthError(f'there is no user and no home of: {", ".join(unknown)}; see "berth users list"')


@users.command()
@click.argument("name")
@_PASSWORDS_TO
@click.option("--ask", is_flag=True, help="Ask for the password instead of making one up.")
@_STDIN
@run_options
@click.pass_obj
def password(
    project: Project, options: RunOptions, *, name: str, passwords_to: str | None, ask: bool, password_stdin: bool
) -> None:
    """Give a user a new password; a lock-out, all sessions and API tokens of that user end.

    Unless it is given, it is made up and shown once.

    \b
    Examples:
      berth users password anna
      berth users password anna --password-stdin < file
    """
    if ask and password_stdin:
        raise BerthError("give either --ask or --password-stdin")
    target = None if passwords_to is None else Path(passwords_to)
    if target is not None:
        accounts.check_new_file(target)
    check_names([name])
    before = _change(project, options, [])
    (name,) = accounts.as_known(before, [name])
    accounts.check_passwords_are_ours(before)
    if ask:
        given: str = click.prompt(f"New password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    else:
        given = accounts.given_passwords([name])[name] if password_stdin else new_password()
    _change(project, options, [{"name": name, "password": given, "state": "present", "update_password": "always"}])
    click.echo(f"{name} {'would have' if options.check else 'has'} a new password.")
    if not (ask or password_stdin):
        _tell_passwords({name: given}, target, only_check=options.check)


@users.command()
@_NAMES
@run_options
@click.pass_obj
def unlock(project: Project, options: RunOptions, *, names: tuple[str, ...]) -> None:
    """Let users try again who are locked out after too many wrong passwords.

    \b
    Example:
      berth users unlock anna
    """
    wanted = accounts.as_known(_change(project, options, []), check_names(names))
    reports = _change(project, options, [{"name": name, "state": "present", "unlock": True} for name in wanted])
    unlocked = names_in(reports, "unlocked")
    for name in wanted:
        verb = "would be unlocked" if options.check else "may try again"
        click.echo(f"{name} {verb if name in unlocked else 'was not locked out'}.")


@users.command()
@_NAMES
@_GROUP
@run_options
@click.pass_obj
def approve(project: Project, options: RunOptions, *, names: tuple[str, ...], groups: tuple[str, ...]) -> None:
    """Let people in who have signed up, with the password that they chose.

    \b
    Example:
      berth users approve anna --group students
    """
    wanted = accounts.as_known(_change(project, options, []), check_names(names), "waiting")
    reports = _change(
        project, options, [{"name": name, "state": "approved", "groups": list(groups)} for name in wanted]
    )
    for name in wanted:
        click.echo(f"{name} {'could' if options.check else 'can'} log in now.")
    _tell_homes(reports)


@users.command()
@_NAMES
@run_options
@click.pass_obj
def refuse(project: Project, options: RunOptions, *, names: tuple[str, ...]) -> None:
    """Turn people away who have signed up; they may ask again.

    \b
    Example:
      berth users refuse mallory
    """
    wanted = accounts.as_known(_change(project, options, []), check_names(names), "waiting")
    _change(project, options, [{"name": name, "state": "refused"} for name in wanted])
    for name in wanted:
        click.echo(f"{name} {'would be' if options.check else 'was'} refused.")


def _change(project: Project, options: RunOptions, changes: Sequence[Mapping[str, Any]]) -> Sequence[Report]:
    return ask_hosts(project, "users", options, {"jupyterhub_users_wanted": list(changes)})


def _tell_added(wanted: Sequence[str], reports: Sequence[Report], *, only_check: bool) -> None:
    created, changed, given = (names_in(reports, key) for key in ("created", "changed", "passwords_set"))
    would = "would be " if only_check else ""
    for name in wanted:
        if name in created:
            click.echo(f"{name} {would}added.")
        elif name in given:
            # As a hub leaves it that has died in the middle.
            click.echo(
                f"{name} exists already, and {'would get' if only_check else 'has got'} the password that was missing."
            )
        elif name in changed:
            click.echo(f"{name} exists already and {would}changed; the password stays.")
        else:
            click.echo(f"{name} exists already and stays as it is.")
    _tell_homes(reports)


def _tell_homes(reports: Sequence[Report]) -> None:
    for name in sorted(names_in(reports, "homes_taken_over")):
        click.echo(f"{name} has the home that was kept from an earlier user of that name.")


def hand_out(written: Path, target: Path | None, *, only_check: bool) -> None:
    """Show once the passwords that the playbook has written, or say that they are where they were wanted."""
    passwords = accounts.read_passwords(written)
    if target is None:
        _tell_passwords(passwords, None, only_check=only_check)
        written.unlink(missing_ok=True)
    elif not only_check:
        click.echo(
            f"{len(passwords)} passwords were made up, and are in {target}."
            if passwords
            else f"No password had to be made up: {target} was not written."
        )


def _tell_passwords(passwords: Mapping[str, str], target: Path | None, *, only_check: bool) -> None:
    """Show passwords once, or write them to a new file."""
    if not passwords or only_check:
        return
    if target is not None:
        accounts.write_passwords(target, passwords)
        click.echo(f"{len(passwords)} passwords were made up, and are in {target}.")
        return
    click.echo("Made up, and shown only now:")
    for name, secret in passwords.items():
        click.echo(f"  {name}  {secret}")
