"""Measures, and prints what it found as JSON. Run as root on a host with Berth."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from berth_bench.hubs import BenchError, run
from berth_bench.memory import measure as measure_memory
from berth_bench.proxy import measure as measure_proxy
from berth_bench.scale import measure as measure_scale
from berth_bench.spawn import Series, measure, measure_hardening, measure_wake
from berth_bench.storm import measure as measure_storm

Figures = dict[str, dict[str, float | str]]
"""What is no series: by what was measured, each with its name."""

WAYS: dict[str, Callable[[argparse.Namespace], tuple[Series, Figures]]] = {
    "spawn": lambda wanted: (measure(wanted.rounds), {}),
    "hardening": lambda wanted: (measure_hardening(wanted.rounds), {}),
    "wake": lambda wanted: (measure_wake(wanted.rounds), {}),
    "proxy": lambda wanted: measure_proxy(wanted.rounds),
    "memory": lambda wanted: ({}, measure_memory(wanted.rounds)),
    "scale": lambda wanted: (measure_scale(wanted.rounds), {}),
    "storm": lambda wanted: measure_storm(wanted.rounds, wanted.users),
}


def machine() -> dict[str, object]:
    """What it was measured on."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "processors": os.cpu_count(),
        "memory_bytes": int(memory.split()[1]) * 1024,
        "kernel": platform.release(),
        "docker": run("docker", "version", "--format", "{{.Server.Version}}"),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="berth_bench")
    parser.add_argument("what", choices=WAYS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--users", type=int, default=50)
    wanted = parser.parse_args()
    before = machine()
    try:
        seconds, figures = WAYS[wanted.what](wanted)
    except BenchError as error:
        sys.exit(f"berth bench: {error}")
    print(json.dumps({"what": wanted.what, "machine": before, "seconds": seconds, "figures": figures}))


if __name__ == "__main__":
    main()
