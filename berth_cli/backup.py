"""``berth backup``: make a snapshot now, list and check those that there are, keep the key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from berth_cli.options import RunOptions, ask_hosts, require_hosts, run_options, run_playbooks
from berth_cli.progress import clock
from berth_cli.status import ago, size

if TYPE_CHECKING:
    from berth_cli.project import Project


@click.group()
def backup() -> None:
    """Make a snapshot of a host now, list and check those that there are, keep the key.

    A host makes one every night by itself; `berth status` tells how old the last one is.
    """


@backup.command()
@run_options
@click.pass_obj
def now(project: Project, options: RunOptions) -> None:
    """Make a snapshot now.

    Users go on working. Ctrl-C ends the waiting, not the backup.

    \b
    Examples:
      berth backup now
      berth backup now -i inventory/site -K
    """
    outcome = run_playbooks(project, ["backup"], options, variables={"backup_runs_what": "now"})
    if options.check:
        return
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        data = report.data
        what = f"{data['files']} files, {size(data['bytes'])}, {size(data['added_bytes'])} of them new"
        click.echo(f"\n{report.host}: snapshot {data['snapshot']}, {what} ({clock(data['seconds'])}).")
        if data.get("note"):
            click.echo(f"  {data['note']}")


@backup.command()
@click.option("--percent", type=click.IntRange(1, 100), default=100, show_default=True, help="How much data to read.")
@run_options
@click.pass_obj
def verify(project: Project, options: RunOptions, *, percent: int) -> None:
    """Check that what is in the repository can be restored.

    The repository's structure is always checked in full.

    \b
    Examples:
      berth backup verify
      berth backup verify --percent 10
    """
    variables = {"backup_runs_what": "verify", "backup_runs_percent": percent}
    outcome = run_playbooks(project, ["backup"], options, variables=variables)
    if options.check:
        return
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        read = f"{report.data['percent']} % of its data was read ({clock(report.data['seconds'])})"
        click.echo(f"\n{report.host}: the repository is sound; {read}.")


@backup.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object with each host's snapshots, by its name.")
@run_options
@click.pass_obj
def list_snapshots(project: Project, options: RunOptions, *, as_json: bool) -> None:
    """List the snapshots, the newest first.

    \b
    Examples:
      berth backup list
      berth backup list -i inventory/site --json
    """
    reports = ask_hosts(project, "backup", options, {"backup_runs_what": "list"})
    if as_json:
        click.echo(json.dumps({report.host: report.data for report in reports}, indent=2))
        return
    for report in reports:
        click.echo(f"{report.host}: {len(report.data)} snapshots")
        for one in report.data:
            click.echo(f"  {one['id']}  {one['time'][:19].replace('T', ' ')} UTC  ({ago(one['time'])})")


@backup.command()
@click.argument("snapshot", default="latest")
@click.option("--keep", is_flag=True, help="Leave the host that it was restored to, to look around in it.")
@run_options
@click.pass_obj
def drill(project: Project, options: RunOptions, *, snapshot: str, keep: bool) -> None:
    """Restore a snapshot to a host made for this, log in there, and compare every file.

    The host is a demo host in a container of this machine, with nothing but the snapshot and its key; it is removed
    afterwards. The host that is backed up goes on working, and is only read.

    \b
    Examples:
      berth backup drill
      berth backup drill 3aea2032 -i inventory/site -K --limit hub.example.org
    """
    variables = {"backup_drill_snapshot": snapshot, "backup_drill_keep": keep}
    outcome = run_playbooks(project, ["backup_drill"], options, variables=variables)
    if options.check:
        return
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        data = report.data
        click.echo(f"\nSnapshot {data['short']} of {data['time']} brings everything back ({clock(outcome.elapsed)}):")
        click.echo(
            f"  {data['files']} files; {data['same']} are as they are on the host now, byte for byte, and"
            f" {data['changed_since']} have changed there since; none is missing"
        )
        click.echo("  the admin logs in with the password of that host, and a server starts")


@backup.command()
@run_options
@click.pass_obj
def key(project: Project, options: RunOptions) -> None:
    """Copy the repository's key to this machine.

    Without it nobody can read the repository, and a host that is lost has lost its own copy. Keep the file where you
    keep passwords.

    \b
    Example:
      berth backup key -i inventory/site -K
    """
    for report in ask_hosts(project, "backup", options, {"backup_runs_what": "key"}):
        click.echo(f"{report.host}: {report.data['key']}")
