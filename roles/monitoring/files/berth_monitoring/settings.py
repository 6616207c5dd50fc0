"""The settings of monitoring as Ansible renders them to /etc/berth/monitoring.json."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PORT_MAX = 65535


@dataclass(frozen=True)
class Ports:
    """Ports of the host's loopback address."""

    prometheus: int
    node: int
    berths: int
    alertmanager: int


@dataclass(frozen=True)
class Thresholds:
    """When an alert fires.

    Attributes:
        after_seconds: For how long something has to be so.
        disk_percent: Space in use.
        memory_percent: The host's memory in use.
        certificate_days: Left until the proxy's certificate expires.
        failed_starts: Servers that failed to start within 15 minutes.
    """

    after_seconds: int
    disk_percent: int
    memory_percent: int
    certificate_days: int
    failed_starts: int


@dataclass(frozen=True)
class Settings:
    """Everything that monitoring is told, apart from where alerts go, which holds secrets."""

    interval_seconds: int
    retention_days: int
    retention_megabytes: int
    homes_every_seconds: int
    ports: Ports
    thresholds: Thresholds
    status_url: str
    hub_address: str
    hub_metrics_path: str
    hub_token_file: str
    proxy_address: str
    tls_address: str
    tls_name: str
    network: str
    homes: str
    places: list[str]
    alerts_file: str


def load(path: Path) -> Settings:
    """Read and validate.

    Raises:
        ValueError: with one line for each mistake: file, key, what is wrong and what is allowed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        made = Settings(
            **{
                **content,
                "ports": Ports(**content["ports"]),
                "thresholds": Thresholds(**content["thresholds"]),
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from None
    wrong = list(_mistakes(made))
    if wrong:
        raise ValueError("\n".join(f"{path}: {line}" for line in wrong))
    return made


def _mistakes(settings: Settings) -> list[str]:
    ports: dict[str, Any] = dataclasses.asdict(settings.ports)
    thresholds = settings.thresholds
    bounds: list[tuple[str, Any, int, int]] = [
        *((f"monitoring_{name}_port", port, 1, PORT_MAX) for name, port in ports.items()),
        ("monitoring_interval_seconds", settings.interval_seconds, 1, 30),
        ("monitoring_retention_days", settings.retention_days, 1, 3650),
        ("monitoring_retention_megabytes", settings.retention_megabytes, 64, 1024**2),
        ("monitoring_homes_every_seconds", settings.homes_every_seconds, 0, 7 * 86400),
        ("monitoring_alert_after_seconds", thresholds.after_seconds, 0, 86400),
        ("monitoring_alert_disk_percent", thresholds.disk_percent, 1, 100),
        ("monitoring_alert_memory_percent", thresholds.memory_percent, 1, 100),
        ("monitoring_alert_certificate_days", thresholds.certificate_days, 1, 365),
        ("monitoring_alert_failed_starts", thresholds.failed_starts, 1, 10000),
    ]
    found = [
        f"{name} is {value!r}: a whole number from {low} to {high} is allowed"
        for name, value, low, high in bounds
        if type(value) is not int or not low <= value <= high
    ]
    if len(set(ports.values())) < len(ports):
        found.append(
            f"the ports {', '.join(f'monitoring_{name}_port {port}' for name, port in ports.items())} have to differ"
        )
    return found
