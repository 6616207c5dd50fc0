"""Files and accounts outlive mistakes, a whole restore and the loss of the host. The tests build on one another."""

import json
import stat
import subprocess
from typing import Any

import pytest
import yaml
from conftest import PASSWORD, PLATFORM
from converging import PROJECT, converge, refusal, report
from host_program import HOMES, OnHost
from hub_client import HubClient, wait_until
from testinfra.host import Host

NEW_PASSWORD = "another-long-password"
BUSY = "/run/busy"
INSTALLED = yaml.safe_load((PROJECT / "molecule/resources/vars/installed.yml").read_text(encoding="utf-8"))
"""A drill's host has its packages from the first, as the scenario's own."""


def status() -> Any:
    return report(playbook="status")["backup"]


@pytest.fixture(scope="module")
def on_host(host: Host) -> OnHost:
    return OnHost(host)


@pytest.fixture(scope="module")
def before(host: Host, hub: HubClient, on_host: OnHost) -> dict[str, Any]:
    """Two users, alice with a running server and files of many kinds, in a snapshot made while the database is busy."""
    hub.add_users(*({"name": name, "password": PASSWORD} for name in ("alice", "bob")))
    assert hub.logs_in("alice", PASSWORD)
    hub.start("alice")
    kernel = hub.new_kernel("alice")
    hub.execute("alice", kernel, "x = 41")
    on_host.run("make", f"{HOMES}/alice/kept")
    host.run(f"touch {BUSY}")
    subprocess.run(
        ["docker", "exec", "-d", PLATFORM, "python3", "/root/on_host.py", "busy", BUSY],
        check=True,
    )
    result = report({"backup_runs_what": "now"}, playbook="backup")
    host.check_output(f"rm {BUSY}")
    # Whoever worked was not interrupted.
    assert hub.execute("alice", kernel, "print(x + 1)") == "42\n"
    hub.stop("alice")
    return {"files": on_host.tell(f"{HOMES}/alice/kept"), "result": result, "id": result["snapshot"]}


def test_a_snapshot_is_complete_and_told(before: dict[str, Any]) -> None:
    result = before["result"]
    assert (result["result"], result["errors"]) == ("ok", [])
    assert result["files"] > 300
    found = status()
    assert (found["result"], found["overdue"], found["same_disk"]) == ("ok", False, True)
    listed = report({"backup_runs_what": "list"}, playbook="backup")
    assert listed[0]["id"] == before["id"]


def test_one_user_gets_a_home_back_beside_what_is_there(host: Host, on_host: OnHost, before: dict[str, Any]) -> None:
    host.check_output(
        f"rm -r {HOMES}/alice/kept/a* {HOMES}/alice/kept/random && echo new >{HOMES}/alice/kept/script.sh"
    )
    done = report({"restore_user": "alice"}, playbook="restore")
    assert on_host.tell(f"{HOMES}/alice/{done['folder']}/kept") == before["files"]
    assert host.check_output(f"cat {HOMES}/alice/kept/script.sh") == "new", "nothing is overwritten"
    again = report({"restore_user": "alice", "restore_snapshot": before["id"]}, playbook="restore")
    assert again["folder"] == f"{done['folder']}-2"
    host.check_output(f"rm -r {HOMES}/alice/restored-*")
    assert "has no home of 'nobody'" in refusal(variables={"restore_user": "nobody"}, playbook="restore")


def test_what_is_newer_is_not_overwritten_unasked(host: Host, hub: HubClient, before: dict[str, Any]) -> None:
    hub.add_users(
        {"name": "alice", "password": NEW_PASSWORD},
        {"name": "bob", "state": "absent"},
        {"name": "carol", "password": PASSWORD},
    )
    said = refusal(variables={"restore_snapshot": before["id"]}, playbook="restore")
    assert "there is newer data on the host" in said
    assert "script.sh" in said
    assert "account carol" in said
    assert "restore_overwrite" in said
    assert hub.logs_in("carol", PASSWORD)


def test_a_whole_host_goes_back(host: Host, hub: HubClient, on_host: OnHost, before: dict[str, Any]) -> None:
    hub.start("alice")
    done = report({"restore_snapshot": before["id"], "restore_overwrite": True}, playbook="restore")
    wait_until(hub.healthy, 60)
    assert on_host.tell(f"{HOMES}/alice/kept") == before["files"]
    assert host.check_output(f"cat {HOMES}/.restore-{done['date']}/before/alice/kept/script.sh") == "new"
    a, b, sound = json.loads(on_host.run("counts"))
    assert a == b > 0, "the snapshot's database is of one moment"
    assert sound == "ok"
    assert hub.logs_in("alice", PASSWORD)
    assert not hub.logs_in("alice", NEW_PASSWORD)
    assert hub.logs_in("bob", PASSWORD)
    assert not hub.logs_in("carol", PASSWORD)
    assert hub.server("alice") is None, "her container is gone, and the hub knows"
    hub.start("alice")
    hub.stop("alice")
    # The same once more has nothing newer in its way but what the hub itself has done since.
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""


def test_a_flipped_bit_is_found_and_loud(host: Host, on_host: OnHost, before: dict[str, Any]) -> None:
    on_host.run("flip", "/srv/berth/backup/data")
    said = refusal_of_a_run("verify")
    assert "/srv/berth/backup" in said
    assert status()["verify"] == "failed"
    on_host.run("flip", "/srv/berth/backup/data")
    report({"backup_runs_what": "verify"}, playbook="backup")
    assert status()["verify"] == "ok"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("echo another-key-altogether >/etc/berth/secrets/backup_key", "set backup_password to the one"),
        ("mv /srv/berth/backup/config /srv/berth/backup/config.away", "is not there any more"),
    ],
)
def test_what_is_wrong_is_said_and_loud(host: Host, before: dict[str, Any], change: str, says: str) -> None:
    keep = "tar -C / -cf /root/kept.tar etc/berth/secrets/backup_key etc/berth/backup.json srv/berth/backup/config"
    host.check_output(keep)
    try:
        host.check_output(change)
        assert says in refusal_of_a_run("now")
        found = status()
        assert found["result"] == "failed"
        assert says in found["message"]
        assert found["good"], "the last good one is told, too"
    finally:
        host.check_output("rm -f /srv/berth/backup/config.away && tar -C / -xf /root/kept.tar && rm /root/kept.tar")
        host.run("systemctl reset-failed 'berth-backup*'")


def test_a_drill_brings_everything_back_on_another_host(host: Host, before: dict[str, Any]) -> None:
    """Another host, with nothing but snapshot and key: that is what is left when a disk is lost."""
    drill = f"{PLATFORM}-drill"
    asked = {"backup_drill_snapshot": before["id"], "backup_drill_host": drill, "backup_drill_ports": [9344, 9381]}
    told = report({**INSTALLED, **asked}, playbook="backup_drill")
    assert (told["missing_count"], told["different_count"], told["logged_in"]) == (0, 0, True)
    assert told["same"] >= sum(1 for one in before["files"].values() if stat.S_ISREG(one[0])) > 300
    assert host.run("ls /var/lib/berth/backup/drill").rc != 0, "nothing of it stays"
    assert subprocess.run(["docker", "inspect", drill], capture_output=True, check=False).returncode != 0


def refusal_of_a_run(what: str) -> str:
    """What a run says that fails: it has changed something, since it was started."""
    with pytest.raises(AssertionError) as error:
        converge(variables={"backup_runs_what": what}, playbook="backup")
    return " ".join(str(error.value).split())
