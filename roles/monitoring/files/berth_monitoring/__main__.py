"""Starts a part of monitoring by the site's settings: `python3 -m berth_monitoring PART [SETTINGS]`.

The parts of the distribution are started through here, so that all settings are in one file that is rendered and
validated once. `check` only validates.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from berth_monitoring import alertmanager, exporter, node, prometheus
from berth_monitoring.rules import rules
from berth_monitoring.settings import Settings, load

SETTINGS = Path("/etc/berth/monitoring.json")
PARTS = ("prometheus", "alertmanager", "node", "exporter", "check")


def write(directory: Path, name: str, content: dict[str, Any]) -> None:
    """Write a configuration file; JSON is YAML."""
    file = directory / name
    file.touch(mode=0o600)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_prometheus(settings: Settings, directory: Path) -> None:
    """Write Prometheus's files: its configuration and the rules."""
    with_alertmanager = Path(settings.alerts_file).exists()
    write(directory, "prometheus.yml", prometheus.configuration(settings, with_alertmanager=with_alertmanager))
    write(directory, prometheus.RULES_FILE, rules(settings))


def command(part: str, settings: Settings, directory: Path) -> list[str]:
    """Program and arguments of a part, after writing its files.

    Raises:
        ValueError: if Alertmanager has nowhere to send to.
    """
    if part == "prometheus":
        write_prometheus(settings, directory)
        return prometheus.arguments(settings, str(directory))
    if part == "alertmanager":
        where = alertmanager.destinations(Path(settings.alerts_file))
        if where is None:
            raise ValueError(f"{settings.alerts_file}: is missing, so that alerts go nowhere")
        write(directory, "alertmanager.yml", alertmanager.configuration(where))
        return alertmanager.arguments(settings, str(directory))
    return node.arguments(settings)


def run(program: list[str]) -> NoReturn:
    """Become the program."""
    os.execv(program[0], program)  # noqa: S606 (no shell, and what it runs is fixed in this package)


def main(arguments: list[str]) -> int:
    """Entry point."""
    if not arguments or arguments[0] not in PARTS:
        print(f"usage: python3 -m berth_monitoring {'|'.join(PARTS)} [SETTINGS]", file=sys.stderr)
        return 2
    part = arguments[0]
    try:
        settings = load(Path(arguments[1]) if len(arguments) > 1 else SETTINGS)
        if part == "check":
            return 0
        if part == "exporter":
            exporter.serve(settings)
            return 0
        program = command(part, settings, Path(os.environ.get("RUNTIME_DIRECTORY", "/run")))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    run(program)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
