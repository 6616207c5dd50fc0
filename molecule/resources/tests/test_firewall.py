"""What a berth reaches on the network, and what it does not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hub_client import wait_until
from testinfra.host import Host

InBerth = Callable[[str, str], Any]

CONNECT = """python3 -c '
import socket, sys
try:
    socket.create_connection(("{address}", {port}), timeout=3).close(); print("open")
except OSError as error:
    print("closed", error)
'"""

LISTEN = """systemd-run --quiet --unit={unit} {where} python3 -c 'import socket
server = socket.create_server(("{address}", {port}))
while True: server.accept()[0].close()'"""


def listen(host: Host, unit: str, address: str, port: int, where: str = "") -> None:
    """Start a server on the platform and wait until it is seen from the platform itself."""
    host.check_output(LISTEN.format(unit=unit, where=where, address=address, port=port))
    connect = CONNECT.format(address=address, port=port)
    assert host.run(f"for i in $(seq 50); do {connect} | grep -q open && exit 0; sleep 0.1; done; exit 1").succeeded


def reach(in_berth: InBerth, address: str, port: int) -> str:
    """`open`, or `closed` with the reason, for a connection from alice's berth."""
    return str(in_berth("alice", CONNECT.format(address=address, port=port)).stdout.strip())


@pytest.fixture
def private_server(host: Host) -> Iterator[str]:
    """A server in a private range, on another machine as far as the platform can tell."""
    for command in (
        "ip netns add site",
        "ip link add site0 type veth peer name eth0 netns site",
        "ip address add 10.77.0.1/24 dev site0",
        "ip link set site0 up",
        "ip -n site address add 10.77.0.2/24 dev eth0",
        "ip -n site link set eth0 up",
        "ip -n site route add default via 10.77.0.1",
    ):
        host.check_output(command)
    listen(host, "site-server", "10.77.0.2", 8000, "ip netns exec site")
    yield "10.77.0.2"
    host.run("systemctl stop site-server; ip netns delete site")


def test_hub_api_is_open(people: tuple[str, str], in_berth: InBerth) -> None:
    assert reach(in_berth, "172.29.0.1", 8081) == "open"


def test_internet_is_open_as_far_as_the_host_reaches_it(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    assert host.run(CONNECT.format(address="deb.debian.org", port=80)).stdout.strip() == "open"
    assert reach(in_berth, "deb.debian.org", 80) == "open"


def test_other_berths_are_closed(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    address = host.check_output("docker inspect --format '{{.NetworkSettings.Networks.berth.IPAddress}}' berth-bob")
    assert host.run(CONNECT.format(address=address, port=8888)).stdout.strip() == "open"
    assert reach(in_berth, address, 8888).startswith("closed")


@pytest.mark.parametrize("port", [22, 80, 443, 2375, 8081, 8099])
def test_host_is_closed_on_its_own_address(host: Host, people: tuple[str, str], in_berth: InBerth, port: int) -> None:
    address = host.check_output("hostname -i").split()[0]
    listen(host, f"listen-{port}", address, port)
    try:
        assert reach(in_berth, address, port).startswith("closed")
    finally:
        host.run(f"systemctl stop listen-{port}")


@pytest.mark.parametrize("port", [8099, 8543, 8580])
def test_host_is_closed_on_the_berths_network(people: tuple[str, str], in_berth: InBerth, port: int) -> None:
    assert reach(in_berth, "172.29.0.1", port).startswith("closed")


def test_metadata_address_is_closed(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    host.check_output("ip address add 169.254.169.254/32 dev lo")
    try:
        listen(host, "metadata", "169.254.169.254", 80)
        assert reach(in_berth, "169.254.169.254", 80).startswith("closed")
    finally:
        host.run("systemctl stop metadata; ip address delete 169.254.169.254/32 dev lo")


def test_private_ranges_are_closed(private_server: str, people: tuple[str, str], in_berth: InBerth) -> None:
    assert reach(in_berth, private_server, 8000).startswith("closed")


def test_nobody_outside_reaches_a_berth(host: Host, private_server: str, people: tuple[str, str]) -> None:
    address = host.check_output("docker inspect --format '{{.NetworkSettings.Networks.berth.IPAddress}}' berth-alice")
    found = host.run(f"ip netns exec site {CONNECT.format(address=address, port=8888)}").stdout
    assert found.startswith("closed")


def rules_are_there(host: Host) -> bool:
    """Whether all three of Berth's chains are loaded."""
    chains = ("inet berth input", "inet berth forward", "bridge berth forward")
    return bool(host.run(" && ".join(f"nft list chain {chain}" for chain in chains)).succeeded)


@pytest.mark.parametrize(
    "command",
    [
        "nft delete table inet berth",
        "nft delete table bridge berth",
        "nft flush ruleset && systemctl restart docker.service",  # that takes the engine's own rules along
    ],
)
def test_rules_come_back_when_something_else_flushes_them(
    host: Host, people: tuple[str, str], in_berth: InBerth, command: str
) -> None:
    host.check_output(command)
    wait_until(lambda: rules_are_there(host))
    assert reach(in_berth, "172.29.0.1", 8099).startswith("closed")


def test_rules_come_back_with_the_sites_own_firewall(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    """While the engine is asked for, systemd leaves Berth's service as it is and lets the site's flush its rules."""
    host.check_output("systemctl restart nftables.service")
    # The site's service is back before all that hangs on it.
    wait_until(lambda: rules_are_there(host), 120)
    host.check_output("systemctl stop nftables.service; systemctl start docker.service berth-firewall.service")
    wait_until(lambda: rules_are_there(host))
    assert in_berth("alice", "true").succeeded
