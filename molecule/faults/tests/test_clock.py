"""The clock jumps by a day (the hub's alone: no container sets the machine's). Who works is not put to sleep."""

import time
from collections.abc import Callable, Iterator

import pytest
from conftest import PASSWORD
from hub_client import HubClient, wait_until
from testinfra.host import Host

IDLE_SECONDS = 40

CLOCK = "/run/clock"

UNIT = "/run/systemd/system/berth-hub.service.d/clock.conf"

FRAGMENT = "/etc/berth/jupyterhub_config.d/99-clock.py"

PASS_ON = """
import os
clock = {name: value for name, value in os.environ.items() if "FAKETIME" in name or name == "LD_PRELOAD"}
for service in c.JupyterHub.services:
    if "command" in service:
        service["environment"] = {**service.get("environment", {}), **clock}
"""

SETTINGS = """
import json
path = "/etc/berth/hub.json"
settings = json.load(open(path))
settings["idle"] |= {"way": "sleep", "after_seconds": %d, "check_every_seconds": 5}
json.dump(settings, open(path, "w"))
"""


@pytest.fixture
def clock(host: Host, hub: HubClient) -> Iterator[Callable[[str], None]]:
    """Have the hub's clock jump to so much from the machine's: `clock("+1d")`."""
    host.check_output("apt-get -q -y install --no-install-recommends libfaketime")
    library = host.check_output("ls /usr/lib/*/faketime/libfaketime.so.1")
    host.check_output("cp -p /etc/berth/hub.json /run/hub.json.before")
    variables = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": CLOCK,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    lines = "".join(f"Environment={name}={value}\\n" for name, value in variables.items())

    def jump(offset: str) -> None:
        host.check_output("echo %s >%s", offset, CLOCK)

    try:
        jump("+0d")
        host.check_output("mkdir -p $(dirname %s) $(dirname %s)", UNIT, FRAGMENT)
        host.check_output("printf %s >%s", f"[Service]\\n{lines}", UNIT)
        host.check_output("printf %%s %s >%s", PASS_ON, FRAGMENT)
        host.check_output("python3 -c %s", SETTINGS % IDLE_SECONDS)
        host.check_output("systemctl daemon-reload && systemctl restart berth-hub.service")
        wait_until(hub.healthy)
        yield jump
    finally:
        host.check_output("rm -f %s %s %s", UNIT, FRAGMENT, CLOCK)
        host.check_output("cp -p /run/hub.json.before /etc/berth/hub.json")
        host.check_output("systemctl daemon-reload && systemctl restart berth-hub.service")
        wait_until(hub.healthy)


def test_who_works_while_the_clock_jumps_goes_on(host: Host, hub: HubClient, clock: Callable[[str], None]) -> None:
    names = ("grace", "heidi")
    hub.add_users(*({"name": name, "password": PASSWORD} for name in names))
    for name in names:
        hub.start(name)
    kernel = hub.new_kernel("grace")
    hub.execute("grace", kernel, "kept = 42")

    def works(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert hub.execute("grace", kernel, "print(kept)") == "42\n"
            assert (hub.server("grace") or {}).get("ready")
            time.sleep(1)

    began = time.monotonic()
    works(12)
    clock("+1d")
    # Three looks at who is idle.
    works(16)
    assert hub.server("heidi"), "she has been idle for less than she may be"
    assert time.monotonic() - began < IDLE_SECONDS, "the test's own clock: what comes above must come in time"

    # Who is idle falls asleep all the same.
    def asleep() -> bool:
        works(1)
        return hub.server("heidi") is None

    wait_until(asleep, 60)
    clock("+0d")
    works(16)
    assert hub.logs_in("grace", PASSWORD)
    for name in names:
        hub.stop(name)
