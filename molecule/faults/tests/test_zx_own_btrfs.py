"""Homes on a btrfs that the site has mounted there, with quotas and snapshots.

Before the tests of `user_homes_storage: loop`, which begin with homes on the host's own file system. That is where
they are again by then.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import PASSWORD
from converging import assert_converges_to_nothing, converge, failure, refusal
from host_program import HOMES, OnHost, skip_without_btrfs
from hub_client import HubClient, wait_until
from testinfra.host import Host

InBerth = Callable[[str, str], Any]
WANTED = {"user_homes_quota": "64M", "user_homes_snapshots": True}
TAGS = ["user_homes", "broker", "jupyterhub"]
DISK = "/srv/berth/disk"
HOME = f"{HOMES}/erin"
ASIDE = "/srv/berth/homes.aside"
STOP = "systemctl stop berth-hub.service berth-homes.socket berth-homes.service berth-snapshots.timer"


@pytest.fixture(scope="module", autouse=True)
def mounted(hub: HubClient, host: Host) -> Iterator[None]:
    """What a sysadmin does with a disk: make the file system, bring the homes, mount it in their place."""
    skip_without_btrfs(host)
    hub.stop_all()
    hub.add_users({"name": "erin", "password": PASSWORD})
    hub.start("erin")
    hub.stop("erin")
    host.check_output(f"install -o 1000 -g 1000 /dev/null {HOME}/kept")
    host.check_output("apt-get install --yes --no-install-recommends btrfs-progs")
    host.check_output(f"truncate --size=1G {DISK} && mkfs.btrfs --quiet {DISK} && {STOP}")
    # The tools are the role's to bring.
    host.check_output("apt-get purge --yes btrfs-progs")
    host.check_output(f"mv {HOMES} {ASIDE} && install -d -m 711 {HOMES} && mount -o loop {DISK} {HOMES}")
    host.check_output(f"cp -a {ASIDE}/. {HOMES} && systemctl start berth-homes.socket berth-hub.service")
    wait_until(hub.healthy)
    yield
    host.check_output(f"{STOP}; umount {HOMES} && rmdir {HOMES} && mv {ASIDE} {HOMES} && rm {DISK}")
    converge(tags=TAGS)
    wait_until(hub.healthy)


def test_homes_in_which_somebody_has_begun_to_work_meanwhile_stay_as_they_are(hub: HubClient, host: Host) -> None:
    wanted = "until grep -q 'subvolumes.*true' /etc/berth/homes.json; do sleep 0.05; done"
    image = host.check_output("docker images --format '{{.Repository}}:{{.Tag}}' | grep ^berth/ | head -n 1")
    host.check_output("docker create --name=berth-comes --label=berth.home=%s %s sleep 600", HOME, image)
    host.check_output(f"nohup sh -c '{wanted}; docker start berth-comes' >/dev/null 2>&1 &")
    said = failure(variables=WANTED, tags=TAGS)
    assert "in which nobody may work meanwhile: stop the servers first (berth-comes)" in said
    host.check_output("docker rm --force berth-comes")
    assert host.run(f"btrfs subvolume show {HOME}").failed
    wait_until(hub.healthy)


def test_homes_that_are_there_get_quotas_and_snapshots(hub: HubClient, host: Host, in_berth: InBerth) -> None:
    before = OnHost(host).tell(HOME)
    converge(variables=WANTED, tags=TAGS)
    wait_until(hub.healthy)
    assert_converges_to_nothing(variables=WANTED, tags=["user_homes"])
    assert "kept" in before
    assert OnHost(host).tell(HOME) == before
    hub.start("erin")
    assert "Disk quota exceeded" in in_berth("erin", "cat /dev/urandom >fill").stderr
    assert in_berth("erin", "rm fill && echo mine >kept").succeeded
    host.check_output("systemctl start berth-snapshots.service")
    assert in_berth("erin", "rm kept && cat .snapshots/*/kept").stdout == "mine\n"


def test_a_btrfs_that_is_there_is_not_hidden_by_another(hub: HubClient) -> None:
    hub.stop("erin")
    said = refusal(variables={"user_homes_storage": "loop", "user_homes_storage_size": "1G"}, tags=TAGS)
    assert f"user_homes_storage is loop, and {HOMES} of berth-demo is a file system of its own (btrfs) already" in said
