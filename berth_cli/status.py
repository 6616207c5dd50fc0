"""``berth status``: is everything well, and who is there."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from berth_cli.errors import ExitCode
from berth_cli.options import RunOptions, ask_hosts, run_options
from berth_cli.project import Project
from berth_cli.runner import PlaybookFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARTS = ("hub", "proxy", "engine")
"""What must be active for a host to be well."""

SLOW_SECONDS = 3
"""A hub at rest answers within a tenth of a second."""

DISK_FULL_BYTES = 32 * 2**20
"""A disk with less than that to spare is full: a notebook with a few pictures is larger than many a rest."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object with what each host reports, by its name.")
@run_options
@click.pass_context
def status(context: click.Context, options: RunOptions, *, as_json: bool) -> None:
    """Show whether all is well, and who is there.

    The exit code is 0 if hub, proxy and container engine are active on all hosts, no disk is full and no backup has
    failed or is overdue, else 3; alerts do not change it.

    \b
    Examples:
      berth status
      berth status -i inventory/site --json
    """
    project = context.find_object(Project) or Project()
    failed = None
    try:
        answers = ask_hosts(project, "status", options)
    except PlaybookFailed as error:
        # What the other hosts have said is worth the more.
        failed, answers = error, error.reports
        if not answers:
            raise
    reports = {report.host: report.data for report in answers}
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    else:
        console = Console(highlight=False)
        for host, report in reports.items():
            _show(console, host, report)
    if failed:
        raise failed
    active = all(report["state"].get(part) == "active" for report in reports.values() for part in PARTS)
    wrong = any(backup_wrong(report.get("backup")) or any(map(is_full, report["disk"])) for report in reports.values())
    if not active or wrong:
        context.exit(ExitCode.UNHEALTHY)


