"""A hundred starts and stops leave nothing behind."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from conftest import PASSWORD
from hub_client import HubClient, wait_until
from testinfra.host import Host

Took = Callable[[str, Callable[[], Any]], float]

USERS = [f"turn{number}" for number in range(4)]
CYCLES = 100

SPARE = {
    "descriptors of berth-hub": 30,
    "descriptors of berth-dock": 30,
    "descriptors of berth-proxy": 10,
    "descriptors of docker": 10,
}
"""Connections are kept for the next request, by the hub up to 25 to the broker for two minutes. A leak is a hundred."""

LOOK = """
import json, os, pathlib, sqlite3, subprocess

def lines(*command):
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())

def descriptors(unit):
    pid = subprocess.run(["systemctl", "show", "--property=MainPID", "--value", unit], capture_output=True, text=True)
    return len(os.listdir(f"/proc/{pid.stdout.strip()}/fd"))

database = sqlite3.connect("file:/var/lib/berth/hub/jupyterhub.sqlite?mode=ro", uri=True)
tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
found = {
    "containers": lines("docker", "ps", "--all", "--quiet"),
    "networks": lines("docker", "network", "ls", "--quiet"),
    "volumes": lines("docker", "volume", "ls", "--quiet"),
    "interfaces": len(os.listdir("/sys/class/net")),
    "mounts": len(pathlib.Path("/proc/self/mounts").read_text().splitlines()),
    "control groups": sum(1 for _ in pathlib.Path("/sys/fs/cgroup").rglob("docker/*/")),
    "firewall": lines("nft", "list", "ruleset"),
    "route files": len(os.listdir("/var/lib/berth/routes")),
    "routes": pathlib.Path("/var/lib/berth/routes/hub.yaml").read_text().count("/user/"),
    "files of homes": sum(1 for _ in pathlib.Path("/srv/berth/homes").glob("*")),
    **{f"rows of {name}": database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables},
    **{f"descriptors of {unit}": descriptors(unit) for unit in ("berth-hub", "berth-dock", "berth-proxy", "docker")},
}
print(json.dumps(found))
"""


def look(host: Host) -> dict[str, int]:
    found: dict[str, int] = json.loads(host.check_output("python3 -c %s", LOOK))
    return found


def test_a_hundred_starts_and_stops_leave_nothing_behind(host: Host, hub: HubClient, took: Took) -> None:
    hub.add_users(*({"name": name, "password": PASSWORD} for name in USERS))

    def turn(name: str, times: int) -> None:
        mine = HubClient(hub.url, Path(hub.ca), "")
        mine.operator = hub.operator
        for _ in range(times):
            mine.start(name)
            mine.stop(name)

    def turns(times: int) -> None:
        with ThreadPoolExecutor(len(USERS)) as pool:
            list(pool.map(turn, USERS, [times] * len(USERS)))

    # Homes, and what is made once for a user.
    turns(1)
    before = look(host)
    took(f"{CYCLES} starts and stops, {len(USERS)} at a time", lambda: turns(CYCLES // len(USERS)))

    def left() -> bool:
        after = look(host)
        more = {
            name: (count, after[name]) for name, count in before.items() if after[name] > count + SPARE.get(name, 0)
        }
        assert not more, f"before and after: {more}"
        return True

    wait_until(left, 60, 2)
