"""A damaged database: said clearly, no loop of starts, and a restore brings it back. The last of these tests."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import PASSWORD
from converging import converge, report
from host_program import HOMES
from hub_client import HubClient, wait_until
from testinfra.host import Host

Took = Callable[[str, Callable[[], Any]], float]

DATABASE = "/var/lib/berth/hub/jupyterhub.sqlite"
SUBVOLUME = "256"
"""Number of every folder that is a subvolume of btrfs."""


@pytest.fixture(scope="module")
def snapshot(host: Host, hub: HubClient) -> str:
    """With an account that must come back."""
    hub.add_users({"name": "frank", "password": PASSWORD})
    assert hub.logs_in("frank", PASSWORD)
    made: str = report({"backup_runs_what": "now"}, playbook="backup")["snapshot"]
    return made


def overwrite(host: Host, first_kib: int, kib: int) -> None:
    host.check_output(f"dd if=/dev/urandom of={DATABASE} bs=1k seek={first_kib} count={kib} conv=notrunc status=none")


@pytest.fixture(scope="module", autouse=True)
def restored(host: Host, hub: HubClient, took: Took, snapshot: str) -> Iterator[None]:
    """After all of them, the database comes back."""
    yield

    def restore() -> None:
        converge(variables={"restore_snapshot": snapshot, "restore_overwrite": True}, playbook="restore")
        wait_until(lambda: hub.logs_in("frank", PASSWORD))
        # Homes that had a file system with limits have them again.
        if host.check_output(f"findmnt --noheadings --output=FSTYPE --target {HOMES}") == "btrfs":
            assert set(host.check_output(f"stat -c %i {HOMES}/*").split()) == {SUBVOLUME}

    took("damaged database, from ./berth restore to a log-in", restore)


@pytest.mark.parametrize(("where", "first_kib", "kib"), [("its middle", 16, 64), ("its head", 0, 1)])
def test_a_damaged_database(host: Host, where: str, first_kib: int, kib: int) -> None:
    host.check_output("systemctl stop berth-hub.service")
    overwrite(host, first_kib, kib)
    damaged = host.check_output("sha256sum %s", DATABASE)
    since = host.check_output("date +%s")
    host.check_output("systemctl start berth-hub.service")
    wait_until(lambda: host.run("systemctl is-failed --quiet berth-hub.service").succeeded)
    # Not started again and again: longer than the service waits between two starts.
    time.sleep(3)
    assert host.run("systemctl is-failed --quiet berth-hub.service").succeeded
    said = host.check_output(f"journalctl --unit=berth-hub.service --since=@{since} --output=cat")
    (line,) = (line for line in said.splitlines() if line.startswith("The hub does not start: "))
    assert f"{DATABASE} is damaged: " in line
    assert "./berth restore" in line
    assert "Traceback" not in said
    assert host.check_output("sha256sum %s", DATABASE) == damaged, "left as it is"
    told = report(playbook="status")
    assert told["state"]["hub"] == "failed"
    assert told["hub_says"] == line
