"""Homes in a btrfs of their own, with quotas and snapshots. The tests build on one another."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from conftest import PASSWORD
from converging import assert_converges_to_nothing, converge, refusal, report
from host_program import HOMES, OnHost
from hub_client import HubClient
from testinfra.host import Host

InBerth = Callable[[str, str], Any]
TAGS = ["user_homes", "broker", "jupyterhub"]
QUOTA_MB = 64
WANTED = {
    "user_homes_storage": "loop",
    "user_homes_storage_size": "1G",
    "user_homes_quota": f"{QUOTA_MB}M",
    "user_homes_snapshots_kept": 2,
}
SAVED = "/api/contents/saved.txt"


@pytest.fixture(scope="module", autouse=True)
def people(hub: HubClient, host: Host, in_berth: InBerth) -> Iterator[None]:
    """Carla works in a home on the host's own file system, and Dora is new."""
    if host.run("test -e /dev/loop-control && grep -qw btrfs /proc/filesystems").failed:
        pytest.skip("this machine has no btrfs, or no loop devices that it lets a demo host use")
    for user in hub.api("GET", "/users"):
        if user["server"]:
            hub.stop(user["name"])
    hub.add_users({"name": "carla", "password": PASSWORD}, {"name": "dora", "password": PASSWORD})
    hub.start("carla")
    made = "mkdir work && echo mine >work/notes && ln work/notes work/same && ln -s notes work/link"
    assert in_berth("carla", made).succeeded
    yield
    hub.add_users(*({"name": name, "state": "absent"} for name in ("carla", "dora")))


def save(hub: HubClient, user: str, content: str) -> requests.Response:
    return hub.as_user(user, "PUT", SAVED, json={"type": "file", "format": "text", "content": content})


def test_what_cannot_be_is_refused(host: Host, in_berth: InBerth) -> None:
    said = refusal(variables={"user_homes_quota": "1G"}, tags=TAGS)
    kind = host.check_output(f"findmnt --noheadings --output=FSTYPE --target {HOMES}")
    assert f"user_homes_quota needs homes on btrfs, and {HOMES} of berth-demo is on {kind}" in said
    assert "user_homes_storage to loop" in said
    # Nobody's home is moved while somebody works in it.
    said = refusal(variables=WANTED, tags=TAGS)
    assert "stop the servers first (berth-carla)" in said
    assert in_berth("carla", "cat work/notes").stdout == "mine\n"


def test_homes_move_into_it_and_stay_aside_as_they_were(hub: HubClient, host: Host, in_berth: InBerth) -> None:
    hub.stop("carla")
    converge(variables=WANTED, tags=TAGS)
    assert host.check_output(f"findmnt --noheadings --output=FSTYPE {HOMES}") == "btrfs"
    on_host = OnHost(host)
    moved = on_host.tell(f"{HOMES}/carla")
    assert {"work/notes", "work/same", "work/link"} <= set(moved)
    assert moved == on_host.tell("/srv/berth/homes.before-loop/carla")
    hub.start("carla")
    assert in_berth("carla", "cat work/link").stdout == "mine\n"


def test_again_changes_nothing() -> None:
    assert_converges_to_nothing(variables=WANTED, tags=["user_homes"])
    assert_converges_to_nothing(variables=WANTED, tags=["user_homes"], check=True)


def test_a_full_home_is_its_users_problem_alone(hub: HubClient, in_berth: InBerth) -> None:
    hub.start("dora")
    assert save(hub, "carla", "before").ok
    full = in_berth("carla", "cat /dev/urandom >fill")
    assert "Disk quota exceeded" in full.stderr
    assert int(in_berth("carla", "du -sm .").stdout.split()[0]) in range(QUOTA_MB - 5, QUOTA_MB + 1)
    refused = save(hub, "carla", "x" * 100_000)
    assert refused.status_code == requests.codes.server_error
    assert "Disk quota exceeded" in refused.json()["message"]
    # What was there is not lost by a save that fails, and nobody else has less.
    assert in_berth("carla", "cat saved.txt").stdout == "before"
    assert save(hub, "dora", "x" * 1_000_000).ok
    assert hub.healthy()


