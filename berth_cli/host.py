"""``berth up`` and ``berth down``: provision hosts, and remove the demo host."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from berth_cli.errors import BerthError
from berth_cli.options import RunOptions, require_hosts, run_options, run_playbooks
from berth_cli.progress import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from berth_cli.project import Project


@click.command()
@run_options
@click.pass_obj
def up(project: Project, options: RunOptions) -> None:
    """Provision hosts: an inventory's, or the demo host.

    Running it again is safe: what is as it should be stays untouched.

    \b
    Examples:
      berth up                            a demo host in a container of this machine
      berth up -i inventory/site -K       your own hosts, with sudo's password asked for
      berth up -i inventory/site -C -D    only say what would change
    """
    demo = project.is_demo(project.inventory(options.inventory))
    outcome = run_playbooks(project, ["demo_host", "site"] if demo else ["site"], options)

    console = Console(highlight=False)
    if options.check:
        console.print(f"\n{outcome.changed} would change ({clock(outcome.elapsed)}).")
        return
    for report in outcome.reports:
        console.print(f"\nBerth is up on {report.host}.", markup=False)
        console.print(_summary(report.data))
    console.print(f"\n{outcome.changed} changed ({clock(outcome.elapsed)}).")
    require_hosts(project, options, outcome)
    if outcome.reports:
        # As it was typed: nobody has the checkout on PATH.
        berth = os.environ.get("BERTH_COMMAND", "berth")
        asked = [f"{berth} {what}{options.again()}" for what in ("users add NAME", "status", "logs")]
        console.print("Next: " + ", ".join(asked + ([f"{berth} down"] if demo else [])), markup=False)


def _summary(report: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("URL", Text(report["url"]))
    table.add_row("Administrator", Text(report["admin"]))
    if "password_command" in report:
        # Only where passwords are the hub's own business.
        table.add_row("Password", Text(f"shown by: {report['password_command']}"))
    if "ca_certificate" in report:
        # Only where the host's own CA has signed the certificate.
        table.add_row("CA certificate", Text(report["ca_certificate"]))
    return table


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--keep-data", is_flag=True, help="Keep the users' homes and the hub's database for the next `berth up`.")
@run_options
@click.pass_obj
def down(project: Project, options: RunOptions, *, yes: bool, keep_data: bool) -> None:
    """Remove the demo host; other hosts are never removed.

    \b
    Examples:
      berth down                remove it with everything in it
      berth down --keep-data    `berth up` finds the users and their homes again
    """
    inventory = project.inventory(options.inventory)
    if not project.is_demo(inventory):
        raise BerthError(
            f'"berth down" removes only the demo host, not the hosts of "{inventory}": leave out --inventory'
        )
    what = "the demo host" if keep_data else "the demo host with all users, their homes and everything else in it"
    if not confirmed(f"Remove {what}?", yes=yes):
        return
    outcome = run_playbooks(
        project,
        ["demo_host"],
        options,
        variables={"demo_host_state": "absent", "demo_host_keep_data": keep_data},
    )
    click.echo(f"{outcome.changed} changed ({clock(outcome.elapsed)}).")


def confirmed(question: str, *, yes: bool, done: str = "removed") -> bool:
    """Ask before something is removed, or else changed for everybody.

    Args:
        question: What to ask.
        yes: Whether it was agreed to beforehand (``--yes``).
        done: What has not happened to anything, if the answer is no.

    Raises:
        BerthError: There is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BerthError(f"nothing was {done}, since there is no terminal to ask on: add --yes if you mean it")
    if click.confirm(question):
        return True
    click.echo(f"Nothing was {done}.")
    return False
