"""Monitoring: what it takes figures of, who may see them, and what it costs."""

import json
from typing import Any

import pytest
import requests
from hub_client import HubClient, wait_until
from testinfra.host import Host

PASSWORD = "a-long-enough-password"  # as conftest.py makes people with
UNITS = ["prometheus", "prometheus-node-exporter", "berth-exporter"]
PORTS = [9090, 9100, 9102]


def ask(host: Host, path: str) -> Any:
    """Prometheus's answer, on the host."""
    address = f"http://127.0.0.1:9090/api/v1/{path}"
    code = f"import urllib.request as u; print(u.urlopen({address!r}, timeout=30).read().decode())"
    return json.loads(host.check_output("python3 -c %s", code))["data"]


@pytest.mark.parametrize("unit", UNITS)
def test_part_runs_now_and_after_a_reboot(host: Host, unit: str) -> None:
    assert host.check_output(f"systemctl is-active {unit}") == "active"
    assert host.check_output(f"systemctl is-enabled {unit}") == "enabled"


def test_everything_is_reached(host: Host) -> None:
    def all_up() -> bool:
        found = {one["labels"]["job"]: one["health"] for one in ask(host, "targets")["activeTargets"]}
        assert found == dict.fromkeys(("hub", "proxy", "node", "berths", "prometheus"), "up")
        return True

    wait_until(all_up, 120, 2)


@pytest.mark.parametrize("port", PORTS)
def test_port_is_the_hosts_own(host: Host, port: int) -> None:
    listening = host.check_output(f"ss -Hltn sport = :{port}").split()
    assert listening[3] == f"127.0.0.1:{port}"


def test_berths_do_not_reach_it(host: Host, people: tuple[str, str], in_berth: Any) -> None:
    code = "import socket; socket.create_connection(('172.29.0.1', {}), 3)"
    for port in PORTS:
        assert in_berth("alice", f'python3 -c "{code.format(port)}"').failed


def test_what_each_berth_uses_is_known(host: Host, people: tuple[str, str]) -> None:
    def known() -> bool:
        for metric in ("berth_memory_bytes", "berth_cpu_limit"):
            found = {
                one["metric"]["berth"]: float(one["value"][1]) for one in ask(host, f"query?query={metric}")["result"]
            }
            assert all(found.get(name, 0) > 0 for name in people), (metric, found)
        return True

    wait_until(known, 120, 2)


def page_of(hub: HubClient, name: str, password: str) -> requests.Response:
    """The status page as somebody sees it who has just logged in."""
    session = requests.Session()
    session.trust_env = False
    session.verify = hub.ca
    session.get(f"{hub.url}/hub/login", timeout=30)
    form = {"username": name, "password": password, "_xsrf": session.cookies["_xsrf"]}
    answer = session.post(f"{hub.url}/hub/login", data=form, timeout=60, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return session.get(f"{hub.url}/hub/status", timeout=60, allow_redirects=False)


def test_only_admins_see_the_page(host: Host, hub: HubClient, people: tuple[str, str]) -> None:
    anonymous = hub.session.get(f"{hub.url}/hub/status", timeout=30, allow_redirects=False)
    assert anonymous.status_code == 302
    assert "/hub/login" in anonymous.headers["Location"]
    assert page_of(hub, "alice", PASSWORD).status_code == 403
    admins = page_of(hub, "admin", host.check_output("cat /etc/berth/secrets/admin_password"))
    assert admins.status_code == 200
    assert 'data-user="alice"' in admins.text
    assert "<figure" in admins.text


def test_secrets_are_closed(host: Host) -> None:
    assert host.run("setpriv --reuid=65534 --regid=65534 --clear-groups cat /etc/berth/secrets/metrics_token").failed


RULES_TEST = """
rule_files: [/run/berth-rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'up{job="hub"}', values: '1x10 0x30'}
      - {series: 'up{job="proxy"}', values: '1x40'}
      - {series: 'berth_failed_starts_total', values: '0x10 4x30'}
      - {series: 'berth_disk_size_bytes{path="/srv"}', values: '100x40'}
      - {series: 'berth_disk_available_bytes{path="/srv"}', values: '50x10 3x30'}
      - {series: 'node_memory_MemTotal_bytes', values: '100x40'}
      - {series: 'node_memory_MemAvailable_bytes', values: '50x10 2x30'}
      - {series: 'berth_certificate_expires_seconds', values: '2000000x10 1800x30'}
    alert_rule_test:
      - {eval_time: 9m, alertname: BerthHubDown, exp_alerts: []}
      - {eval_time: 12m, alertname: BerthHubDown, exp_alerts: []}
      - {eval_time: 25m, alertname: BerthHubDown, exp_alerts: [{exp_labels: {severity: critical, job: hub}}]}
      - {eval_time: 25m, alertname: BerthProxyDown, exp_alerts: []}
      - {eval_time: 9m, alertname: BerthStartsFail, exp_alerts: []}
      - {eval_time: 15m, alertname: BerthStartsFail, exp_alerts: [{exp_labels: {severity: warning}}]}
      - {eval_time: 9m, alertname: BerthDiskNearlyFull, exp_alerts: []}
      - {eval_time: 25m, alertname: BerthDiskNearlyFull, exp_alerts: [{exp_labels: {severity: warning, path: /srv}}]}
      - {eval_time: 9m, alertname: BerthMemoryShort, exp_alerts: []}
      - {eval_time: 25m, alertname: BerthMemoryShort, exp_alerts: [{exp_labels: {severity: warning}}]}
      - {eval_time: 9m, alertname: BerthCertificateExpiresSoon, exp_alerts: []}
      - {eval_time: 20m, alertname: BerthCertificateExpiresSoon, exp_alerts: [{exp_labels: {severity: warning}}]}
      - {eval_time: 20m, alertname: BerthCertificateExpired, exp_alerts: []}
      - {eval_time: 35m, alertname: BerthCertificateExpired, exp_alerts: [{exp_labels: {severity: critical}}]}
      - {eval_time: 35m, alertname: BerthCertificateExpiresSoon, exp_alerts: []}
"""


def test_rules_fire_when_they_should_and_not_before(host: Host) -> None:
    host.check_output("printf %%s %s >/run/berth-rules-test.yml", RULES_TEST)
    # Texts may be worded anew: labels are what is compared.
    code = (
        "import json; p='/run/berth-prometheus/rules.yml'; r=json.load(open(p));"
        "[rule.pop('annotations', 0) for g in r['groups'] for rule in g['rules']];"
        "json.dump(r, open('/run/berth-rules.yml','w'))"
    )
    host.check_output("python3 -c %s", code)
    done = host.run("promtool test rules /run/berth-rules-test.yml")
    assert done.succeeded, done.stdout + done.stderr
