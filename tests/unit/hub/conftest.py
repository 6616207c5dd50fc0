"""What the tests of the hub's own Python share: valid settings, free ports, and waiting."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS: dict[str, Any] = {
    "public_url": "https://hub.example.org",
    "base_url": "/",
    "hub_url": "http://172.30.0.1:8081",
    "state_directory": "/var/lib/berth/hub",
    "secrets_directory": "/etc/berth/secrets",
    "shared_directory": "/srv/berth/shared",
    "homes_socket": "/run/berth-homes.sock",
    "routes_file": "/var/lib/berth/routes/hub.yaml",
    "traefik_api_url": "http://127.0.0.1:8099",
    "berth": {
        "image": "berth/notebook:1",
        "network": "berth",
        "memory": "2G",
        "cpus": 1.5,
        "pids": 512,
        "environment": {"TZ": "Europe/Vienna"},
        "default_url": "/lab",
        "notebooks_folder": "notebooks",
        "start_timeout_seconds": 60,
    },
    "accounts": {"admins": ["admin"], "password_length_min": 8, "failed_logins_max": 3, "lockout_seconds": 600},
    "authentication": {
        "way": {"method": "native"},
        "allow_all": False,
        "allowed_users": [],
        "allowed_groups": [],
        "admin_groups": [],
        "failures_per_address": 50,
        "failures_seconds": 600,
        "session_days": 14,
        "trusted_fronts": [],
        "proxies": {},
    },
    "people": {"signup": "closed", "signup_waiting_max": 100},
    "idle": {"after_seconds": 3600, "check_every_seconds": 60},
}
"""What Ansible renders, where nothing is out of the ordinary."""


_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.cycle(range(20_000 + 500 * (_PROCESS % 20), 20_000 + 500 * (_PROCESS % 20 + 1)))


def changed(**changes: Any) -> dict[str, Any]:
    """Valid settings with some changed, as `altered` has it."""
    return altered(SETTINGS, changes)


def altered(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with some of it changed: `berth__memory` is `memory` within `berth`, and `...` takes a key out."""
    made = copy.deepcopy(content)
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = made
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return made


def write_settings(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(changed(**changes)), encoding="utf-8")
    return path


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on right now, all different.

    Below those that the kernel gives to whoever asks for any: what is free now must still be so when a hub has started.
    Each of pytest's processes has some of its own.
    """
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
