"""What must survive: files, kernels, routes; from a container's removal to a restart of the host, which comes last."""

from collections.abc import Callable
from typing import Any

from hub_client import HubClient, wait_until
from testinfra.host import Host

InBerth = Callable[[str, str], Any]


def test_file_survives_the_container(host: Host, hub: HubClient, people: tuple[str, str], in_berth: InBerth) -> None:
    assert in_berth("alice", "echo precious > ~/precious.txt").succeeded
    before = host.check_output("docker inspect --format '{{.Id}}' berth-alice")
    hub.stop("alice")
    assert host.run("docker inspect berth-alice").failed
    hub.start("alice")
    assert host.check_output("docker inspect --format '{{.Id}}' berth-alice") != before
    assert in_berth("alice", "cat ~/precious.txt").stdout == "precious\n"


def test_kernel_survives_a_restart_of_the_hub(host: Host, hub: HubClient, people: tuple[str, str]) -> None:
    kernel = hub.new_kernel("alice")
    hub.execute("alice", kernel, "kept = 42")
    host.check_output("systemctl restart berth-hub.service")
    wait_until(hub.healthy)
    wait_until(lambda: (hub.server("alice") or {}).get("ready"))
    assert hub.execute("alice", kernel, "print(kept)").strip() == "42"


def test_berth_is_reached_while_the_hub_is_down(host: Host, hub: HubClient, people: tuple[str, str]) -> None:
    kernel = hub.new_kernel("alice")
    hub.execute("alice", kernel, "kept = 44")
    host.check_output("systemctl stop berth-hub.service")
    try:
        assert hub.execute("alice", kernel, "print(kept)").strip() == "44"
    finally:
        host.check_output("systemctl start berth-hub.service")
        wait_until(hub.healthy)


def test_routes_survive_a_restart_of_the_proxy(host: Host, hub: HubClient, people: tuple[str, str]) -> None:
    kernel = hub.new_kernel("alice")
    hub.execute("alice", kernel, "kept = 45")
    host.check_output("systemctl restart berth-proxy.service")
    wait_until(hub.healthy)
    wait_until(lambda: hub.execute("alice", kernel, "print(kept)").strip() == "45")


def test_kernel_survives_a_restart_of_the_engine(host: Host, hub: HubClient, people: tuple[str, str]) -> None:
    kernel = hub.new_kernel("alice")
    hub.execute("alice", kernel, "kept = 46")
    host.check_output("systemctl restart docker.service")
    wait_until(lambda: hub.execute("alice", kernel, "print(kept)").strip() == "46")
    # The rules are in force (a service of its own brings them again), and a berth can still be started.
    wait_until(lambda: "from_berth" in host.check_output("nft list table inet berth"))
    hub.stop("bob")
    hub.start("bob")


def test_everything_comes_back_after_a_restart_of_the_host(
    host: Host, hub: HubClient, people: tuple[str, str], in_berth: InBerth, reboot: Callable[[], None]
) -> None:
    reboot()
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""
    assert "from_berth" in host.check_output("nft list table inet berth")
    wait_until(lambda: hub.server("alice") is None)
    hub.start("alice")
    assert in_berth("alice", "cat ~/precious.txt").stdout == "precious\n"
    assert hub.execute("alice", hub.new_kernel("alice"), "print(6 * 7)").strip() == "42"
    hub.start("bob")
