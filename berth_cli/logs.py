"""``berth logs``: what the services and the users' containers said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from berth_cli.errors import BerthError
from berth_cli.options import RunOptions, ask_hosts, run_options

if TYPE_CHECKING:
    from berth_cli.project import Project

UNITS = ("hub", "proxy", "docker", "all")


@click.command()
@click.argument("unit", type=click.Choice([*UNITS, "berth"]), default="hub")
@click.argument("name", required=False)
@click.option(
    "-n", "--lines", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many lines."
)
@click.option(
    "--since", metavar="WHEN", default="", help="Only from then on: as journalctl takes it, such as '1 hour ago'."
)
@run_options
@click.pass_obj
def logs(project: Project, options: RunOptions, *, unit: str, name: str | None, lines: int, since: str) -> None:
    """Print what services and berths said.

    That is the hub, the proxy, the container engine (docker), all three, or a user's berth.

    \b
    Examples:
      berth logs                       the hub's last 100 lines
      berth logs all --since today
      berth logs berth anna -n 20      what anna's server said
    """
    if unit == "berth" and not name:
        raise BerthError('whose berth? Say "berth logs berth NAME"')
    if unit != "berth" and name:
        raise BerthError(f'"{name}" is one too many: a name goes only with "berth logs berth NAME"')
    variables = {"logs_unit": unit, "logs_lines": lines, "logs_since": since, "logs_user": name or ""}
    found = [
        (report.host, of, said)
        for report in ask_hosts(project, "logs", options, variables)
        for of, said in report.data.items()
    ]
    for host, of, said in found:
        if len(found) > 1:
            click.echo(f"==> {of} on {host} <==")
        for line in said:
            click.echo(line)
