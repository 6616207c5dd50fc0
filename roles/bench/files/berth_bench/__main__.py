"""Measures, and prints what it found as JSON. Run as root on a host with Berth."""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from berth_bench.hubs import BenchError, run
from berth_bench.spawn import measure, measure_hardening, measure_wake

WAYS = {"spawn": measure, "hardening": measure_hardening, "wake": measure_wake}


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
    wanted = parser.parse_args()
    before = machine()
    try:
        found = WAYS[wanted.what](wanted.rounds)
    except BenchError as error:
        sys.exit(f"berth bench: {error}")
    print(json.dumps({"what": wanted.what, "machine": before, "seconds": found}))


if __name__ == "__main__":
    main()
