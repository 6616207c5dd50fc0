"""Homes in a btrfs of their own, with quotas and snapshots. The tests build on one another.

Late among the tests of this scenario: homes stay there, and the restore of everything that follows finds them so.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import PASSWORD
from converging import assert_converges_to_nothing, changes, converge, failure, refusal, report
from host_program import HOMES, OnHost, skip_without_btrfs
from hub_client import HubClient, wait_until
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
BEFORE = "/srv/berth/homes.before-loop"
SAVED = "/api/contents/saved.txt"

SUBVOLUME = (
    "import fcntl, os;"
    " fcntl.ioctl(os.open('.', os.O_RDONLY), 0x5000940E, bytearray(8) + bytearray(b'more'.ljust(4088, bytes(1))))"
)
"""A program that makes a subvolume in the folder in which it runs."""


@pytest.fixture(scope="module", autouse=True)
def people(hub: HubClient, host: Host, in_berth: InBerth) -> Iterator[None]:
    """Carla works in a home on the host's own file system, and Dora is new."""
    skip_without_btrfs(host)
    hub.stop_all()
    hub.add_users({"name": "carla", "password": PASSWORD}, {"name": "dora", "password": PASSWORD})
    hub.start("carla")
    made = "mkdir work && echo mine >work/notes && ln work/notes work/same && ln -s notes work/link"
    assert in_berth("carla", made).succeeded
    yield
    hub.stop("carla")


@pytest.fixture(scope="module")
def on_host(host: Host) -> OnHost:
    return OnHost(host)


def save(hub: HubClient, user: str, content: str) -> requests.Response:
    return hub.as_user(user, "PUT", SAVED, json={"type": "file", "format": "text", "content": content})


def all_homes(on_host: OnHost, place: str) -> dict[str, list[Any]]:
    """What is in the homes in a folder, but for what the folder is itself."""
    return {name: told for name, told in on_host.tell(place).items() if name != "."}


def limit_of(host: Host, home: str) -> str:
    """What a home may hold, in bytes."""
    row: list[str] = host.check_output(f"btrfs qgroup show --raw -r -f {HOMES}/{home} | tail -n 1").split()
    return row[3]


def test_what_cannot_be_is_refused(host: Host, in_berth: InBerth) -> None:
    said = refusal(variables={"user_homes_quota": "1G"}, tags=TAGS)
    kind = host.check_output(f"findmnt --noheadings --output=FSTYPE --target {HOMES}")
    assert f"user_homes_quota needs homes on btrfs, and {HOMES} of berth-demo is on {kind}" in said
    assert "user_homes_storage to loop" in said
    # Nobody's home is moved while somebody works in it.
    said = refusal(variables=WANTED, tags=TAGS)
    assert "stop the servers first (berth-carla)" in said
    assert in_berth("carla", "cat work/notes").stdout == "mine\n"


def test_a_dry_run_tells_and_moves_nothing(hub: HubClient, host: Host) -> None:
    hub.stop("carla")
    told = converge(variables=WANTED, tags=["user_homes"], check=True)
    assert changes(told) > 0
    assert "+What=/srv/berth/homes.btrfs" in told.stdout
    assert host.run("ls -d /srv/berth/homes.* /etc/systemd/system/srv-berth-homes.mount").stdout == ""
    assert hub.healthy()


def test_a_move_that_fails_leaves_homes_where_they_were(hub: HubClient, host: Host, on_host: OnHost) -> None:
    before = all_homes(on_host, HOMES)
    host.check_output(f"mkdir -p {BEFORE}/earlier")
    assert f"{BEFORE} is there already" in failure(variables=WANTED, tags=["user_homes"])
    wait_until(hub.healthy)
    assert all_homes(on_host, HOMES) == before
    assert host.run("systemctl cat srv-berth-homes.mount").failed
    host.check_output(f"rm -r {BEFORE}")


def test_homes_move_into_it_and_stay_aside_as_they_were(
    hub: HubClient, host: Host, in_berth: InBerth, on_host: OnHost
) -> None:
    before = all_homes(on_host, HOMES)
    # A run before this one was killed at the worst moment: homes are aside, and the file has not got its name yet.
    host.check_output("systemctl stop berth-hub.service berth-homes.socket berth-homes.service")
    host.check_output(f"mv {HOMES} {BEFORE} && chmod 700 {BEFORE} && mkdir {HOMES} && touch /srv/berth/homes.btrfs.new")
    converge(variables=WANTED, tags=TAGS)
    wait_until(hub.healthy)
    assert host.check_output(f"findmnt --noheadings --output=FSTYPE {HOMES}") == "btrfs"
    assert all_homes(on_host, HOMES) == before == all_homes(on_host, BEFORE)
    assert "carla/work/link" in before
    assert host.check_output(f"stat -c '%a %U' {HOMES} {BEFORE}").split("\n") == ["711 root", "700 root"]
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
    held = int(in_berth("carla", "du -sb .").stdout.split()[0])
    assert (QUOTA_MB - 5) * 1024**2 < held <= QUOTA_MB * 1024**2
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
    assert "Disk quota exceeded" in in_berth("carla", "cat /dev/urandom >>fill").stderr
    kernel = hub.new_kernel("carla")
    assert hub.execute("carla", kernel, "print(6 * 7)").strip() == "42"
    # As the file browser deletes it.
    assert hub.as_user("carla", "DELETE", "/api/contents/fill").ok
    assert save(hub, "carla", "after").ok


