"""The bench measures, and leaves a host as it found it (the peer, which takes minutes to make, is left out)."""

import converging
from hub_client import HubClient
from testinfra.host import Host

STATE = """
sha256sum /etc/berth/hub.json; stat --format '%U %G %a' /etc/berth/hub.json
systemctl show --property=DropInPaths,Environment,SupplementaryGroups berth-hub.service
ls /srv/berth/homes; docker ps --all --format '{{.Names}}' | sort; ls /var/lib | grep berth
"""


def users(hub: HubClient) -> set[str]:
    return {user["name"] for user in hub.add_users()["users"]}


def test_figures_and_nothing_else(host: Host, hub: HubClient) -> None:
    known, state = users(hub), host.check_output(STATE)
    found = converging.report(playbook="bench", variables={"bench_rounds": 2, "bench_peer": False})
    measured = {"docker run", "berth", "berth (hub says ready)", "berth (first cell's output)"}
    assert {name: len(seconds) for name, seconds in found["seconds"].items()} == dict.fromkeys(measured, 2)
    assert min(min(seconds) for seconds in found["seconds"].values()) > 0
    storm = {"bench_what": "storm", "bench_users": 4, "bench_peer": False}
    found = converging.report(playbook="bench", variables=storm)
    assert len(found["seconds"]["berth"]) == 4
    assert {"users": 4, "ready": 4, "failed": 0}.items() <= found["figures"]["berth"].items()
    assert users(hub) == known
    assert host.check_output(STATE) == state
