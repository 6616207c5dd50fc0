"""Bad values stop before anything reads them, by the name that the operator wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from berth_monitoring import alertmanager, node, prometheus
from berth_monitoring.__main__ import write_prometheus
from berth_monitoring.rules import rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from berth_monitoring.settings import Settings

DESTINATIONS: dict[str, Any] = {
    "mail": [],
    "mail_from": "berth@hub.example.org",
    "smtp": "localhost:25",
    "smtp_tls": True,
    "smtp_user": "",
    "smtp_password": "",
    "webhook": [],
    "group_wait": "30s",
    "repeat": "12h",
}


@pytest.mark.parametrize(
    ("changes", "name", "allowed"),
    [
        ({"interval_seconds": 0}, "monitoring_interval_seconds is 0", "from 1 to 30"),
        ({"thresholds__disk_percent": 101}, "monitoring_alert_disk_percent is 101", "from 1 to 100"),
        ({"thresholds__memory_percent": True}, "monitoring_alert_memory_percent is True", "from 1 to 100"),
        ({"thresholds__failed_starts": 0}, "monitoring_alert_failed_starts is 0", "from 1 to 10000"),
        ({"retention_megabytes": 1}, "monitoring_retention_megabytes is 1", "from 64 to"),
        ({"ports__node": 70000}, "monitoring_node_port is 70000", "from 1 to 65535"),
        ({"ports__node": 9090}, "monitoring_prometheus_port 9090", "have to differ"),
        ({"surprise": 1}, "surprise", "unexpected keyword"),
    ],
)
def test_a_mistake_is_named(make: Callable[..., Settings], changes: dict[str, Any], name: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=r"monitoring\.json") as caught:
        make(**changes)
    assert name in str(caught.value)
    assert allowed in str(caught.value)


def test_the_check_that_ansible_runs(make: Callable[..., Settings], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "berth_monitoring", "check", str(tmp_path / "monitoring.json")]
    environment = {"PYTHONPATH": "roles/monitoring/files:roles/broker/files", "PYTHONDONTWRITEBYTECODE": "1"}
    make()
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    with pytest.raises(ValueError, match="monitoring_retention_days"):
        make(retention_days=0)
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "monitoring_retention_days is 0" in done.stderr


def test_everything_listens_on_the_loopback_address(make: Callable[..., Settings]) -> None:
    settings = make()
    for command in (
        prometheus.arguments(settings, "/run/x"),
        alertmanager.arguments(settings, "/run/x"),
        node.arguments(settings),
    ):
        (address,) = [one for one in command if one.startswith("--web.listen-address=")]
        assert address.startswith("--web.listen-address=127.0.0.1:")


def test_prometheus_is_bounded(make: Callable[..., Settings]) -> None:
    command = prometheus.arguments(make(retention_days=3, retention_megabytes=100), "/run/x")
    assert "--storage.tsdb.retention.time=3d" in command
    assert "--storage.tsdb.retention.size=100MB" in command


def test_alerts_go_out_only_where_they_go_somewhere(make: Callable[..., Settings], tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.json"
    settings = make(alerts_file=str(alerts))
    write_prometheus(settings, tmp_path)
    assert "alerting" not in json.loads((tmp_path / "prometheus.yml").read_text())
    assert alertmanager.destinations(alerts) is None
    alerts.write_text(json.dumps(DESTINATIONS))
    write_prometheus(settings, tmp_path)
    written = json.loads((tmp_path / "prometheus.yml").read_text())
    assert written["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["127.0.0.1:9093"]
    assert (tmp_path / "prometheus.yml").stat().st_mode & 0o077 == 0


def test_mail_and_webhook() -> None:
    made = alertmanager.configuration(
        {
            **DESTINATIONS,
            "mail": ["a@example.org", "b@example.org"],
            "smtp_user": "u",
            "smtp_password": "p",
            "webhook": ["https://chat.example.org/x"],
        }
    )
    (receiver,) = made["receivers"]
    assert receiver["email_configs"][0]["to"] == "a@example.org, b@example.org"
    assert made["global"]["smtp_auth_password"] == "p"
    assert receiver["webhook_configs"][0]["url"] == "https://chat.example.org/x"
    without = alertmanager.configuration({**DESTINATIONS, "webhook": ["https://chat.example.org/x"]})
    assert "global" not in without
    assert "email_configs" not in without["receivers"][0]


def test_thresholds_reach_the_rules(make: Callable[..., Settings]) -> None:
    (group,) = rules(make(thresholds__disk_percent=77, thresholds__after_seconds=42))["groups"]
    by_name = {rule["alert"]: rule for rule in group["rules"]}
    assert by_name["BerthDiskNearlyFull"]["expr"].endswith("> 77")
    assert by_name["BerthHubDown"]["for"] == "42s"
    assert all(rule["annotations"]["description"] for rule in by_name.values())
