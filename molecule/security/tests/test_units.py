"""How far the services could be misused if somebody took them over."""

import json

import pytest
from testinfra.host import Host

EXPOSURE = {
    "berth-backup.service": 1.6,
    "berth-backup-verify@.service": 1.6,
    "berth-hub.service": 1.6,
    "berth-proxy.service": 1.6,
    "berth-dock.service": 2.5,
    "berth-exporter.service": 2.5,
    "berth-firewall-watch.service": 2.5,
    "berth-homes.service": 2.5,
    "berth-reclaim.service": 2.5,
    "berth-snapshots.service": 2.5,
    # To check a password of the host's it is root, and reads the host's shadow file.
    "berth-pam@.service": 3.0,
}
"""The most that `systemd-analyze security` may say of a unit, of 10."""

STATE = {
    "/var/lib/berth/hub": ("berth", 0o700),
    "/var/lib/berth/proxy": ("berth-proxy", 0o700),
    "/etc/berth/tls": ("root", 0o750),
    "/etc/berth/proxy": ("root", 0o750),
}


@pytest.fixture(scope="module")
def exposure(host: Host) -> dict[str, float]:
    """What `systemd-analyze security` says, of 10: a template has to be asked for by an instance."""
    names = " ".join(name.replace("@.", "@1.") for name in EXPOSURE)
    report = f"for unit in {names}; do systemd-analyze security --no-pager $unit | tail -n 1; done"
    found = {}
    for line in host.check_output(report).splitlines():  # → Overall exposure level for UNIT: 1.5 OK
        unit, level = line.split(" for ")[1].split()[:2]
        found[unit.rstrip(":").replace("@1.", "@.")] = float(level)
    return found


@pytest.mark.parametrize("unit", EXPOSURE)
def test_confinement(exposure: dict[str, float], unit: str) -> None:
    assert exposure[unit] <= EXPOSURE[unit]


@pytest.mark.parametrize("path", STATE)
def test_state_is_its_owners(host: Host, path: str) -> None:
    owner, mode = STATE[path]
    assert (host.file(path).user, host.file(path).mode) == (owner, mode)


def test_nobody_is_in_a_group_that_leads_to_root(host: Host) -> None:
    for group in ("docker", "sudo", "adm", "disk", "shadow", "root"):
        members = host.check_output(f"getent group {group} || true").split(":")[3:]
        assert members in ([], [""]), group


def test_services_have_no_capability_but_those_that_are_named(host: Host) -> None:
    """Of 41 capabilities Traefik keeps one, to listen on port 443, and the exporter one, to measure homes."""
    kept = {"berth-hub": 0, "berth-dock": 0, "berth-proxy": 1 << 10, "berth-exporter": 1 << 2}
    for unit, mask in kept.items():
        pid = host.check_output(f"systemctl show --property=MainPID --value {unit}")
        status = host.check_output(f"grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/{pid}/status")
        found = dict(line.split(":\t") for line in status.splitlines())
        assert int(found["CapBnd"], 16) == mask, unit
        assert int(found["CapEff"], 16) in (0, mask), unit
        assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2"), unit


def test_settings_and_code_of_the_hub_are_roots(host: Host) -> None:
    command = (
        "find /opt/berth /etc/berth /usr/lib/sysusers.d/berth.conf /etc/systemd/system/berth* "
        r"\( ! -user root -o -perm /0002 \) ! -type l -printf '%u %m %p\n'"
    )
    assert host.check_output(command) == ""


def test_the_brokers_policy_is_what_the_site_decided(host: Host) -> None:
    """The broker reads the hub's settings, which only root can write."""
    file = host.file("/etc/berth/hub.json")
    assert (file.user, file.group, file.mode) == ("root", "berth", 0o640)
    assert json.loads(file.content_string)["berth"]["read_only"] is True
