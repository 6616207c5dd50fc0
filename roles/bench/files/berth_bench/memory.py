"""Memory of servers: awake, asleep, the stock hub's, and of the hubs themselves."""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from berth_bench.cells import Desk
from berth_bench.hubs import BenchError, Hub, berth, run, stock
from berth_bench.spawn import guests

SETTLE_SECONDS = 5
"""After its first answer a server still loads what it has put off."""


@dataclass(frozen=True)
class Memory:
    """Of some processes, in MB.

    Attributes:
        resident: What is in memory, counted for each process as if it were alone.
        share: What is in memory, shared pages by parts: the sum over all processes is what is really taken.
        swapped: What is in swap.
    """

    resident: float
    share: float
    swapped: float


def measure(servers: int) -> dict[str, dict[str, float | str]]:
    """So many servers of each kind, one kind after the other.

    Returns:
        By kind, megabytes of a server (the mean of all), and those of the hubs while they ran.
    """
    found: dict[str, dict[str, float | str]] = {}
    for hub in [hub for hub in (berth(), stock()) if hub]:
        hub.wait()
        names = [f"bench{number}" for number in range(servers)]
        with guests(hub, names):
            for name in names:
                hub.start(name)
            ours = hub.name == "berth"
            processes = _of_berths if ours else _of_stock
            time.sleep(SETTLE_SECONDS)
            found[hub.name] = _mean([_memory(processes(name)) for name in names])
            for name in names:
                desk = Desk(hub, name)
                desk.open_kernel()
                desk.run("print(1)")
            time.sleep(SETTLE_SECONDS)
            found[f"{hub.name}, with a kernel"] = _mean([_memory(processes(name)) for name in names])
            unit = "berth-hub.service" if ours else "berth-bench-peer.service"
            found[f"{hub.name}, the hub"] = _mean([_memory(_of_unit(unit))])
            if ours and _can_sleep(hub, names[0]):
                for name in names[1:]:
                    hub.put_to_sleep(name)
                run("systemctl", "start", "berth-reclaim.service")
                found["berth, with a kernel, asleep"] = _mean([_memory(processes(name)) for name in names])
    return found


def _can_sleep(hub: Hub, name: str) -> bool:
    try:
        hub.put_to_sleep(name)
    except BenchError:
        return False
    return True


def _mean(found: list[Memory]) -> dict[str, float | str]:
    parts: dict[str, Callable[[Memory], float]] = {
        "MB resident": lambda one: one.resident,
        "MB by shares": lambda one: one.share,
        "MB in swap": lambda one: one.swapped,
    }
    return {name: round(sum(map(part, found)) / len(found), 1) for name, part in parts.items()}


def _of_berths(name: str) -> list[int]:
    return _of_container(f"berth-{name}")


def _of_stock(name: str) -> list[int]:
    return _of_container(f"jupyter-{name}")


def _of_container(name: str) -> list[int]:
    """All in the control group of its first process: the host may have no `ps`, which `docker top` needs."""
    first = Path("/proc", run("docker", "inspect", "--format", "{{.State.Pid}}", name), "cgroup").read_bytes()
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):  # it has ended
            if path.read_bytes() == first:
                found.append(int(path.parent.name))
    return found


def _of_unit(unit: str) -> list[int]:
    """The hub alone: what it has started, as its proxy or its idle culler, is not it."""
    return [int(run("systemctl", "show", "--value", "--property=MainPID", unit))]


def _memory(processes: Iterable[int]) -> Memory:
    rows = []
    for process in processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
            rows.append(dict(re.findall(r"^(Rss|Pss|SwapPss): +(\d+) kB$", text, re.MULTILINE)))
    if not rows:
        raise BenchError("a server ended while its memory was looked at")
    # What /proc calls a kB are 1024 bytes.
    resident, share, swapped = (sum(int(row[key]) for row in rows) * 1024 / 1e6 for key in ("Rss", "Pss", "SwapPss"))
    return Memory(resident, share, swapped)
