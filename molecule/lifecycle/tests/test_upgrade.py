"""A host goes from an earlier release to this one, back by itself from ones that do not work, and back when asked.

The earlier release is this checkout with an older JupyterHub, whose database really has to be migrated. The tests build
on one another.
"""

import re
import shlex
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import PASSWORD
from converging import PROJECT, begun, converge, failure, refusal, report
from hub_client import HubClient, wait_until
from testinfra.host import Host

# JupyterHub 5.5.4 has another schema than 6.1.
OLDER = "5.5.4"
OLDER_HASH = "1d987cbe96390e1877ae37b33e0f2936cac72d3abff93496551c58c1df1f533d"
OLDER_SCHEMA = "4621fec11365"
LOCK = "roles/jupyterhub/files/requirements.txt"
CONFIGURATION = "roles/jupyterhub/files/host/etc/berth/jupyterhub_config.py"
DATABASE = "/var/lib/berth/hub/jupyterhub.sqlite"
ASK_REVISION = """
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("SELECT version_num FROM alembic_version").fetchone())
"""
BROKEN = '\nimport sys, time\n\nif "upgrade-db" not in sys.argv:\n    '
"""At the end of a configuration: the migration works, and the hub does what follows."""

QUICK = {"upgrade_backup": False, "proxy_health_seconds": 12}
"""For upgrades that must fail: the first one has shown that a snapshot is made."""

UNUSED = "berth/notebook:of-a-release-that-is-not-kept"
ONLY = ["jupyterhub", "proxy"]


