"""Starts of servers, one after the other: Berth's, the stock hub's and the engine's own by turns."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from berth_bench.cells import Desk
from berth_bench.hubs import BenchError, Hub, berth, run, stock

_REMOVED_AT_ONCE = 8

_HOMES = Path("/srv/berth/homes")
_DROP_IN = Path("/run/systemd/system/berth-hub.service.d/berth-bench.conf")
_SETTINGS = Path("/etc/berth/hub.json")

Series = dict[str, list[float]]
"""Seconds of each round, by what was measured."""


@contextmanager
def guest(hub: Hub, name: str) -> Iterator[str]:
    """A user who has never been there, and is forgotten with server, container and home."""
    with guests(hub, [name]):
        yield name


@contextmanager
def guests(hub: Hub, names: list[str]) -> Iterator[list[str]]:
    """Users who have never been there, and are forgotten with servers, containers and homes."""
    for home in (_HOMES / name for name in names):
        if hub.name == "berth" and home.exists():
            raise BenchError(
                f"{home} is there: the bench takes that name for its own, and removes no home that is not its own"
            )
    made: list[str] = []
    try:
        for name in names:
            hub.add(name)
            made.append(name)
        yield names
    finally:
        with ThreadPoolExecutor(_REMOVED_AT_ONCE) as pool:
            list(pool.map(hub.remove, made))
        if hub.name == "berth" and made:
            run("/usr/bin/python3", "-I", "/opt/berth/lib/berth_homes.py", "delete", "--", *made)
        elif made:  # DockerSpawner keeps the container of a server that was stopped; one that did not start has none.
            with suppress(BenchError):
                run("docker", "rm", "--force", *(f"jupyter-{name}" for name in made))


_CELL = "first cell's output"


def measure(rounds: int) -> Series:
    """By turns, so that whatever else the machine does hits all of them; the first start of each is not counted.

    A first cell's output comes after the server's first answer and a new kernel, as for somebody who waits for it.
    """
    hubs = [hub for hub in (berth(), stock()) if hub]
    image = json.loads(_SETTINGS.read_text(encoding="utf-8"))["berth"]["image"]
    found: Series = {"docker run": []}
    for hub in hubs:
        hub.wait()
        found[hub.name] = []
        found[f"{hub.name} (hub says ready)"] = []
        found[f"{hub.name} ({_CELL})"] = []
    for number in range(rounds + 1):
        found["docker run"].append(_seconds(run, "docker", "run", "--rm", image, "true"))
        for hub in hubs:
            with guest(hub, f"bench{number}") as name:
                desk = Desk(hub, name)
                start = hub.start(name)
                found[f"{hub.name} ({_CELL})"].append(start.usable + _seconds(_first_cell, desk))
            found[hub.name].append(start.usable)
            found[f"{hub.name} (hub says ready)"].append(start.ready)
    return {name: series[1:] for name, series in found.items()}


def measure_wake(rounds: int) -> Series:
    """A berth that falls asleep and is started again, over and over, beside a first start of each round's own.

    Raises:
        BenchError: Berths do not sleep on this host.
    """
    hub = berth()
    found: Series = {"berth": [], f"berth ({_CELL})": [], "berth, asleep": [], f"berth, asleep ({_CELL})": []}
    for number in range(rounds + 1):
        with guest(hub, f"bench{number}") as name:
            desk = Desk(hub, name)
            for how in ("berth", "berth, asleep"):
                start = hub.start(name).usable
                cell = _seconds(_first_cell, desk)
                found[how].append(start)
                found[f"{how} ({_CELL})"].append(start + cell)
                hub.put_to_sleep(name)
    return {name: series[1:] for name, series in found.items()}


def measure_hardening(rounds: int) -> Series:
    """Berth as it is, and with the engine's socket in the hub's hands and a writable root file system in berths.

    In blocks of five, since the hub has to be started anew between the two.
    """
    hub = berth()
    found: Series = {"berth": [], "berth, not confined": []}
    number = 0
    while len(found["berth, not confined"]) < rounds:
        for name, series in found.items():
            with _not_confined(hub) if name != "berth" else _as_it_is(hub):
                for counted in (False, *(True,) * min(5, rounds - len(series))):
                    with guest(hub, f"bench{number}") as user:
                        seconds = hub.start(user).usable
                    if counted:
                        series.append(seconds)
                    number += 1
    return found


@contextmanager
def _as_it_is(hub: Hub) -> Iterator[None]:
    _restart(hub)
    yield


@contextmanager
def _not_confined(hub: Hub) -> Iterator[None]:
    kept = _SETTINGS.read_bytes()
    settings = json.loads(kept)
    settings["berth"]["read_only"] = False
    try:
        _SETTINGS.write_text(json.dumps(settings), encoding="utf-8")
        _DROP_IN.parent.mkdir(parents=True, exist_ok=True)
        _DROP_IN.write_text("[Service]\nSupplementaryGroups=docker\nEnvironment=DOCKER_HOST=unix:///run/docker.sock\n")
        _restart(hub)
        yield
    finally:
        _SETTINGS.write_bytes(kept)
        _DROP_IN.unlink(missing_ok=True)
        _restart(hub)


def _restart(hub: Hub) -> None:
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "berth-hub.service")
    hub.wait()


def _first_cell(desk: Desk) -> None:
    """In the kernel that there is, or in a new one."""
    if not desk.kernel:
        desk.open_kernel()
        desk.run("kept = 1; print(kept)")
    elif desk.run("print(kept)") != "1\n":
        raise BenchError("the kernel of a berth that slept has forgotten its variables")


def _seconds(action: Callable[..., object], *arguments: object) -> float:
    began = time.monotonic()
    action(*arguments)
    return time.monotonic() - began
