"""``berth bench``: what Berth costs, beside its peer, from one run on one machine."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from berth_cli.errors import BerthError
from berth_cli.options import RunOptions, ask_hosts, run_options, run_playbooks
from berth_cli.status import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from berth_cli.project import Project

WHAT = ("spawn", "hardening", "wake", "storm", "proxy", "memory", "scale", "install")

_INSTALLED = {"BERTH_DEMO_NAME": "berth-bench", "BERTH_DEMO_HTTPS_PORT": "9943", "BERTH_DEMO_HTTP_PORT": "9980"}
"""A demo host apart from the one that a person may have up."""

_COLUMNS = 6
"""As many figures as fit on a line."""


@click.command()
@click.argument("what", type=click.Choice(WHAT))
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    help="How often: 20 if you do not say, a storm once, proxy 5, scale 10; memory: 5 servers of each kind.",
)
@click.option("--users", type=click.IntRange(min=1), default=50, show_default=True, help="How many at once (storm).")
@click.option("--peer/--no-peer", default=True, help="Whether a stock hub is put beside it and measured too.")
@click.option("--keep", is_flag=True, help="Leave the stock hub on the host for the next time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every single figure, by host.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the figures, too, into this PNG file."
)
@run_options
@click.pass_obj
def bench(
    project: Project,
    options: RunOptions,
    *,
    what: str,
    rounds: int | None,
    users: int,
    peer: bool,
    keep: bool,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Measure what Berth costs on a host, beside a stock JupyterHub on the same host.

    The two take turns. The stock hub is DockerSpawner with its defaults, an image made by a plain pip install, and
    configurable-http-proxy; it is removed afterwards. Users at work are not touched, but whatever they do blurs the
    figures; `hardening` and `scale` restart the hub several times.

    \b
    spawn      from the request for a server until it answers through the front
    hardening  the same, with and without what confines hub and berths
    wake       the same of a berth that slept (jupyterhub_idle: sleep)
    storm      the same of many users who all ask at once, and what the hub answers others meanwhile
    proxy      the front beside configurable-http-proxy, both with TLS: requests, websockets, new routes
    memory     what servers take, awake and asleep, and the hubs
    scale      a start beside up to 100 others that run, a list of 5,000 users, a start of the hub
    install    a demo host of its own from bare to a first cell: with empty caches, with full ones, and once more

    \b
    Examples:
      berth bench spawn
      berth bench hardening --rounds 40
      berth bench storm --users 100 --no-peer --plot storm.png
    """
    if options.check:
        raise BerthError("berth bench measures, and has nothing to say in a dry run: leave out --check")
    if plot and (plot.suffix != ".png" or not plot.parent.is_dir()):
        raise BerthError(f"--plot {plot}: a file that ends in .png, in a folder that is there")
    if what == "install":
        reports = _install(project, options)
    else:
        reports = _ask(project, options, what, rounds=rounds, users=users, peer=peer, keep=keep)
    if plot:
        _draw(reports, plot)
    if as_json:
        click.echo(json.dumps(reports, indent=2))
        return
    console = Console(highlight=False)
    for host, report in reports.items():
        _show(console, host, report)


def _ask(
    project: Project, options: RunOptions, what: str, *, rounds: int | None, users: int, peer: bool, keep: bool
) -> dict[str, Any]:
    variables: dict[str, Any] = {"bench_what": what, "bench_users": users, "bench_peer": peer, "bench_keep": keep}
    if rounds:
        variables["bench_rounds"] = rounds
    return {report.host: report.data for report in ask_hosts(project, "bench", options, variables)}


