"""From a berth the internet and the hub's API are reached, and nothing else; beyond what test_firewall.py tries."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hub_client import HubClient, wait_until
from testinfra.host import Host

InBerth = Callable[[str, str], Any]

SCAN = """
import asyncio, json
async def look(address, port, found):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 2)
        writer.close()
        found.append([address, port])
    except (OSError, asyncio.TimeoutError):
        pass
async def main():
    found = []
    for address in ADDRESSES:
        await asyncio.gather(*(look(address, port, found) for port in PORTS))
    print(json.dumps(found))
asyncio.run(main())
"""

PORTS = [*range(1, 1025), 2375, 2376, 2377, 4243, 5000, 5355, 6443, 7946, 8000, 8001, 8080, 8081, 8099, 8443, 8888]
PORTS += [9000, 9090, 9093, 9100, 9102, 9323, 10250, 27017]
"""Those of the system, and those where engines, proxies, monitoring and databases listen."""


def scan(run: Callable[[str], Any], addresses: list[str], ports: list[int]) -> list[list[Any]]:
    """Ports that take a connection."""
    code = SCAN.replace("ADDRESSES", json.dumps(addresses)).replace("PORTS", json.dumps(ports))
    found = run(f"python3 -c '{code}'")
    assert found.rc == 0, found.stderr
    opened: list[list[Any]] = json.loads(found.stdout)
    return opened


@pytest.fixture
def listening(host: Host) -> Iterator[list[int]]:
    """Ports on which the host listens at all of its addresses, old and new kind, as a careless service would."""
    ports = [2375, 5000, 9323]
    for port in ports:
        host.check_output(f"systemd-run --quiet --unit=careless-{port} python3 -m http.server --bind :: {port}")
    yield ports
    for port in ports:
        host.run(f"systemctl stop careless-{port}")


def test_the_host_has_one_port_for_berths(
    host: Host, people: tuple[str, str], in_berth: InBerth, listening: list[int]
) -> None:
    """On every address that the host has, whichever network it is of."""
    addresses = host.check_output("hostname --all-ip-addresses").split()
    assert "172.29.0.1" in addresses
    # What is tried can be reached from the host itself.
    wait_until(lambda: [port for _, port in scan(host.run, ["172.29.0.1"], listening)] == listening)
    old = [address for address in addresses if ":" not in address]
    assert scan(lambda command: in_berth("alice", command), old, PORTS) == [["172.29.0.1", 8081]]


def test_not_by_the_newer_kind_of_address_either(
    host: Host, people: tuple[str, str], in_berth: InBerth, listening: list[int]
) -> None:
    """By those that the host has, if it has any, and by the older kind written as the newer."""
    found = [line.split()[3].split("/")[0] for line in host.check_output("ip -6 -oneline address show").splitlines()]
    targets = [f"{address}%eth0" if address.startswith("fe80") else address for address in found if address != "::1"]
    mapped = "::ffff:172.29.0.1"
    assert scan(lambda command: in_berth("alice", command), [*targets, mapped], listening) == []
    assert scan(lambda command: in_berth("alice", command), [mapped], [8081]) == [[mapped, 8081]]


def test_another_berth_is_closed_on_every_port(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    """Bob has a server of his own beside the notebook server."""
    started = in_berth("bob", "cd /tmp && (python3 -m http.server --bind 0.0.0.0 5000 >/dev/null 2>&1 &)")
    assert started.rc == 0
    address = host.check_output("docker inspect --format '{{.NetworkSettings.Networks.berth.IPAddress}}' berth-bob")
    wait_until(lambda: scan(host.run, [address], [5000]))
    assert scan(lambda command: in_berth("alice", command), [address], PORTS) == []


def test_names_of_other_berths_lead_nowhere(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    for name in ("berth-bob", "berth-bob.berth", "host.docker.internal", "gateway.docker.internal"):
        found = in_berth("alice", f"python3 -c 'import socket; socket.create_connection((\"{name}\", 8888), 3)'")
        assert found.rc != 0, name


SEND = """
import socket, struct, sys
source, target, port, words = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[1].encode()
if source == "own":
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(words, (target, port))
else:
    datagram = struct.pack("!HHHH", 5353, port, 8 + len(words), 0) + words
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(head + datagram, (target, 0))
"""

HEAR = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("203.0.113.2", 5000))
print("hears", flush=True)
while True:
    print(server.recv(1000).decode(), flush=True)
"""