def checkout(place: Path, **changed: tuple[str, str]) -> Path:
    """A copy of this checkout with something changed in it: by file, a pattern and what to put in its place."""
    left_out = shutil.ignore_patterns(".*", "test-results", "docs", "tests", "molecule", "__pycache__")
    shutil.copytree(PROJECT, place, symlinks=True, ignore=left_out)
    for name, (pattern, text) in changed.items():
        path = place / name
        before = path.read_text(encoding="utf-8")
        path.write_text(re.sub(pattern, text.replace("\\", r"\\"), before, count=1), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != before
    return place


@contextmanager
def downtime(hub: HubClient, what: str) -> Iterator[None]:
    """Print for how long the hub did not answer meanwhile."""
    done = threading.Event()
    missing = 0.0

    def watch() -> None:
        nonlocal missing
        session = requests.Session()
        session.verify, session.trust_env = hub.ca, False
        last = time.monotonic()
        while not done.wait(0.1):
            try:
                answered = session.get(f"{hub.url}/hub/health", timeout=5).ok
            except requests.RequestException:
                answered = False
            now = time.monotonic()
            missing += 0 if answered else now - last
            last = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        print(f"\n{what}: {time.monotonic() - began:.0f} s, hub away for {missing:.1f} s")


def revision(host: Host) -> str:
    return str(host.check_output(f"python3 -c {shlex.quote(ASK_REVISION)} {DATABASE}"))


def kept() -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = report({"rollback_list": True}, playbook="rollback")
    return found


@pytest.fixture(scope="module")
def older(host: Host, hub: HubClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host of an earlier release."""
    lock = f"jupyterhub=={OLDER} \\\n    --hash=sha256:{OLDER_HASH}\n"
    place = checkout(
        tmp_path_factory.mktemp("older") / "berth",
        **{
            LOCK: (r"(?m)^jupyterhub==\S+ \\\n(?:    --hash=\S+(?: \\)?\n)+", lock),
            "roles/jupyterhub/files/berth_hub/__init__.py": (r'__version__ = ".*"', '__version__ = "0.0.9"'),
        },
    )
    # An older release does not take over what a newer one has written.
    host.check_output(f"systemctl stop berth-hub && rm -rf {DATABASE}* /opt/berth/hub")
    converge(tags=["jupyterhub"], project=place)
    wait_until(hub.healthy)
    hub.forget_tokens()
    hub.add_users(*({"name": name, "password": PASSWORD} for name in ("alice", "bob", "dave")))
    return place


@pytest.fixture(scope="module")
def kernel(hub: HubClient, older: Path) -> str:
    """Of alice's, with a variable in it; bob's server sleeps, with a kernel like it."""
    for name in ("alice", "bob"):
        hub.start(name)
    found = hub.new_kernel("alice")
    hub.execute("alice", found, "x = 41")
    answer = hub.session.post(f"{hub.url}/hub/api/berth/sleep/bob", headers=hub.operator, timeout=60)
    assert answer.ok, answer.text
    wait_until(lambda: hub.server("bob") is None)
    return found


def assert_goes_on(host: Host, hub: HubClient, kernel: str) -> None:
    """The kernel has its variable, who slept sleeps, people log in."""
    assert hub.execute("alice", kernel, "print(x + 1)") == "42\n"
    assert host.check_output("docker inspect --format '{{.State.Status}}' berth-bob") == "paused"
    assert [one["user"] for one in hub.api("GET", "/berth/sleep")] == ["bob"]
    assert hub.logs_in("alice", PASSWORD)


def test_one_that_cannot_start_is_left_again_with_its_database(
    host: Host, hub: HubClient, kernel: str, tmp_path: Path
) -> None:
    broken = checkout(
        tmp_path / "berth", **{CONFIGURATION: (r"\Z", BROKEN + 'raise RuntimeError("broken on purpose")\n')}
    )
    with downtime(hub, "upgrade to a hub that cannot start, and back"):
        said = failure(variables=QUICK, tags=ONLY, playbook="upgrade", project=broken)
    assert f"the release before serves again: Berth 0.0.9, JupyterHub {OLDER}" in said
    assert "broken on purpose" in said, "why is told in the hub's own words"
    assert "What failed:" in said
    assert hub.api("GET", "/")["version"] == OLDER
    assert revision(host) == OLDER_SCHEMA
    assert_goes_on(host, hub, kernel)
    left, before = kept()[:2]
    assert left["gave_up"]
    assert (before["jupyterhub"], before["gave_up"]) == (OLDER, "")


def test_one_whose_migration_does_not_end_is_left_again(
    host: Host, hub: HubClient, kernel: str, tmp_path: Path
) -> None:
    endless = '\nimport sys, time\n\nif "upgrade-db" in sys.argv:\n    time.sleep(3600)\n'
    slow = checkout(tmp_path / "berth", **{CONFIGURATION: (r"\Z", endless)})
    short = {**QUICK, "jupyterhub_migration_seconds": 5}
    with downtime(hub, "upgrade to a hub whose migration does not end, and back"):
        said = failure(variables=short, tags=ONLY, playbook="upgrade", project=slow)
    assert "jupyterhub upgrade-db was not done within 5 s (jupyterhub_migration_seconds)" in said
    assert f"the release before serves again: Berth 0.0.9, JupyterHub {OLDER}" in said
    assert revision(host) == OLDER_SCHEMA
    assert_goes_on(host, hub, kernel)


def test_an_upgrade(host: Host, hub: HubClient, older: Path, kernel: str) -> None:
    snapshot = report(playbook="status")["backup"]["good"]
    host.check_output("mkdir /opt/berth/venvs/hub-000000000000")
    host.check_output(f"tar --create --files-from=/dev/null | docker import - {UNUSED}")
    with downtime(hub, "upgrade with a migration"):
        converge(variables={"upgrade_keep": 1}, playbook="upgrade")
    lock = (PROJECT / LOCK).read_text(encoding="utf-8")
    newer = re.search(r"(?m)^jupyterhub==(\S+)", lock)
    assert newer
    assert hub.api("GET", "/")["version"] == newer[1]
    assert revision(host) != OLDER_SCHEMA
    assert_goes_on(host, hub, kernel)
    now = report(playbook="status")
    assert now["backup"]["good"] != snapshot, "there is one of the release before"
    noted = now["release"]
    assert (noted["jupyterhub"], noted["kept"][0]["jupyterhub"]) == (newer[1], OLDER)
    assert len([one for one in kept() if not one["gave_up"]]) == 1, "and no more than wanted"
    assert host.run("ls -d /opt/berth/venvs/hub-000000000000").rc != 0
    images = host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}'").split()
    assert UNUSED not in images
    assert now["versions"]["image"] in images
    said = refusal(project=older)
    assert f"has JupyterHub {newer[1]}, and this checkout brings {OLDER}, which cannot read its database" in said


def test_a_host_goes_back_by_itself_when_whoever_upgrades_it_is_gone(
    host: Host, hub: HubClient, kernel: str, tmp_path: Path
) -> None:
    hub.add_users({"name": "carol", "password": PASSWORD})
    broken = checkout(tmp_path / "berth", **{CONFIGURATION: (r"\Z", f"{BROKEN}time.sleep(3600)\n")})
    lost = {**QUICK, "jupyterhub_migration_seconds": 5, "upgrade_lost_seconds": 20}
    with downtime(hub, "upgrade to a hub that never answers, by somebody who is gone, and back"):
        with begun(variables=lost, tags=ONLY, playbook="upgrade", project=broken):
            wait_until(lambda: not answers(hub), 180)
        wait_until(lambda: kept()[0]["gave_up"].startswith("the hub did not answer for 20 s"), 180, every=2)
    assert hub.healthy()
    assert "sleep" not in host.check_output("cat /etc/berth/jupyterhub_config.py")
    assert_goes_on(host, hub, kernel)
    assert hub.logs_in("carol", PASSWORD), "of the same schema nothing is lost"


def answers(hub: HubClient) -> bool:
    try:
        return hub.healthy()
    except requests.RequestException:
        return False


def test_back_to_another_schema_when_asked_and_forth_again(host: Host, hub: HubClient, kernel: str) -> None:
    target = next(one for one in kept() if one["jupyterhub"] == OLDER and not one["gave_up"])
    assert target["database"] == "before its migration", "and the question says so"
    hub.start("dave")
    with downtime(hub, "rollback"):
        done = report({"rollback_release": target["id"]}, playbook="rollback")
    assert hub.api("GET", "/")["version"] == OLDER
    assert_goes_on(host, hub, kernel)
    assert not hub.logs_in("carol", PASSWORD)
    # The older database does not know that his server runs.
    hub.start("dave")
    with downtime(hub, "rollback of the rollback"):
        report({"rollback_release": done["left"]}, playbook="rollback")
    assert hub.api("GET", "/")["version"] != OLDER
    assert_goes_on(host, hub, kernel)
    assert hub.logs_in("carol", PASSWORD), "what was put aside has come back"
    # And who slept all the time wakes.
    hub.start("bob")


def test_a_snapshot_of_the_older_release_comes_back_into_this_one(host: Host, hub: HubClient, kernel: str) -> None:
    """The upgrade has made it, the last so far, of a database that this JupyterHub has to migrate."""
    newer = hub.api("GET", "/")["version"]
    done = report({"restore_overwrite": True}, playbook="restore")
    assert done["versions"] == {"berth": "0.0.9", "jupyterhub": OLDER}
    wait_until(hub.healthy, 60)
    hub.forget_tokens()
    assert hub.api("GET", "/")["version"] == newer
    assert revision(host) != OLDER_SCHEMA
    assert hub.logs_in("dave", PASSWORD)
    assert not hub.logs_in("carol", PASSWORD), "her account is of after the snapshot"
    hub.start("dave")
    hub.stop("dave")
