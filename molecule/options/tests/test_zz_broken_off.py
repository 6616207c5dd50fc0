"""Converges that are killed at random tasks, one after the other; the next complete one mends what they have left."""

import os
import random
from typing import Any

import pytest
from conftest import PASSWORD
from converging import assert_converges_to_nothing, break_off, converge, tasks
from hub_client import HubClient, wait_until
from testinfra.host import Host

KILLS = 10
SEED = int(os.environ.get("BERTH_BROKEN_OFF_SEED") or random.SystemRandom().randrange(10**6))
TAGS = ["firewall", "user_homes", "broker", "jupyterhub", "proxy", "monitoring", "backup"]
"""Roles that a site's decisions reach without an image to be made anew."""


def wanted(number: int) -> dict[str, Any]:
    """Decisions of a site's that all of these roles have a part in; each number's differ from every other's."""
    return {
        "firewall_allowed": [f"192.168.77.{number}"],
        "jupyterhub_announcement": f"Announced {number}",
        "broker_images": [f"localhost/broken-off:{number}"],
        "proxy_hsts_seconds": 1000 + number,
        "monitoring_retention_days": 20 + number,
        "backup_calendar": f"*-*-* 03:{number:02}:00",
    }


def in_force(host: Host, hub: HubClient) -> dict[str, str]:
    """What runs, whatever is in files, says of those decisions."""
    page = hub.session.get(f"{hub.url}/hub/login", timeout=30)
    return {
        "firewall": host.check_output("nft list ruleset"),
        "hub": page.text,
        "proxy": page.headers["Strict-Transport-Security"],
        "monitoring": host.check_output(
            "cat /proc/$(systemctl show --property=MainPID --value prometheus.service)/cmdline | tr '\\0' ' '"
        ),
        "backup": host.check_output("systemctl show --property=TimersCalendar berth-backup.timer"),
    }


@pytest.mark.parametrize("seed", [SEED])
def test_what_was_killed_on_the_way_is_made_good(host: Host, hub: HubClient, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (chance, not secrecy)
    # First of all: what the tests before wanted would let an idle server sleep within seconds.
    many = tasks(converge(variables=wanted(0), tags=TAGS))
    hub.add_users({"name": "dora", "password": PASSWORD})
    hub.start("dora")
    kernel = hub.new_kernel("dora")
    hub.execute("dora", kernel, "x = 41; open('kept', 'w').write('mine')")

    # The last one wants what the complete one wants, which does not write again what is written already. Not the very
    # last tasks, since another converge may have one less.
    for number, task in enumerate(chance.sample(range(1, many - 3), KILLS), 1):
        title = break_off(wanted(number), TAGS, task=task, after=chance.uniform(0, 0.5))
        print(f"killed at {task} of {many}: {title}")
        wait_until(hub.healthy, 60)

    converge(variables=wanted(KILLS), tags=TAGS)
    found = in_force(host, hub)
    assert f"192.168.77.{KILLS}" in found["firewall"]
    assert f"Announced {KILLS}" in found["hub"]
    assert str(1000 + KILLS) in found["proxy"]
    assert f"retention.time={20 + KILLS}d" in found["monitoring"]
    assert f"03:{KILLS}:00" in found["backup"]
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""
    # A hub that has just started looks first who is at work.
    wait_until(lambda: (hub.server("dora") or {}).get("ready"), 60)
    assert hub.execute("dora", kernel, "print(x + 1, open('kept').read())") == "42 mine\n"
    assert_converges_to_nothing(variables=wanted(KILLS), tags=TAGS)
    hub.stop("dora")