def backup_wrong(found: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with a host's backups, and what to do; nothing where none are wanted.

    Args:
        found: What the host tells of them.
    """
    if not found:
        return []
    wrong = []
    if found["result"] not in (None, "ok"):
        wrong.append(f"{found['result']} {ago(found['ended'])}: {found['message']}")
    if found["overdue"]:
        wrong.append(f"overdue, the last good one was {ago(found['good'])}: berth backup now")
    if found["verify"] not in (None, "ok"):
        wrong.append(f"check of the repository failed {ago(found['verified'])}: {found['verify_message']}")
    return wrong


def is_full(disk: Mapping[str, Any]) -> bool:
    """Whether nothing more can be saved on a disk.

    Args:
        disk: What a host tells of it.
    """
    available: int | None = disk.get("available_bytes")
    return available is not None and disk["size_bytes"] > 0 and available < DISK_FULL_BYTES


def size(count: float) -> str:
    """A number of bytes in the largest binary unit that leaves at least 1, such as ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def ago(moment: str | None, now: dt.datetime | None = None) -> str:
    """How long ago a moment was, such as ``5 min ago``.

    Args:
        moment: In ISO 8601; without an offset it is UTC; None or empty for never.
        now: What to compare it with; by default the present.
    """
    if not moment:
        return "never"
    then = dt.datetime.fromisoformat(moment)
    if then.tzinfo is None:
        then = then.replace(tzinfo=dt.UTC)
    minutes = int(((now or dt.datetime.now(dt.UTC)) - then).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    for limit, divisor, unit in ((60, 1, "min"), (2 * 24 * 60, 60, "h")):
        if minutes < limit:
            return f"{minutes // divisor} {unit} ago"
    return f"{minutes // (24 * 60)} days ago"


def _show(console: Console, host: str, report: Mapping[str, Any]) -> None:
    console.print(Text(f"{host}  {report['url']}", style="bold"))
    facts = Table.grid(padding=(0, 2))
    for part in PARTS:
        value = report["state"].get(part, "unknown")
        since = report.get("since", {}).get(part)
        state = Text(f"{part} ").append(value, style="green" if value == "active" else "bold red")
        if since:
            state.append(f"  since {since[:16].replace('T', ' ')} UTC ({ago(since)})")
        if part == "hub" and (seconds := report.get("hub_seconds") or 0) >= SLOW_SECONDS:
            state.append(f"  slow: it took {seconds:.0f} s to answer", style="yellow")
        facts.add_row("State" if part == PARTS[0] else "", state)
    if said := report.get("hub_says"):
        facts.add_row("", Text(said, style="bold red"))
    facts.add_row("Versions", Text(", ".join(f"{name} {value}" for name, value in report["versions"].items() if value)))
    facts.add_row("Release", _release(report.get("release") or {}))
    for disk in report["disk"]:
        used = f"{disk['path']}  {size(disk['used_bytes'])} of {size(disk['size_bytes'])} ({disk['percent']} %)"
        text = Text(used)
        if is_full(disk):
            text.append("  full: nothing can be saved there", style="bold red")
        facts.add_row("Disk", text)
    days = report.get("certificate_days")
    if days is not None:
        facts.add_row(
            "Certificate",
            Text(f"{days} days left" if days >= 0 else "has expired", style="" if days > 14 else "bold red"),
        )
    facts.add_row("Backup", _backup(report.get("backup")))
    facts.add_row("Users", "unknown" if report["users"] is None else str(report["users"]))
    if sleepers := report.get("asleep"):
        facts.add_row("Asleep", Text(", ".join(f"{one['user']} {one['server']}".strip() for one in sleepers)))
    facts.add_row("Alerts", _alerts(report))
    console.print(facts)
    _show_servers(console, report)
    for failed in report.get("failed_starts", []):
        first_line = failed["reason"].partition("\n")[0]
        console.print(
            Text(f"did not start {ago(failed['time'])}: {failed['user']} {failed['server']}  {first_line}", style="red")
        )


def _release(found: Mapping[str, Any]) -> Text:
    if not found.get("converged"):
        text = "not noted yet: berth up"
    else:
        of = f" ({found['commit']})" if found.get("commit") else ""
        text = f"Berth {found['berth']}{of}, since {found['converged'][:16].replace('T', ' ')} UTC"
    kept = len(found.get("kept", []))
    return Text(text + (f"; {kept} kept: berth rollback --list" if kept else ""))


def _backup(found: Mapping[str, Any] | None) -> Text:
    if not found:
        return Text("off")
    text = Text("\n".join(backup_wrong(found)), style="bold red")
    if not text and not found["good"]:
        return Text("none yet: berth backup now")
    if found["good"]:
        about = f"{ago(found['good'])}, {found['files']} files, {size(found['bytes'])}, in {found['repository']}"
        text.append(f"\nlast good one {about}" if text else f"ok {about}", style="not bold default")
    if found["same_disk"]:
        text.append("  (on the homes' own disk)", style="not bold yellow")
    return text


def _alerts(report: Mapping[str, Any]) -> Text:
    alerts = report.get("alerts")
    if alerts:
        return Text("\n".join(f"{alert['summary']} ({ago(alert['since'])})" for alert in alerts), style="bold red")
    if alerts is not None:
        return Text("none")
    off = report.get("monitoring", "off") == "off"
    return Text("monitoring is off" if off else "unknown: monitoring does not answer", style="" if off else "bold red")


def _show_servers(console: Console, report: Mapping[str, Any]) -> None:
    servers = report["running_servers"]
    if report["users"] is None:
        console.print("Who is on is unknown: the hub does not answer.")
        return
    if not servers:
        console.print("No server is running.")
        return
    table = Table(
        *("User", "Server", "Started", "Last activity", "Memory", "Processors"),
        title=f"{len(servers)} running",
        title_justify="left",
    )
    for server in servers:
        table.add_row(
            Text(server["user"]),
            Text(server["server"] or "(default)"),
            ago(server["started"]),
            ago(server["last_activity"]),
            _of(server.get("memory_bytes"), server.get("memory_limit_bytes"), size),
            _of(server.get("cpu"), server.get("cpu_limit"), lambda count: f"{count:.2f}"),
        )
    console.print(table)


def _of(used: float | None, limit: float | None, write: Callable[[float], str]) -> str:
    if used is None:
        return "unknown"
    return write(used) if limit is None else f"{write(used)} of {write(limit)}"