def _install(project: Project, options: RunOptions) -> dict[str, Any]:
    """From nothing to a demo host, twice, and once more over the second.

    Returns:
        By host, as other benches: seconds by role, of each way.

    Raises:
        BerthError: An inventory was named: what is installed anew is a demo host of the bench's own.
    """
    if options.inventory is not None:
        raise BerthError("berth bench install makes a demo host of its own, and removes it: leave out --inventory")
    os.environ.update(_INSTALLED)
    found: dict[str, dict[str, float]] = {}
    # The engine's root has files in it.
    with tempfile.TemporaryDirectory(prefix="berth-bench-", ignore_cleanup_errors=True) as cache:
        own_cache = replace(options, extra_vars=(*options.extra_vars, f"demo_host_cache={cache}"))

        def run(what: str, playbooks: Sequence[str], **variables: Any) -> Sequence[Any]:
            outcome = run_playbooks(project, playbooks, own_cache, variables=variables, answer_only=True)
            for role, seconds in {**outcome.spent, "all": outcome.elapsed}.items():
                found.setdefault(role, {})[what] = round(seconds, 1)
            return outcome.reports

        def remove() -> None:
            run_playbooks(project, ["demo_host"], own_cache, variables={"demo_host_state": "absent"}, answer_only=True)

        remove()
        try:
            run("caches empty", ["demo_host", "site"])
            remove()
            run("caches full", ["demo_host", "site"])
            run("nothing to do", ["site"])
            reports = _ask(project, options, "spawn", rounds=1, users=1, peer=False, keep=False)
        finally:
            remove()
    ((host, report),) = reports.items()
    (cell,) = report["seconds"]["berth (first cell's output)"]
    found["first cell"] = {"caches full": round(cell, 1)}
    ordered = dict(sorted(found.items(), key=lambda row: -row[1].get("caches empty", 0)))
    return {host: {"what": "install", "machine": report["machine"], "seconds": {}, "figures": ordered}}


def _draw(reports: Mapping[str, Any], file: Path) -> None:
    """Draw the plot; only now is asked for what draws, since nobody else needs it.

    Raises:
        BerthError: It cannot be written.
    """
    from berth_cli import plots  # noqa: PLC0415 (`./berth bench --plot` has it installed, other commands do without)

    try:
        plots.draw(reports, file)
    except OSError as error:
        raise BerthError(f"--plot {file}: {error.strerror}") from None


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
    if report["seconds"]:
        _show_seconds(console, report["seconds"])
    if report.get("figures"):
        console.print()
        _show_figures(console, report["figures"])


def _show_seconds(console: Console, series: Mapping[str, Sequence[float]]) -> None:
    table = Table("seconds", "times", "median", "p95", "least", "most", "berth is", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, values in series.items():
        if not values:  # nobody got in
            table.add_row(name, "0")
            continue
        median = statistics.median(values)
        figures = (median, quantile(values, 0.95), min(values), max(values))
        # Of the same kind: what stands in brackets says which.
        own = series.get(f"berth{name[name.index(' (') :]}" if " (" in name else "berth")
        ratio = (
            f"{statistics.median(own) / median:.2f} x"
            if own and not name.startswith("berth (") and own is not values
            else ""
        )
        table.add_row(name, str(len(values)), *(f"{figure:.3f}" for figure in figures), ratio)
    console.print(table)


def _show_figures(console: Console, figures: Mapping[str, Mapping[str, float | str]]) -> None:
    """What is no series of seconds, with a column for each figure, or a row where there are many."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    rows: list[tuple[str, list[float | str]]]
    if len(names) > _COLUMNS:
        heads = list(figures)
        rows = [(name, [row.get(name, "") for row in figures.values()]) for name in names]
    else:
        heads = names
        rows = [(of, [row.get(name, "") for name in names]) for of, row in figures.items()]
    table = Table("", *heads, box=None, pad_edge=False)
    for number, column in enumerate(table.columns[1:]):
        is_text = any(values[number] and isinstance(values[number], str) for _, values in rows)
        column.justify = "left" if is_text else "right"
    for first, values in rows:
        table.add_row(first, *map(_number, values))
    console.print(table)


def _number(value: float | str) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
