"""How the node exporter is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from berth_monitoring.settings import Settings

COLLECTORS = ("cpu", "diskstats", "filesystem", "loadavg", "meminfo", "netdev", "stat", "uname", "vmstat")


def arguments(settings: Settings) -> list[str]:
    """Program and arguments: few collectors, on the loopback address."""
    return [
        "/usr/bin/prometheus-node-exporter",
        f"--web.listen-address=127.0.0.1:{settings.ports.node}",
        "--collector.disable-defaults",
        *(f"--collector.{name}" for name in COLLECTORS),
        "--log.level=warn",
    ]
