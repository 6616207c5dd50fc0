"""``berth bench``: what Berth costs, beside its peer, from one run on one machine."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from berth_cli.errors import BerthError
from berth_cli.options import RunOptions, ask_hosts, run_options
from berth_cli.status import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from berth_cli.project import Project

WHAT = ("spawn", "hardening", "wake")


@click.command()
@click.argument("what", type=click.Choice(WHAT))
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True, help="How often.")
@click.option("--peer/--no-peer", default=True, help="Whether a stock hub is put beside it and measured too (spawn).")
@click.option("--keep", is_flag=True, help="Leave the stock hub on the host for the next time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every single figure, by host.")
@run_options
@click.pass_obj
def bench(
    project: Project, options: RunOptions, *, what: str, rounds: int, peer: bool, keep: bool, as_json: bool
) -> None:
    """Measure what Berth costs on a host, beside a stock JupyterHub on the same host.

    The two take turns. The stock hub is DockerSpawner with its defaults, an image made by a plain pip install, and
    configurable-http-proxy; it is removed afterwards. Users at work are not touched, but whatever they do blurs the
    figures; `hardening` restarts the hub several times.

    \b
    spawn      from the request for a server until it answers through the front
    hardening  the same, with and without what confines hub and berths
    wake       the same of a berth that slept (jupyterhub_idle: sleep)

    \b
    Examples:
      berth bench spawn
      berth bench hardening --rounds 40
    """
    if options.check:
        raise BerthError("berth bench measures, and has nothing to say in a dry run: leave out --check")
    variables = {"bench_what": what, "bench_rounds": rounds, "bench_peer": peer, "bench_keep": keep}
    reports = {report.host: report.data for report in ask_hosts(project, "bench", options, variables)}
    if as_json:
        click.echo(json.dumps(reports, indent=2))
        return
    console = Console(highlight=False)
    for host, report in reports.items():
        _show(console, host, report)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all values is, by linear interpolation between the two next to it.

    Args:
        values: At least one.
        share: Between 0 and 1.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _show(console: Console, host: str, report: Mapping[str, Any]) -> None:
    machine = report["machine"]
    console.print(
        f"{host}: {machine['processors']} processors, {size(machine['memory_bytes'])}, Linux {machine['kernel']},"
        f" Docker {machine['docker']}, load before {machine['load']:.1f}"
    )
    series: Mapping[str, Sequence[float]] = report["seconds"]
    ours = statistics.median(series["berth"])
    table = Table("seconds", "rounds", "median", "p95", "least", "most", "berth is", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, values in series.items():
        median = statistics.median(values)
        figures = (median, quantile(values, 0.95), min(values), max(values))
        ratio = "" if name.startswith("berth (") or name == "berth" else f"{ours / median:.2f} x"
        table.add_row(name, str(len(values)), *(f"{figure:.3f}" for figure in figures), ratio)
    console.print(table)
