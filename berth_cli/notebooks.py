"""``berth notebooks``: publish the shared notebooks, and links that open them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from berth_cli.errors import BerthError
from berth_cli.options import RunOptions, ask_hosts, run_options, run_playbooks
from berth_cli.progress import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from berth_cli.project import Project

_URL = re.compile(r"[a-z+]+://|[^/]+@[^/]+:")
"""As the role tells a repository from a folder."""


@click.group()
def notebooks() -> None:
    """Publish the shared notebooks, and list links that open them."""


@notebooks.command()
@click.argument("source", required=False, metavar="[DIR|URL]")
@click.option(
    "--branch", metavar="REF", help="Branch, tag or commit to publish of a git repository; else its default one."
)
@run_options
@click.pass_obj
def publish(project: Project, options: RunOptions, *, source: str | None, branch: str | None) -> None:
    """Publish notebooks from a folder of this machine or a git repository.

    Nothing is restarted. A server gets them when it starts, or at once for whoever opens a link. A file that a user has
    changed stays the user's. Without DIR or URL, what the inventory says is published.

    \b
    Examples:
      berth notebooks publish                            again, as the inventory says
      berth notebooks publish ~/course                   this folder
      berth notebooks publish https://git.example.org/course.git --branch spring
    """
    variables: dict[str, Any] = {}
    if source is not None:
        variables["shared_notebooks_source"] = _source(source)
        # What the inventory says belongs to what the inventory publishes.
        variables["shared_notebooks_ref"] = branch or "HEAD"
    elif branch is not None:
        variables["shared_notebooks_ref"] = branch
    outcome = run_playbooks(project, ["notebooks", "notebooks_list"], options, variables=variables)
    if options.check:
        click.echo(f"\n{outcome.changed} would change ({clock(outcome.elapsed)}).")
        return
    for report in outcome.reports:
        _show(report.host, report.data)
    click.echo(f"\n{outcome.changed} changed ({clock(outcome.elapsed)}).")
    if variables:
        names = " and ".join(variables if branch else ["shared_notebooks_source"])
        click.echo(f"The next `berth up` publishes what the inventory says: set {names} there to keep this.")


@notebooks.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object with each host's list, by its name.")
@run_options
@click.pass_obj
def list_notebooks(project: Project, options: RunOptions, *, as_json: bool) -> None:
    """List the shared notebooks, each with links that open it for whoever follows them.

    A link leads through login to the person's own copy: in JupyterLab (lab), in Notebook (notebook), or without its
    code (app).

    \b
    Examples:
      berth notebooks list
      berth notebooks list -i inventory/site --json
    """
    reports = ask_hosts(project, "notebooks_list", options)
    if as_json:
        click.echo(json.dumps({report.host: report.data["notebooks"] for report in reports}, indent=2))
        return
    for report in reports:
        _show(report.host, report.data)


def _source(given: str) -> str:
    """A URL as it is, a folder by its absolute path: playbooks run elsewhere."""
    if _URL.match(given):
        return given
    if not given:
        raise BerthError("the folder has an empty name: name a folder with notebooks, or the URL of a git repository")
    return str(Path(given).expanduser().absolute())


def _show(host: str, data: Mapping[str, Any]) -> None:
    # Plain lines: a link that is cut to the width of the terminal can neither be clicked nor copied.
    click.echo(f"\n{host}: {len(data['notebooks'])} shared notebooks")
    for notebook in data["notebooks"]:
        click.echo(notebook["name"])
        for kind, link in notebook["links"].items():
            click.echo(f"  {kind:8}  {link}")