def test_nobody_gets_around_it(hub: HubClient, host: Host) -> None:
    """What is in a subvolume of one's own would count to no quota."""
    kernel = hub.new_kernel("dora")
    tried = f"try:\n    {SUBVOLUME}\nexcept PermissionError as error:\n    print(error)"
    assert "Operation not permitted" in hub.execute("dora", kernel, tried)
    host.check_output(f"cd {HOMES}/dora && setpriv --reuid=1000 --regid=1000 --clear-groups python3 -c %s", SUBVOLUME)
    assert host.check_output(f"stat -c %i {HOMES}/dora/more") == "256", "elsewhere it does make one"
    host.check_output(f"rmdir {HOMES}/dora/more")


def test_what_a_home_holds_is_on_the_hubs_page(hub: HubClient, host: Host, in_berth: InBerth) -> None:
    assert in_berth("dora", "head -c 30M /dev/urandom >half; sync half").succeeded
    host.check_output(f"sync --file-system {HOMES}")
    browser = requests.Session()
    browser.trust_env, browser.verify = False, hub.ca
    browser.get(f"{hub.url}/hub/login", timeout=30)
    data = {"username": "dora", "password": PASSWORD, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
    browser.post(f"{hub.url}/hub/login", data=data, timeout=60)
    page = browser.get(f"{hub.url}/hub/home", timeout=30)
    assert page.ok
    assert re.search(rf"Your home: 3[0-9.]+ MB of {QUOTA_MB} MB used", page.text), page.text


def test_users_undo_their_own_mistakes(hub: HubClient, host: Host, in_berth: InBerth) -> None:
    assert host.check_output("systemctl show --property=ActiveState --value berth-snapshots.timer") == "active"
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


def test_a_home_that_is_imported_has_a_quota(host: Host, hub: HubClient, on_host: OnHost, tmp_path: Path) -> None:
    hub.stop("carla")
    asked = {"user_export_names": ["carla"], "user_export_to": str(tmp_path)}
    (made,) = report(asked, playbook="export")["exported"]
    report({"user_import_file": made["file"], "user_import_as": "emil"}, playbook="import")
    assert on_host.tell(f"{HOMES}/emil/work") == on_host.tell(f"{HOMES}/carla/work")
    assert limit_of(host, "emil") == str(QUOTA_MB * 1024**2)
    again = {"user_import_file": made["file"], "user_import_as": "emil", "user_import_into_existing": True}
    folder = report(again, playbook="import")["folder"]
    assert on_host.tell(f"{HOMES}/emil/{folder}/work") == on_host.tell(f"{HOMES}/carla/work")


def test_it_grows_and_never_shrinks(host: Host) -> None:
    # A home that came as a plain directory is made what it should be.
    host.check_output(f"install -d -o 1000 -g 1000 -m 0700 {HOMES}/plain && echo kept >{HOMES}/plain/kept")
    said = refusal(variables=WANTED, tags=["user_homes"])
    assert "user_homes_storage has homes made anew (plain)" in said
    host.check_output("docker rm --force berth-dora")
    converge(variables={**WANTED, "user_homes_storage_size": "1.5G", "user_homes_quota": "80M"}, tags=["user_homes"])
    assert int(host.check_output(f"df --output=size {HOMES} | tail -n 1")) == 1536 * 1024
    assert limit_of(host, "carla") == limit_of(host, "plain") == str(80 * 1024**2)
    assert host.check_output(f"cat {HOMES}/plain/kept; stat -c %u:%a {HOMES}/plain") == "kept\n1000:700"
    host.check_output(f"rm -r {HOMES}/plain")
    assert "1.5G already" in refusal(variables=WANTED, tags=["user_homes"])
    assert "set it to loop" in refusal(tags=["user_homes"])


def test_home_and_snapshots_go_with_their_user(hub: HubClient, host: Host) -> None:
    wait_until(lambda: hub.server("dora") is None)
    wanted = {"jupyterhub_users_wanted": [{"name": "dora", "state": "absent", "delete_home": True}]}
    converge(variables=wanted, playbook="users")
    assert host.run(f"ls {HOMES}/dora {HOMES}/.snapshots/dora").stdout == ""
    assert host.file(f"{HOMES}/carla").is_directory
