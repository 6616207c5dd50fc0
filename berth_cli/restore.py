"""``berth restore``: bring back a host, or one user's home, from a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from berth_cli.accounts import check_names
from berth_cli.host import confirmed
from berth_cli.options import RunOptions, require_hosts, run_options, run_playbooks
from berth_cli.progress import clock

if TYPE_CHECKING:
    from berth_cli.project import Project


@click.command()
@click.argument("snapshot", default="latest")
@click.option("--user", metavar="NAME", help="Only this user's home, into a folder restored-DATE within it.")
@click.option("--overwrite", is_flag=True, help="Restore everything although there is newer data; it is moved aside.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@run_options
@click.pass_obj
def restore(
    project: Project, options: RunOptions, *, snapshot: str, user: str | None, overwrite: bool, yes: bool
) -> None:
    """Bring back a host, or one user's home, from a snapshot (by default the last one).

    Nothing is deleted: what is replaced is moved aside. A whole restore stops all servers; that of one user
    interrupts nobody.

    \b
    Examples:
      berth restore --user anna              anna finds her home as it was in ~/restored-DATE
      berth restore 3aea2032 --user anna     as it was in an older snapshot (berth backup list)
      berth restore                          everything: accounts, homes, secrets, certificates
    """
    variables: dict[str, Any] = {"restore_snapshot": snapshot, "restore_overwrite": overwrite}
    if user is not None:
        (variables["restore_user"],) = check_names([user])
    inventory = project.inventory(options.inventory)
    where = f"{options.limit} of {inventory}" if options.limit else f"the hosts of {inventory}"
    question = (
        f"Restore {where} from snapshot {snapshot}? Whoever works there is interrupted; what is there is moved aside."
    )
    if user is None and not options.check and not confirmed(question, yes=yes, done="changed"):
        return
    outcome = run_playbooks(project, ["restore"], options, variables=variables)
    if options.check and user is not None:
        return
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        data = report.data
        if user is not None:
            click.echo(f"\n{report.host}: {data['user']} has snapshot {data['snapshot']} in ~/{data['folder']}.")
        elif options.check:
            click.echo(f"\n{report.host}: snapshot {data['short']} of {data['time']} would be restored.")
        else:
            click.echo(f"\n{report.host}: restored from snapshot {data['short']} of {data['time']}.")
            click.echo(f"  What was there is in folders .restore-{data['date']} (docs/restore.md).")
            click.echo("  `berth up` brings settings and certificates up to date.")
    click.echo(f"\n{outcome.changed} changed ({clock(outcome.elapsed)}).")
