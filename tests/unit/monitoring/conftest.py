"""Valid settings of monitoring, and where to write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from berth_monitoring.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS: dict[str, Any] = {
    "interval_seconds": 15,
    "retention_days": 15,
    "retention_megabytes": 512,
    "homes_every_seconds": 3600,
    "ports": {"prometheus": 9090, "node": 9100, "berths": 9102, "alertmanager": 9093},
    "thresholds": {
        "after_seconds": 300,
        "disk_percent": 90,
        "memory_percent": 92,
        "certificate_days": 14,
        "failed_starts": 3,
    },
    "status_url": "https://hub.example.org/hub/status",
    "hub_address": "172.29.0.1:8081",
    "hub_metrics_path": "/hub/metrics",
    "hub_token_file": "/etc/berth/secrets/metrics_token",
    "proxy_address": "127.0.0.1:8099",
    "tls_address": "127.0.0.1:443",
    "tls_name": "hub.example.org",
    "network": "berth",
    "homes": "/srv/berth/homes",
    "places": ["/srv/berth/homes", "/var/lib/berth"],
    "alerts_file": "/etc/berth/secrets/alerts.json",
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Settings]:
    """Settings with some changed: `ports__node=1` is `node` within `ports`."""

    def made(**changes: Any) -> Settings:
        content = json.loads(json.dumps(SETTINGS))
        for name, value in changes.items():
            *parents, key = name.split("__")
            place = content
            for parent in parents:
                place = place[parent]
            place[key] = value
        path = tmp_path / "monitoring.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return load(path)

    return made
