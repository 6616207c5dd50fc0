"""Removal, which comes last: what it takes, what it keeps, and that one converge brings everything back."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PASSWORD
from converging import changes, converge
from hub_client import HubClient, wait_until
from testinfra.host import Host

SITE = yaml.safe_load((Path(__file__).resolve().parents[1] / "vars" / "main.yml").read_text())
OURS = ["/etc/berth", "/opt/berth", "/var/lib/berth", "/srv/berth/shared"]
KEPT = "/srv/berth/kept.tar"


def play(name: str) -> int:
    """Run a playbook on the platform; returns how many tasks changed something."""
    return changes(converge(variables=SITE, playbook=name))


@pytest.fixture(scope="module")
def before(host: Host, hub: HubClient, people: tuple[str, str]) -> dict[str, Any]:
    """Something of everybody's that must come back."""
    assert hub.logs_in("alice", PASSWORD)
    assert not hub.logs_in("alice", "another-long-password")
    assert host.run("docker exec berth-alice sh -c 'echo mine > ~/mine.txt'").succeeded
    facts: dict[str, Any] = {
        "secrets": host.check_output("sha256sum /etc/berth/secrets/* /etc/berth/tls/ca.crt"),
        "published": host.check_output("find /srv/berth/shared -type f -path '*/objects/*' | sort"),
        "homes": host.check_output("find /srv/berth/homes -mindepth 1 -maxdepth 1 -printf '%p %U %m\\n' | sort"),
    }
    assert play("remove") > 0
    return facts


def test_all_but_homes_and_one_file_is_gone(host: Host, before: dict[str, Any]) -> None:
    # The folders themselves may be mount points.
    assert host.run(f"find {' '.join(OURS)} -mindepth 1").stdout == ""
    assert not host.file("/usr/local/sbin/berth-venv").exists
    assert host.run("getent passwd berth berth-proxy").stdout == ""
    assert host.run("getent group berth-routes").stdout == ""
    assert host.check_output("systemctl list-units --all --plain --no-legend 'berth-*'") == ""
    assert host.run("systemctl list-unit-files --plain --no-legend 'berth-*'").stdout == ""
    assert "berth" not in host.check_output("nft list ruleset")
    # Whatever a role brings says whose it is.
    folders = "/etc /usr/local/sbin /usr/local/bin /usr/lib/systemd /usr/lib/sysusers.d /usr/lib/tmpfiles.d"
    assert host.run(f"grep -rIlE 'Managed by Berth|Ansible managed' {folders}").stdout == ""
    left = set(host.check_output("ls /srv/berth").split())
    assert {"homes", "kept.tar"} <= left
    assert "shared" not in left


def test_no_berth_is_left_and_the_engine_is(host: Host, before: dict[str, Any]) -> None:
    assert host.check_output("docker ps --all --format '{{.Names}}'") == ""
    assert "berth/" not in host.check_output("docker images --format '{{.Repository}}'")
    assert "berth" not in host.check_output("docker network ls --format '{{.Name}}'").split()


def test_what_is_kept_is_for_root_alone_and_complete(host: Host, before: dict[str, Any]) -> None:
    kept = host.file(KEPT)
    assert (kept.user, kept.group, kept.mode) == ("root", "root", 0o600)
    names = host.check_output(f"tar --list --file={KEPT}").split()
    for name in (
        "etc/berth/secrets/cookie_secret",
        "etc/berth/secrets/admin_password",
        "etc/berth/tls/ca.key",
        "var/lib/berth/hub/jupyterhub.sqlite",
    ):
        assert name in names
    homes = host.check_output("find /srv/berth/homes -mindepth 1 -maxdepth 1 -printf '%p %U %m\\n' | sort")
    assert homes == before["homes"]


def test_again_changes_nothing(host: Host, before: dict[str, Any]) -> None:
    kept = host.check_output(f"sha256sum {KEPT}")
    assert play("remove") == 0
    assert host.check_output(f"sha256sum {KEPT}") == kept


def test_one_converge_brings_everything_back(host: Host, hub: HubClient, before: dict[str, Any]) -> None:
    assert play("site") > 0
    wait_until(hub.healthy, 120)
    assert not host.file(KEPT).exists
    assert host.check_output("sha256sum /etc/berth/secrets/* /etc/berth/tls/ca.crt") == before["secrets"]
    assert hub.logs_in("alice", PASSWORD)
    assert not hub.logs_in("alice", "another-long-password")
    hub.start("alice")
    assert host.check_output("docker exec berth-alice sh -c 'cat ~/mine.txt'") == "mine"
    assert hub.execute("alice", hub.new_kernel("alice"), "print(6 * 7)").strip() == "42"
    # The same history: what berths have pulled before is still what they are compared with.
    published = host.check_output("find /srv/berth/shared -type f -path '*/objects/*' | sort")
    assert set(before["published"].split()) <= set(published.split())
