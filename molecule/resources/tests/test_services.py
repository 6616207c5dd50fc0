"""Services, files and what they may."""

import pytest
from testinfra.host import Host

UNITS = [
    "berth-backup.timer",
    "berth-backup-verify.timer",
    "berth-hub.service",
    "berth-proxy.service",
    "berth-firewall.service",
    "berth-firewall-watch.service",
    "berth-homes.socket",
    "berth-dock.socket",
    "berth-dock-look.socket",
    "docker.service",
]


@pytest.mark.parametrize("unit", UNITS)
def test_runs_now_and_after_a_reboot(host: Host, unit: str) -> None:
    assert host.check_output(f"systemctl is-active {unit}") == "active"
    assert host.check_output(f"systemctl is-enabled {unit}") == "enabled"


def test_nothing_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""


@pytest.mark.parametrize(("unit", "user"), [("berth-hub", "berth"), ("berth-proxy", "berth-proxy")])
def test_service_is_nobody_special(host: Host, unit: str, user: str) -> None:
    pid = host.check_output(f"systemctl show --property=MainPID --value {unit}")
    assert host.file(f"/proc/{pid}").user == user


def test_hub_listens_on_the_berths_network_alone(host: Host) -> None:
    assert host.socket("tcp://172.29.0.1:8081").is_listening
    assert not host.socket("tcp://127.0.0.1:8081").is_listening
    assert not host.socket("tcp://0.0.0.0:8081").is_listening


def test_traefik_keeps_its_api_to_the_host_and_behind_a_password(host: Host) -> None:
    assert host.socket("tcp://127.0.0.1:8099").is_listening
    code = (
        "import urllib.request, urllib.error\n"
        "try: urllib.request.urlopen('http://127.0.0.1:8099/api/overview'); print('open')\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    assert host.check_output("python3 -c %s", code) == "401"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/berth/secrets/cookie_secret",
        "/etc/berth/secrets/admin_password",
        "/etc/berth/secrets/operator_token",
        "/etc/berth/secrets/traefik_password",
        "/etc/berth/secrets/traefik_users",
        "/etc/berth/tls/ca.key",
        "/etc/berth/tls/hub.key",
        "/etc/berth/hub.json",
        "/var/lib/berth/hub/jupyterhub.sqlite",
    ],
)
def test_secret_is_closed_to_others(host: Host, path: str) -> None:
    file = host.file(path)
    assert file.exists
    assert file.mode & 0o007 == 0
    assert host.run(f"setpriv --reuid=65534 --regid=65534 --clear-groups cat {path}").failed


def test_hub_and_proxy_do_not_read_each_others_secrets(host: Host) -> None:
    assert host.run("setpriv --reuid=berth --regid=berth --init-groups cat /etc/berth/tls/hub.key").failed
    assert host.run(
        "setpriv --reuid=berth-proxy --regid=berth-proxy --init-groups cat /etc/berth/secrets/cookie_secret"
    ).failed


def test_engine_keeps_berths_and_bounds_its_logs(host: Host) -> None:
    info = host.check_output("docker info --format '{{.LiveRestoreEnabled}} {{.LoggingDriver}}'")
    assert info == "true json-file"
    assert '"max-size"' in host.file("/etc/docker/daemon.json").content_string
