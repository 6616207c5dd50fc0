"""Nine o'clock sharp: many users ask for their servers at once, and somebody looks at the hub's pages meanwhile."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from berth_bench.hubs import BenchError, Hub, berth, stock
from berth_bench.spawn import Series, guests

PATIENCE_SECONDS = 300
"""After which whoever is not in has failed: longer than a hub waits for a server."""

_LOOK_EVERY_SECONDS = 0.1


@dataclass
class Storm:
    """What became of one.

    Attributes:
        seconds: Of each who got in, from the request until the server answered.
        failures: Why the others did not.
        answers: Seconds that each look at the hub took meanwhile.
        cpu_seconds: Of the whole host, from the first request until the last was in or had failed.
    """

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    cpu_seconds: float = 0


def measure(rounds: int, users: int) -> tuple[Series, dict[str, dict[str, float | str]]]:
    """Storms on each hub by turns.

    Args:
        rounds: Storms on each.
        users: In each storm.

    Returns:
        Seconds, and by hub who got in, who did not and what it cost.
    """
    hubs = [hub for hub in (berth(), stock()) if hub]
    storms: dict[str, list[Storm]] = {hub.name: [] for hub in hubs}
    for hub in hubs:
        hub.wait()
        with guests(hub, ["bench"]):  # the first start of a hub is not like the others
            hub.start("bench")
    for again in range(rounds):
        for hub in hubs:
            # A stock hub does not part with users whose servers hang.
            with guests(hub, [f"bench{again}n{number}" for number in range(users)]) as names:
                storms[hub.name].append(storm(hub, names))
    seconds: Series = {}
    for name, found in storms.items():
        seconds[name] = [one for each in found for one in each.seconds]
        seconds[f"{name} (the hub's answers)"] = [one for each in found for one in each.answers]
    return seconds, {name: _figures(found) for name, found in storms.items()}


def storm(hub: Hub, names: list[str]) -> Storm:
    """Have them all ask at once, and wait for each."""
    found = Storm()
    together = threading.Barrier(len(names))

    def come(name: str) -> None:
        together.wait()
        try:
            found.seconds.append(hub.start(name, PATIENCE_SECONDS).usable)
        except (BenchError, OSError) as error:
            found.failures.append(str(error).replace(name, "NAME"))

    with _looking(hub, names[0], found.answers):
        before = _cpu_seconds()
        with ThreadPoolExecutor(len(names)) as crowd:
            list(crowd.map(come, names))
        found.cpu_seconds = _cpu_seconds() - before
    return found


@contextmanager
def _looking(hub: Hub, name: str, answers: list[float]) -> Iterator[None]:
    """Ask for a page and for an answer of the API over and over, one after the other."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_EVERY_SECONDS):
            for ask in (hub.page, lambda: hub.ask("GET", f"users/{name}")):
                began = time.monotonic()
                ask()
                answers.append(time.monotonic() - began)

    with ThreadPoolExecutor(1) as visitor:
        looking = visitor.submit(look)
        try:
            yield
        finally:
            over.set()
    looking.result()


def _cpu_seconds() -> float:
    """What all processors have done since the host started."""
    user, nice, system, _idle, _wait, irq, softirq = (
        int(value) for value in Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=8)[1:8]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _figures(storms: list[Storm]) -> dict[str, float | str]:
    ready = sum(len(one.seconds) for one in storms)
    failures = [why for one in storms for why in one.failures]
    figures: dict[str, float | str] = {
        "users": ready + len(failures),
        "ready": ready,
        "failed": len(failures),
        "CPU seconds a user": round(sum(one.cpu_seconds for one in storms) / (ready + len(failures)), 3),
    }
    if failures:
        figures["most failed with"] = max(set(failures), key=failures.count)
    return figures