@pytest.fixture
def elsewhere(host: Host) -> Iterator[Callable[[], list[str]]]:
    """A machine in the internet, as far as the host can tell; it tells what it has heard."""
    host.check_output(
        "ip netns add elsewhere && ip link add elsewhere0 type veth peer name eth0 netns elsewhere"
        " && ip address add 203.0.113.1/24 dev elsewhere0 && ip link set elsewhere0 up"
        " && ip -n elsewhere address add 203.0.113.2/24 dev eth0 && ip -n elsewhere link set eth0 up"
        " && ip -n elsewhere route add default via 203.0.113.1"
    )
    log = "/run/elsewhere.log"
    try:
        host.check_output(
            f"systemd-run --quiet --unit=elsewhere --property=StandardOutput=truncate:{log}"
            f" ip netns exec elsewhere python3 -c '{HEAR}'"
        )

        def heard() -> list[str]:
            words: list[str] = host.run(f"cat {log}").stdout.split()
            return words

        wait_until(lambda: heard() == ["hears"])
        yield heard
    finally:
        host.run(f"systemctl stop elsewhere; ip netns delete elsewhere; rm -f {log}")


def test_a_false_sender_is_dropped(host: Host, people: tuple[str, str], elsewhere: Callable[[], list[str]]) -> None:
    """Root of the host sends from within the berth's network what a berth itself, without raw sockets, cannot."""
    pid = host.check_output("docker inspect --format '{{.State.Pid}}' berth-alice")
    host.check_output("cat >/run/send.py <<'END'\n" + SEND + "END")

    def send(source: str) -> None:
        host.check_output(f"nsenter --target {pid} --net python3 /run/send.py {source} 203.0.113.2 5000")

    def dropped() -> int:
        rule = host.check_output("nft list chain inet berth from_berth | grep 'ip saddr != 172.29.0.0/16'")
        return int(rule.split("packets ")[1].split()[0])

    before = dropped()
    for source in ("10.1.2.3", "203.0.113.77", "8.8.8.8"):
        send(source)
    send("own")
    wait_until(lambda: "own" in elsewhere())
    assert elsewhere() == ["hears", "own"]
    assert dropped() == before + 3


def test_the_metadata_service_hears_nothing(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    """A false one on the host counts who comes: from the host somebody does, from a berth nobody."""
    host.check_output("ip address add 169.254.169.254/32 dev lo && mkdir -p /run/metadata")
    try:
        host.check_output(
            "systemd-run --quiet --unit=metadata --working-directory=/run/metadata "
            "--property=StandardError=file:/run/metadata.log python3 -u -m http.server --bind 169.254.169.254 80"
        )
        get = "python3 -c 'import urllib.request; urllib.request.urlopen(\"http://169.254.169.254/\", timeout=3)'"
        assert host.run(f"for i in $(seq 50); do {get} && exit; sleep 0.2; done; exit 1").rc == 0
        heard = host.check_output("grep -c GET /run/metadata.log")
        for address in ("169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe"):
            assert in_berth("alice", get.replace("169.254.169.254", address)).rc != 0
        assert host.check_output("grep -c GET /run/metadata.log") == heard
    finally:
        host.run("systemctl stop metadata; ip address delete 169.254.169.254/32 dev lo")


def test_anothers_server_is_not_reached_with_a_token_of_ones_own(
    hub: HubClient, people: tuple[str, str], in_berth: InBerth
) -> None:
    """Neither from outside nor by the hub's own port, which knows no servers."""
    token = hub.token("alice")
    code = f"""
import http.client
for path in ("/user/bob/api/contents", "/hub/user/bob/api/contents", "/user/alice/../bob/api/contents"):
    connection = http.client.HTTPConnection("172.29.0.1", 8081, timeout=20)
    connection.request("GET", path, headers={{"Authorization": "token {token}"}})
    answer = connection.getresponse()
    print(answer.status, b"notebooks" in answer.read())
"""
    found = in_berth("alice", f"python3 -c '{code}'")
    assert found.rc == 0, found.stderr
    assert found.stdout.count("False") == 3, found.stdout
    assert "200 " not in found.stdout
    headers = {"Authorization": f"token {token}"}
    for path in ("/user/bob/api/contents", "/user/alice/../bob/api/contents", "/user/alice/%2e%2e/bob/api/contents"):
        answer = hub.session.get(f"{hub.url}{path}", headers=headers, timeout=20, allow_redirects=False)
        assert answer.status_code >= 400, path
