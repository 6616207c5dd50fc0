"""The rules that the firewall's template makes: nft takes no set with an empty list of elements."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, select_autoescape

TEMPLATES = Path(__file__).resolve().parents[3] / "roles" / "firewall" / "templates"

NETWORK = {
    "docker_network_bridge": "berth0",
    "docker_network_gateway": "172.30.0.1",
    "docker_network_subnet": "172.30.0.0/24",
    "jupyterhub_api_port": 8081,
}


@pytest.mark.parametrize("listed", ["firewall_blocked", "firewall_allowed", "__firewall_resolvers"])
@pytest.mark.parametrize("addresses", [[], ["10.0.0.0/8", "192.168.0.1"]])
def test_a_list_may_be_empty(listed: str, addresses: list[str]) -> None:
    # As Ansible does.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), trim_blocks=True, autoescape=select_autoescape(enabled_extensions=())
    )
    environment.filters |= {"comment": str, "bool": bool}
    lists = {"firewall_blocked": [], "firewall_allowed": [], "__firewall_resolvers": [], listed: addresses}
    rules = environment.get_template("berth.nft.j2").render(ansible_managed="", **NETWORK, **lists)
    assert re.findall(r"elements = \{ (.*) \}", rules) == ([", ".join(addresses)] if addresses else [])
