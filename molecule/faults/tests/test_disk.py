"""Disks that are full: of the hub's state, and of a home. Each is a small file system of its own, and is filled."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from conftest import PASSWORD
from converging import report
from hub_client import HubClient, wait_until
from testinfra.host import Host

Took = Callable[[str, Callable[[], Any]], float]

STATE = "/var/lib/berth/hub"
HOME = "/srv/berth/homes/erin"
DATABASE = f"{STATE}/jupyterhub.sqlite"

SOUND = (
    "runuser --user=berth -- python3 -c \"import sqlite3; print(sqlite3.connect('"
    + DATABASE
    + "').execute('PRAGMA integrity_check').fetchone()[0])\""
)


def fill(host: Host, folder: str) -> None:
    """With a file of root's."""
    host.run("dd if=/dev/zero of=%s/filler bs=4k status=none", folder)
    assert host.check_output("df --output=avail %s | tail -n 1", folder).strip() == "0"


@pytest.fixture(scope="module")
def small_state(host: Host, hub: HubClient, people: tuple[str, str]) -> Iterator[None]:
    """The hub's folder is a disk of its own, of 8 MB, with all that was in it."""
    host.check_output("systemctl stop berth-hub.service")
    host.check_output(f"mount -t tmpfs -o size=8m,mode=0700,uid=$(id -u berth),gid=$(id -g berth) tmpfs {STATE}")
    host.check_output(f"mkdir /run/under && mount --bind /var/lib/berth /run/under && cp -a /run/under/hub/. {STATE}/")
    host.check_output("systemctl start berth-hub.service")
    wait_until(hub.healthy)
    yield
    # What was written meanwhile stays.
    host.check_output("systemctl stop berth-hub.service")
    host.check_output(
        f"rm -f {STATE}/filler && cp -a {STATE}/. /run/under/hub/ && umount {STATE} /run/under && rmdir /run/under"
    )
    host.check_output("systemctl start berth-hub.service")
    wait_until(hub.healthy)


def page(hub: HubClient) -> requests.Response:
    """What a person sees who logs in and wants to see the list of their servers."""
    browser = requests.Session()
    browser.trust_env, browser.verify = False, hub.ca
    browser.get(f"{hub.url}/hub/login", timeout=30)
    data = {"username": "alice", "password": PASSWORD, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
    return browser.post(f"{hub.url}/hub/login", data=data, timeout=60)


def test_the_disk_of_the_hub_is_full(host: Host, hub: HubClient, took: Took, small_state: None) -> None:
    kernel = hub.new_kernel("alice")
    hub.execute("alice", kernel, "kept = 42")
    fill(host, STATE)
    name = f"late-{uuid.uuid4().hex[:8]}"
    new = {"users": [{"name": name, "password": PASSWORD}]}
    refused = hub.session.post(f"{hub.url}/hub/api/berth/users", json=new, headers=hub.operator, timeout=60)
    assert refused.status_code == 500
    assert "disk of the hub is full" in refused.json()["message"]
    seen = page(hub)
    assert seen.ok or "disk of the hub is full" in seen.text
    # What can be done without writing is done.
    assert hub.healthy()
    assert hub.execute("alice", kernel, "print(kept)") == "42\n"
    assert wait_until(lambda: hub.server("alice"))["ready"]
    told = report(playbook="status")
    (disk,) = (one for one in told["disk"] if one["path"] == STATE)
    assert disk["percent"] == 100
    assert disk["available_bytes"] == 0

    host.check_output("rm %s/filler", STATE)

    def all_is_well() -> None:
        wait_until(lambda: hub.add_users({"name": name, "password": PASSWORD}))
        wait_until(lambda: hub.logs_in(name, PASSWORD))

    assert took("disk of the hub full, from room to a log-in", all_is_well) < 30
    assert host.check_output(SOUND) == "ok"


def test_a_hub_that_finds_the_disk_full_when_it_starts(
    host: Host, hub: HubClient, took: Took, small_state: None
) -> None:
    fill(host, STATE)
    before = int(host.check_output("journalctl --unit=berth-hub --output=cat | wc -c"))
    host.check_output("systemctl restart berth-hub.service")
    wait_until(lambda: int(host.check_output("systemctl show --property=NRestarts --value berth-hub.service")) > 1)
    assert int(host.check_output("journalctl --unit=berth-hub --output=cat | wc -c")) - before < 200_000
    host.check_output("rm %s/filler", STATE)
    assert (
        took(
            "hub starts on a full disk, from room to a log-in",
            lambda: wait_until(lambda: hub.logs_in("alice", PASSWORD)),
        )
        < 30
    )
    assert host.check_output(SOUND) == "ok"


def test_the_disk_of_a_home_is_full(host: Host, hub: HubClient, took: Took) -> None:
    hub.add_users({"name": "erin", "password": PASSWORD})
    host.check_output(f"install -d -o 1000 -g 1000 -m 0700 {HOME}")
    host.check_output(f"mount -t tmpfs -o size=20m,mode=0700,uid=1000,gid=1000 tmpfs {HOME}")
    try:
        hub.start("erin")
        first, second = ({"cells": [], "metadata": {"n": n}, "nbformat": 4, "nbformat_minor": 5} for n in (1, 2))
        second["metadata"] = {"n": 2, "long": "x" * 50_000}

        def save(content: dict[str, Any]) -> requests.Response:
            body = {"type": "notebook", "content": content}
            return hub.as_user("erin", "PUT", "/api/contents/work.ipynb", json=body)

        assert save(first).ok
        fill(host, HOME)
        refused = save(second)
        assert not refused.ok
        assert refused.json()["message"].endswith(("disk is full", "No space left on device"))
        # What was there is whole.
        assert json.loads(host.check_output("cat %s/work.ipynb", HOME))["metadata"]["n"] == 1
        host.check_output("rm %s/filler", HOME)
        took("disk of a home full, from room to a saved notebook", lambda: wait_until(lambda: save(second).ok))
    finally:
        hub.stop("erin")
        host.check_output(f"umount {HOME}")
