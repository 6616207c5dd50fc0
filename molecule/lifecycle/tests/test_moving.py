"""People move in: from another Berth, as files. The tests build on one another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PASSWORD
from converging import refusal, report
from hub_client import HubClient
from program import HOMES, OnHost
from testinfra.host import Host


@pytest.fixture(scope="module")
def on_host(host: Host) -> OnHost:
    return OnHost(host)


@pytest.fixture(scope="module")
def anna(host: Host, hub: HubClient, on_host: OnHost) -> Iterator[dict[str, Any]]:
    """A user with a running server and files of many kinds; what they are."""
    hub.add_users({"name": "anna", "password": PASSWORD, "groups": ["lab"], "admin": True})
    hub.start("anna")
    on_host.run("make", f"{HOMES}/anna/kept")
    yield on_host.tell(f"{HOMES}/anna/kept")
    hub.add_users({"name": "anna", "state": "absent"}, {"name": "anna2", "state": "absent"})
    host.check_output(f"rm -rf {HOMES}/anna {HOMES}/anna2")


@pytest.fixture(scope="module")
def exported(hub: HubClient, anna: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Her archive, made after her server was stopped."""
    asked = {"user_export_names": ["anna"], "user_export_to": str(tmp_path_factory.mktemp("exported"))}
    said = refusal(variables=asked, playbook="export")
    assert "a server of anna runs" in said
    assert "--stop" in said
    found: dict[str, Any] = report({**asked, "user_export_servers": "stop"}, playbook="export")["exported"][0]
    assert hub.server("anna") is None
    return found


def test_an_export_is_a_file_of_its_owners_alone(host: Host, exported: dict[str, Any]) -> None:
    file = Path(exported["file"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert exported["files"] > 300
    assert host.run(f"ls -d {HOMES}/.moving-*").rc != 0


def test_who_is_there_is_not_replaced(exported: dict[str, Any]) -> None:
    said = refusal(variables={"user_import_file": exported["file"]}, playbook="import")
    assert "anna has an account and a home here" in said
    assert "--into-existing" in said


def test_a_home_and_an_account_move_in(
    host: Host, hub: HubClient, on_host: OnHost, anna: dict[str, Any], exported: dict[str, Any]
) -> None:
    told = report({"user_import_file": exported["file"], "user_import_as": "anna2"}, playbook="import")
    assert (told["account"], told["password"], told["admin"], told["groups"]) == ("made", "same", True, ["lab"])
    assert on_host.tell(f"{HOMES}/anna2/kept") == anna
    assert hub.logs_in("anna2", PASSWORD)
    found = next(one for one in hub.add_users()["users"] if one["name"] == "anna2")
    assert (found["admin"], found["groups"]) == (True, ["lab"])
    assert host.run(f"ls -d {HOMES}/.moving-*").rc != 0


def test_into_who_is_there_it_is_a_folder(
    host: Host, hub: HubClient, on_host: OnHost, anna: dict[str, Any], exported: dict[str, Any]
) -> None:
    host.check_output(f"echo new >{HOMES}/anna/kept/script.sh")
    asked = {"user_import_file": exported["file"], "user_import_into_existing": True}
    told = report(asked, playbook="import")
    assert (told["account"], told["folder"][:9]) == ("kept", "imported-")
    assert on_host.tell(f"{HOMES}/anna/{told['folder']}/kept") == anna
    assert host.check_output(f"cat {HOMES}/anna/kept/script.sh") == "new"
    assert hub.logs_in("anna", PASSWORD)


def test_who_unpacks_reaches_no_other_home(host: Host, anna: dict[str, Any]) -> None:
    host.check_output(f"mkdir -p /root/target && chown 1000:1000 /root/target && ls {HOMES}/anna/kept")
    program = (
        "import subprocess, sys; from pathlib import Path; from berth_moving.placing import as_nobody_else; "
        "subprocess.run([*as_nobody_else(Path('/root/target'), 1000, 1000), 'sh', '-c', sys.argv[1]])"
    )
    looks = (
        f"id -u; touch mine; ls -A /srv/berth; ls {HOMES} /root; touch /tmp/x /opt/berth/x; mknod d c 1 3;"
        " cp /bin/sh sh; chmod u+s sh; grep -c . /proc/net/dev; cat /etc/berth/secrets/*"
    )
    done = host.run("cd / && PYTHONPATH=/opt/berth/lib python3 -c %s %s", program, looks)
    assert done.stdout.split()[:2] == ["1000", "home"]
    for refused in (HOMES, "/root", "/opt/berth/x", "d:", "permissions of 'sh'", "secrets"):
        assert refused in done.stderr, (refused, done.stderr)
    assert sorted(host.check_output("ls /root/target").split()) == ["mine", "sh"]
    host.check_output("rm -r /root/target")
