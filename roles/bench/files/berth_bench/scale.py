"""What grows with the hub: starts beside others that run, a list of many users, and the hub's own start."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from berth_bench.hubs import BenchError, Hub, berth, request, run
from berth_bench.spawn import Series, guest, guests
from berth_bench.storm import PATIENCE_SECONDS, storm

RUNNING = (0, 25, 50, 100)
"""Berths beside which one more starts."""

USERS = 5000
"""In the hub's database."""

PAGE = 200
"""Users that JupyterHub's own page asks for at once, at most (`api_page_max_limit`)."""

SETTLE_SECONDS = 15
"""A server that has just started has things to do; those beside whom one starts are at rest."""

_ADDED_AT_ONCE = 500


def measure(rounds: int) -> Series:
    """Starts beside more and more others; then, with all of them there, the hub's own start; then lists.

    Args:
        rounds: Starts and lists of each kind.

    Raises:
        BenchError: One of the others does not start.
    """
    hub = berth()
    found: Series = {}
    names = [f"bench{number}" for number in range(max(RUNNING))]
    with guests(hub, names):
        before = 0
        for running in RUNNING:
            _start(hub, names[before:running])
            before = running
            found[f"berth (a start beside {running})"] = _starts(hub, rounds)
        found[f"berth (the hub's own start, {before} run)"] = [_restart(hub) for _ in range(3)]
    found["berth (the hub's own start, none runs)"] = [_restart(hub) for _ in range(3)]
    with _many_users(hub):
        found[f"berth (a page of {PAGE} of {USERS} users)"] = _lists(hub, rounds)
    return found


def _start(hub: Hub, names: list[str]) -> None:
    if names and (failures := storm(hub, names).failures):
        raise BenchError(f"{len(failures)} of {len(names)} servers did not start: {failures[0]}")
    time.sleep(SETTLE_SECONDS if names else 0)


def _starts(hub: Hub, rounds: int) -> list[float]:
    found = []
    for number in range(rounds + 1):
        with guest(hub, f"benchone{number}") as name:
            found.append(hub.start(name).usable)
    return found[1:]


def _restart(hub: Hub) -> float:
    """Seconds from the command until the hub answers its API again."""
    began = time.monotonic()
    run("systemctl", "restart", "berth-hub.service")
    hub.wait()
    return time.monotonic() - began


@contextmanager
def _many_users(hub: Hub) -> Iterator[None]:
    names = [f"benchmany{number}" for number in range(USERS)]
    parts = [names[start : start + _ADDED_AT_ONCE] for start in range(0, USERS, _ADDED_AT_ONCE)]
    try:
        for part in parts:
            _tell(hub, "users", {"usernames": part})
        yield
    finally:
        for part in parts:
            _tell(hub, "berth/users", {"users": [{"name": name, "state": "absent"} for name in part]})


def _tell(hub: Hub, path: str, what: dict[str, object]) -> None:
    headers = {"Authorization": f"token {hub.token}"}
    status, body = request("POST", f"{hub.api}hub/api/{path}", headers, json.dumps(what), PATIENCE_SECONDS)
    if status not in (200, 201):
        raise BenchError(f"{hub.name}: {status} from {path}: {body.decode()[:300]}")


def _lists(hub: Hub, rounds: int) -> list[float]:
    found = []
    for number in range(rounds):
        began = time.monotonic()
        status, _ = hub.ask("GET", f"users?limit={PAGE}&offset={number * PAGE % USERS}")
        if status != 200:
            raise BenchError(f"{hub.name}: {status} to the request for a list of users")
        found.append(time.monotonic() - began)
    return found
