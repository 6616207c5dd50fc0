"""What Prometheus is told. Its files are YAML; JSON is YAML too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from berth_monitoring.settings import Settings

RULES_FILE = "rules.yml"

KEPT = (
    "jupyterhub_(running_servers|active_users|total_users|server_spawn_duration_seconds_.*)",
    "berth_.*",
    "process_.*",
)
"""Of what the hub tells."""


def configuration(settings: Settings, *, with_alertmanager: bool) -> dict[str, Any]:
    """Prometheus's configuration file, as data.

    Args:
        settings: What the site decided.
        with_alertmanager: Whether alerts go anywhere; they are evaluated in any case, for the status page.
    """
    ports = settings.ports
    made: dict[str, Any] = {
        "global": {
            "scrape_interval": f"{settings.interval_seconds}s",
            "scrape_timeout": f"{min(settings.interval_seconds, 10)}s",
            "evaluation_interval": f"{settings.interval_seconds}s",
        },
        "rule_files": [RULES_FILE],
        "scrape_configs": [
            {
                "job_name": "hub",
                "metrics_path": settings.hub_metrics_path,
                "authorization": {"type": "token", "credentials_file": settings.hub_token_file},
                # What the page and the alerts need: the rest is a series for each of Python's and tornado's innards.
                "metric_relabel_configs": [
                    {
                        "source_labels": ["__name__"],
                        "regex": "|".join(KEPT),
                        "action": "keep",
                    }
                ],
                "static_configs": [{"targets": [settings.hub_address]}],
            },
            _job("proxy", settings.proxy_address),
            _job("node", f"127.0.0.1:{ports.node}"),
            _job("berths", f"127.0.0.1:{ports.berths}"),
            _job("prometheus", f"127.0.0.1:{ports.prometheus}"),
        ],
    }
    if with_alertmanager:
        made["alerting"] = {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ports.alertmanager}"]}]}],
        }
    return made


def arguments(settings: Settings, directory: str) -> list[str]:
    """How Prometheus is started.

    Args:
        settings: What the site decided.
        directory: Where its configuration is.
    """
    return [
        "/usr/bin/prometheus",
        f"--config.file={directory}/prometheus.yml",
        f"--web.listen-address=127.0.0.1:{settings.ports.prometheus}",
        "--storage.tsdb.path=/var/lib/prometheus/metrics2",
        f"--storage.tsdb.retention.time={settings.retention_days}d",
        f"--storage.tsdb.retention.size={settings.retention_megabytes}MB",
        "--log.level=warn",
    ]


def _job(name: str, address: str) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [address]}]}
