"""``berth export``, ``berth import``, ``berth adopt``: people move from one hub to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from berth_cli import accounts
from berth_cli.accounts import check_names, in_lower_case
from berth_cli.errors import BerthError
from berth_cli.options import RunOptions, require_hosts, run_options, run_playbooks
from berth_cli.progress import clock
from berth_cli.status import size
from berth_cli.users import hand_out

if TYPE_CHECKING:
    from berth_cli.project import Project


@click.command()
@click.argument("name", required=False)
@click.argument("file", required=False)
@click.option("--all", "folder", metavar="DIR", help="Everybody, each into a file of their own in this folder.")
@click.option("--stop", "servers", flag_value="stop", help="Stop the user's servers first, if any run.")
@click.option("--running", "servers", flag_value="running", help="Export although a server runs and may write.")
@run_options
@click.pass_obj
def export(
    project: Project,
    options: RunOptions,
    *,
    name: str | None,
    file: str | None,
    folder: str | None,
    servers: str | None,
) -> None:
    """Pack a user's home and account into a file, for another hub.

    FILE is a new file or a folder; without one, NAME-DATE.berth.tar in this folder. The user stays as they are.

    \b
    Examples:
      berth export anna                      anna-2026-01-31.berth.tar
      berth export anna --stop /mnt/usb      her server is stopped first
      berth export --all exports -i inventory/old
    """
    if (name is None) == (folder is None):
        raise BerthError("name one user, or give --all DIR")
    to = Path(folder or file or ".").absolute()
    if folder is not None and not to.is_dir():
        raise BerthError(f'--all: "{to}" is no folder that is there: make it first')
    variables: dict[str, Any] = {
        "user_export_names": [] if name is None else check_names([name]),
        "user_export_all": name is None,
        "user_export_to": str(to),
        "user_export_servers": servers or "refuse",
    }
    outcome = run_playbooks(project, ["export"], options, variables=variables)
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        if options.check:
            click.echo(f"\n{report.host}: {', '.join(report.data['would']) or 'nobody'} would be exported.")
        for one in report.data["exported"]:
            what = f"{one['files']} files, {size(one['bytes'])}"
            click.echo(f"\n{one['user']}: {what}, in {one['file']} ({size(one['archive_bytes'])}).")
            if one["changed_meanwhile"]:
                click.echo(f"  {one['changed_meanwhile']} files or folders changed meanwhile, and may be half-written.")
        if report.data["left_out"]:
            click.echo(f"\nWithout a home, and left out: {', '.join(report.data['left_out'])}.")
    if not options.check:
        click.echo("\nThese files hold all that the users made, and what is kept of their passwords: guard them.")
    click.echo(f"({clock(outcome.elapsed)})")


@click.command("import")
@click.argument("file")
@click.option("--as", "name", metavar="NAME", help="Another name than the user had there.")
@click.option("--into-existing", is_flag=True, help="There is one of that name: put the home into theirs, as a folder.")
@click.option("--without-rights", is_flag=True, help="Without the groups, and the rights of an admin, of there.")
@run_options
@click.pass_obj
def import_user(
    project: Project, options: RunOptions, *, file: str, name: str | None, into_existing: bool, without_rights: bool
) -> None:
    """Take in a user's home and account from a file that `berth export` has made.

    The file is checked first. Nothing that is there is replaced.

    \b
    Examples:
      berth import anna-2026-01-31.berth.tar -i inventory/new -K
      berth import anna-2026-01-31.berth.tar --as anna.smith
      berth import anna-2026-01-31.berth.tar --into-existing    anna finds it in ~/imported-DATE
    """
    path = Path(file).absolute()
    if not path.is_file():
        raise BerthError(f'there is no file "{file}"')
    until = accounts.file_until_shown(str(path), project.inventory(options.inventory))
    variables = {
        "user_import_file": str(path),
        "user_import_as": "" if name is None else in_lower_case([name])[0],
        "user_import_into_existing": into_existing,
        "user_import_rights": not without_rights,
        "user_import_passwords_to": str(until),
    }
    outcome = run_playbooks(project, ["import"], options, variables=variables)
    require_hosts(project, options, outcome)
    would = "would be " if options.check else ""
    for report in outcome.reports:
        # The accounts' own role reports, too.
        if "imported" not in report.data:
            continue
        data = report.data
        who = data["imported"] if data["imported"] == data["from"] else f"{data['from']} as {data['imported']}"
        click.echo(f"\n{report.host}: {who} {would}imported, {data['files']} files, {size(data['bytes'])}.")
        click.echo(f"  From {data['host']}, exported {data['date']}.")
        _tell(data)
    for who, password in accounts.read_passwords(until).items():
        click.echo(f"  Password of {who}, made up and shown only now: {password}")
    until.unlink(missing_ok=True)
    click.echo(f"({clock(outcome.elapsed)})")


def _tell(data: dict[str, Any]) -> None:
    if data["folder"]:
        click.echo(f"  The home is in ~/{data['folder']}.")
    if data["account"] == "kept":
        click.echo("  The account was there, and stays as it is.")
    elif data["password"] == "same":
        click.echo("  The password is the one from there.")
    if data["groups"]:
        click.echo(f"  Groups: {', '.join(data['groups'])}.")
    if data["admin"]:
        click.echo("  An admin there, and now here.")
    if data["special_bits"]:
        click.echo(f"  {data['special_bits']} files or folders lost their setuid, setgid or sticky bits.")


@click.command()
@click.argument("kind", type=click.Choice(["tljh", "deploy-docker"]))
@click.option(
    "--from", "source", metavar="DIR", help="A copy of it on the host, instead of one that is installed there."
)
@click.option("--user", "names", multiple=True, metavar="NAME", help="Only this one; may be given more than once.")
@click.option("--skip-existing", "existing", flag_value="skip", help="Leave out who has an account or a home here.")
@click.option("--into-existing", "existing", flag_value="into", help="Put their homes into the ones here, as folders.")
@click.option("--data-volume", metavar="NAME", help="For deploy-docker: the volume with the hub's database.")
@click.option("--passwords-to", metavar="FILE", help="Write passwords that are made up to this new file.")
@run_options
@click.pass_obj
def adopt(
    project: Project,
    options: RunOptions,
    *,
    kind: str,
    source: str | None,
    names: tuple[str, ...],
    existing: str | None,
    data_volume: str | None,
    passwords_to: str | None,
) -> None:
    """Bring the people of another kind of hub: homes, accounts and passwords.

    The Littlest JupyterHub (tljh), or a hub in a container with a volume for each user (deploy-docker). It is only
    read. With -C, it says who would come. The same again brings only what is missing.

    \b
    Examples:
      berth adopt tljh -C                        who would come, with how much?
      berth adopt tljh -i inventory/mine -K
      berth adopt tljh --from /srv/copy          of another host, copied to this one
      berth adopt deploy-docker --skip-existing
    """
    target = None if passwords_to is None else Path(passwords_to)
    if target is not None:
        accounts.check_new_file(target)
    until = target or accounts.file_until_shown(f"{kind} {source}", project.inventory(options.inventory))
    variables = {
        "adopt_kind": kind,
        "adopt_from": source or "",
        "adopt_users": in_lower_case(names),
        "adopt_existing": existing or "refuse",
        "adopt_data_volume": data_volume or "",
        "adopt_passwords_to": str(until.absolute()),
    }
    outcome = run_playbooks(project, ["adopt"], options, variables=variables)
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        # The accounts' own role reports, too.
        if "homes" in report.data:
            _tell_adopted(report.host, report.data, only_check=options.check)
    hand_out(until, target, only_check=options.check)
    click.echo(f"({clock(outcome.elapsed)})")


def _tell_adopted(host: str, data: dict[str, Any], *, only_check: bool) -> None:
    would = "would be " if only_check else ""
    homes = {one["name"]: one for one in data["homes"]}
    made = {one["name"]: one for one in data["accounts"]}
    click.echo(f"\n{host}: {len(homes)} homes {would}brought, {len(made)} accounts {would}made.")
    for name in sorted({*homes, *made}):
        parts = []
        if name in homes:
            home = homes[name]
            where = "/".join(part for part in (home["folder"], home["place"]) if part)
            parts.append(f"{home['files']} files, {size(home['bytes'])}" + (f", in ~/{where}" if where else ""))
        if name in made:
            parts.append("an account" + (" of an admin" if made[name].get("admin") else ""))
            parts += ["a new password"] if name in data["new_passwords"] else []
            parts += [f"groups {', '.join(made[name]['groups'])}"] if made[name]["groups"] else []
        click.echo(f"  {name}: {'; '.join(parts)}")
    for key, text in (
        ("done", "Here already, from there"),
        ("left_out", "Left out, since there are others of that name here"),
        ("strays", "Homes or volumes of nobody who is known there, left alone"),
    ):
        if data[key]:
            click.echo(f"  {text}: {', '.join(data[key])}.")
    if data["changed_meanwhile"]:
        click.echo(f"  {data['changed_meanwhile']} files or folders changed meanwhile, and may be half-written.")