def test_who_is_full_still_starts_and_computes(hub: HubClient, in_berth: InBerth) -> None:
    hub.stop("carla")
    hub.start("carla")
    assert "Disk quota exceeded" in in_berth("carla", "echo more >>fill").stderr
    kernel = hub.new_kernel("carla")
    assert hub.execute("carla", kernel, "import os; os.remove('fill'); print(6 * 7)").strip() == "42"
    assert save(hub, "carla", "after").ok


def test_what_a_home_holds_is_on_the_hubs_page(hub: HubClient, host: Host, in_berth: InBerth) -> None:
    assert in_berth("dora", "head -c 30M /dev/urandom >half; sync half").succeeded
    host.check_output(f"sync --file-system {HOMES}")
    page = hub.session.get(f"{hub.url}/hub/home", headers={"Authorization": f"token {hub.token('dora')}"}, timeout=30)
    assert page.ok
    assert "Your home: 3" in page.text
    assert f"of {QUOTA_MB} MB used" in page.text


def test_users_undo_their_own_mistakes(hub: HubClient, host: Host, in_berth: InBerth) -> None:
    host.check_output("systemctl start berth-snapshots.service")
    assert in_berth("carla", "rm -r work && ls work").failed
    (taken,) = in_berth("carla", "ls .snapshots/").stdout.split()
    assert in_berth("carla", f"cp -a .snapshots/{taken}/work . && cat work/same").stdout == "mine\n"
    assert "Read-only" in in_berth("carla", f"rm .snapshots/{taken}/work/notes").stderr
    assert "Read-only" in in_berth("carla", "mkdir .snapshots/own").stderr
    assert in_berth("dora", "ls .snapshots/*/work").failed
    # A running berth sees new ones, and no more than are kept; where nothing changes there are no new ones.
    for number in range(2):
        assert in_berth("carla", f"echo {number} >work/notes").succeeded
        host.check_output("sleep 1; systemctl start berth-snapshots.service")
    assert in_berth("carla", "cat .snapshots/*/work/notes").stdout == "0\n1\n"
    assert len(host.check_output(f"ls {HOMES}/.snapshots/dora").split()) == 1


def test_a_home_from_a_backup_comes_into_a_home_with_a_quota(host: Host, in_berth: InBerth) -> None:
    report({"backup_runs_what": "now"}, playbook="backup")
    ask = "restic --repo /srv/berth/backup --password-file /etc/berth/secrets/backup_key ls latest"
    held = host.check_output(f"{ask} {HOMES} {HOMES}/carla").splitlines()
    assert f"{HOMES}/carla/work" in held
    assert f"{HOMES}/.snapshots" not in held, "snapshots are no part of a backup"
    found = report({"restore_user": "carla"}, playbook="restore")
    assert in_berth("carla", f"cat {found['folder']}/work/same").stdout == "1\n"
    assert in_berth("carla", f"stat -c %u:%h {found['folder']}/work/same").stdout == "1000:2\n"


def test_it_grows_and_never_shrinks(host: Host) -> None:
    converge(variables={**WANTED, "user_homes_storage_size": "1.5G", "user_homes_quota": "80M"}, tags=["user_homes"])
    assert int(host.check_output(f"df --output=size {HOMES} | tail -n 1")) == 1536 * 1024
    limits = host.check_output(f"btrfs qgroup show --raw -r -f {HOMES}/carla").split()
    assert str(80 * 1024**2) in limits
    assert "1.5G already" in refusal(variables=WANTED, tags=["user_homes"])
    assert "set it to loop" in refusal(tags=["user_homes"])


def test_home_and_snapshots_go_with_their_user(hub: HubClient, host: Host) -> None:
    hub.stop("dora")
    wanted = {"jupyterhub_users_wanted": [{"name": "dora", "state": "absent", "delete_home": True}]}
    converge(variables=wanted, playbook="users")
    assert host.run(f"ls {HOMES}/dora {HOMES}/.snapshots/dora").stdout == ""
    assert host.file(f"{HOMES}/carla").is_directory
