"""``berth check`` and ``berth remove``: before Berth comes to a host, and when it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click
from rich.console import Console

from berth_cli.host import confirmed
from berth_cli.options import RunOptions, require_hosts, run_options, run_playbooks
from berth_cli.progress import clock

if TYPE_CHECKING:
    from berth_cli.project import Project


@click.command()
@run_options
@click.pass_obj
def check(project: Project, options: RunOptions) -> None:
    """Say whether hosts can be provisioned and what would change; nothing is changed.

    The same as `berth up --check --diff`, but that the demo host is not made: first come the checks that `berth up`
    begins with, then, on a host that has a hub already, a dry run.

    \b
    Examples:
      berth check -i inventory/site -K
      berth check                         what `berth up` would change on the demo host
    """
    outcome = run_playbooks(project, ["site"], replace(options, check=True, diff=True))
    require_hosts(project, options, outcome)
    console = Console(highlight=False)
    console.print()
    for report in outcome.reports:
        said = report.data if isinstance(report.data, str) else f"{report.host} has a hub, and passed all checks."
        console.print(said, markup=False, soft_wrap=True)
    console.print(f"{outcome.changed} would change; nothing was changed ({clock(outcome.elapsed)}).")


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--engine", is_flag=True, help="Remove the Docker engine too, if nothing but berths is in it.")
@run_options
@click.pass_obj
def remove(project: Project, options: RunOptions, *, yes: bool, engine: bool) -> None:
    """Take Berth away from hosts, but for homes, backups and what is needed to come back.

    Hub, proxy, firewall, berths and images go. Homes and backups stay; so does the engine. Accounts, passwords and
    secrets are kept in one file on the host, and `berth up` brings everything back from there.

    \b
    Examples:
      berth remove -i inventory/site -K
      berth remove -i inventory/site -C     only say what would be removed
    """
    inventory = project.inventory(options.inventory)
    where = f"{options.limit} of {inventory}" if options.limit else f"the hosts of {inventory}"
    question = f"Remove Berth from {where}? Whoever works there is interrupted; homes and backups stay."
    if not options.check and not confirmed(question, yes=yes):
        return
    outcome = run_playbooks(project, ["remove"], options, variables={"remove_engine": True} if engine else None)
    require_hosts(project, options, outcome)
    console = Console(highlight=False)
    if options.check:
        console.print(f"\n{outcome.changed} would be removed or kept ({clock(outcome.elapsed)}).")
        return
    for report in outcome.reports:
        data = report.data
        console.print(f"\nBerth is gone from {report.host}.", markup=False)
        console.print(f"  Homes                  {data['homes']}", markup=False)
        console.print(f"  Kept for coming back   {data['kept']}", markup=False)
        console.print(f"  Docker engine          {data['engine']}", markup=False)
    console.print(f"\n{outcome.changed} changed ({clock(outcome.elapsed)}). `berth up` brings everything back.")
