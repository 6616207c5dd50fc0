"""``berth upgrade`` and ``berth rollback``: to this checkout's release, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from berth_cli.errors import BerthError
from berth_cli.host import confirmed
from berth_cli.options import RunOptions, ask_hosts, require_hosts, run_options, run_playbooks
from berth_cli.progress import clock
from berth_cli.status import ago

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from berth_cli.project import Project

PREVIOUS = "previous"

_DATABASE = {
    "stays": "accounts and passwords stay as they are",
    "as kept": "the database goes back, too: what the hub has learnt since (accounts, passwords) is put aside",
    "before its migration": "the database goes back to right before the upgrade: what came since is put aside",
}


@click.command()
@run_options
@click.pass_obj
def upgrade(project: Project, options: RunOptions) -> None:
    """Take hosts from an earlier release to this checkout; back by itself if that fails.

    What is there is kept first: settings, database, versions; and a snapshot is made where backups are. Servers and
    kernels go on; the hub is away for some seconds. If a step fails, or the new hub is not healthy in time, the release
    before is put back, and the command says why.

    \b
    Examples:
      berth upgrade -i inventory/site -K
      berth upgrade -i inventory/site -K -C    only say what would change
    """
    outcome = run_playbooks(project, ["upgrade"], options)
    if options.check:
        click.echo(f"\n{outcome.changed} would change ({clock(outcome.elapsed)}).")
        return
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        if not isinstance(report.data, dict) or "before" not in report.data:
            continue
        now, before = report.data["now"], report.data["before"]
        click.echo(f"\n{report.host} is upgraded: {_versions(before)} -> {_versions(now)}.")
        click.echo(f"  Kept to go back to: release {before['id']} (berth rollback{options.again()}).")
        gone = report.data["removed"]
        if any(gone.values()):
            click.echo(f"  No longer kept: {', '.join(name for names in gone.values() for name in names)}.")
    click.echo(f"\n{outcome.changed} changed ({clock(outcome.elapsed)}).")


@click.command()
@click.argument("release", default=PREVIOUS)
@click.option("--list", "only_list", is_flag=True, help="Only list the releases that are kept.")
@click.option(
    "--json", "as_json", is_flag=True, help="With --list, print JSON: an object with each host's, by its name."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@run_options
@click.pass_obj
def rollback(project: Project, options: RunOptions, *, release: str, only_list: bool, as_json: bool, yes: bool) -> None:
    """Take hosts back to a release that was kept (by default the one before).

    Servers and kernels go on. Accounts and passwords stay as they are if that release can read them: the question says.
    The present release is kept first, so that another rollback leads back.

    \b
    Examples:
      berth rollback --list
      berth rollback
      berth rollback 2026-11-29_184711 -i inventory/site -K
    """
    found = {report.host: report.data for report in ask_hosts(project, "rollback", options, {"rollback_list": True})}
    if only_list:
        _show(found, as_json=as_json)
        return
    plans = {host: _wanted(kept, release, host) for host, kept in found.items()}
    question = "\n".join(
        f"{host}: back to release {plan['id']} of {ago(plan['kept'])} ({_versions(plan)});"
        f" {_DATABASE[plan['database']]}."
        for host, plan in plans.items()
    )
    if options.check:
        click.echo(question)
        return
    if not confirmed(f"{question}\nGo back? Servers go on, the hub is away for some seconds.", yes=yes, done="changed"):
        return
    outcome = run_playbooks(project, ["rollback"], options, variables={"rollback_release": release})
    require_hosts(project, options, outcome)
    for report in outcome.reports:
        data = report.data
        click.echo(f"\n{report.host} is back at {_versions(data)}; its hub was away for {data['seconds']} s.")
        click.echo(f"  {_DATABASE[data['database']].capitalize()}.")
        click.echo(f"  What ran before is kept: berth rollback {data['left']}{options.again()}")
    click.echo(f"\n{outcome.changed} changed ({clock(outcome.elapsed)}).")


def _versions(release: Mapping[str, Any]) -> str:
    of = f" ({release['commit']})" if release.get("commit") else ""
    return f"Berth {release['berth']}{of}, JupyterHub {release['jupyterhub']}, Traefik {release['traefik']}"


def _wanted(kept: Sequence[Mapping[str, Any]], release: str, host: str) -> Mapping[str, Any]:
    suitable = [one for one in kept if one["id"] == release or (release == PREVIOUS and not one["gave_up"])]
    if not suitable:
        there = ", ".join(one["id"] for one in kept) or "none"
        raise BerthError(f'{host} keeps no release "{release}"; those that it keeps: {there}')
    return suitable[0]


def _show(found: Mapping[str, Sequence[Mapping[str, Any]]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for host, kept in found.items():
        click.echo(f"{host}: {len(kept)} kept")
        for one in kept:
            why = f"; did not work: {one['gave_up']}" if one["gave_up"] else ""
            click.echo(f"  {one['id']}  {_versions(one)}  ({ago(one['kept'])}){why}")
