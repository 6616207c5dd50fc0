"""What Prometheus cannot learn elsewhere: what each berth uses, space, the certificate."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from berth_monitoring import backups, certificate, cgroups, engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from berth_monitoring.settings import Settings

CERTIFICATE_SECONDS = 60
"""How long the proxy's certificate is remembered: a handshake at every look would be most of what this costs."""

DU_SECONDS = 3600
"""Longest that measuring the homes may take."""

Sample = tuple[dict[str, str], float]


_ABOUT_BACKUPS = {
    "failed": "Whether the last backup failed or is incomplete.",
    "damaged": "Whether the last check of the repository failed.",
    "due_seconds": "When the next good backup is overdue, in seconds since 1970.",
    "good_seconds": "When the last good backup ended, in seconds since 1970.",
    "good_bytes": "What the last good backup holds.",
}


class Metrics:
    """Metrics in Prometheus's text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, about: str, samples: Iterable[Sample]) -> None:
        """Add a metric with its values; one without values is left out."""
        lines = [f"{name}{_labels(labels)} {value!r}" for labels, value in samples]
        if lines:
            kind = "counter" if name.endswith("_total") else "gauge"
            self._lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *lines]

    def text(self) -> str:
        """All of them."""
        return "".join(f"{line}\n" for line in self._lines)


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"


class Remembered:
    """A value that is costly to get, got anew at most every so many seconds; None where it cannot be got."""

    def __init__(self, get: Callable[[], float], seconds: float) -> None:
        self._get = get
        self._seconds = seconds
        self._value: float | None = None
        self._next = 0.0
        self._lock = threading.Lock()

    def value(self) -> float | None:
        """The value, which may be as old as that."""
        with self._lock:
            if time.monotonic() >= self._next:
                try:
                    self._value = self._get()
                except (OSError, ValueError) as error:
                    print(error, file=sys.stderr)
                    self._value = None
                self._next = time.monotonic() + self._seconds
            return self._value


class Homes:
    """Sizes of the homes, measured beside everything else."""

    def __init__(self, root: str, every_seconds: int) -> None:
        self._root = root
        self._every = every_seconds
        self.sizes: dict[str, int] = {}

    def start(self) -> None:
        """Measure now, and again and again; never if that is every 0 seconds."""
        if self._every:
            threading.Thread(target=self._measure_forever, daemon=True, name="homes").start()

    def _measure_forever(self) -> None:
        while True:
            self.measure()
            time.sleep(self._every)

    def measure(self) -> None:
        """Measure once; what cannot be measured is left as it was."""
        # One by one: a home that is a subvolume is another file system to `du`. Without the snapshots beside them.
        command = ["du", "-x", "--summarize", "--block-size=1", "--null", "--files0-from=-"]
        try:
            beside = [one for one in os.scandir(self._root) if not one.name.startswith(".")]
            names = [one.path for one in beside if one.is_dir(follow_symlinks=False)]
            done = subprocess.run(
                command, input="\0".join(names), capture_output=True, text=True, timeout=DU_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{self._root}: {error}", file=sys.stderr)
            return
        # A file that vanished meanwhile makes `du` fail, and its sums are good all the same.
        found = {}
        for line in done.stdout.split("\0"):
            size, _, path = line.partition("\t")
            if path:
                found[Path(path).name] = int(size)
        self.sizes = found


class Exporter:
    """Looks, and tells."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._homes = Homes(settings.homes, settings.homes_every_seconds)
        self._expires = Remembered(
            lambda: certificate.expires(settings.tls_address, settings.tls_name), CERTIFICATE_SECONDS
        )

    def start(self) -> None:
        """Start what goes on beside."""
        self._homes.start()

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        metrics = Metrics()
        self._add_berths(metrics)
        _add_disks(metrics, self._settings.places)
        metrics.add(
            "berth_home_bytes",
            "Space that a home takes.",
            [({"berth": name}, size) for name, size in self._homes.sizes.items()],
        )
        for name, value in backups.figures().items():
            metrics.add(f"berth_backup_{name}", _ABOUT_BACKUPS[name], [({}, value)])
        if self._settings.tls_address:
            expires = self._expires.value()
            metrics.add(
                "berth_certificate_expires_seconds",
                "When the proxy's certificate expires, in seconds since 1970.",
                [] if expires is None else [({}, expires)],
            )
        return metrics.text()

    def _add_berths(self, metrics: Metrics) -> None:
        try:
            running = engine.berths(self._settings.network)
        except OSError:
            metrics.add("berth_engine_up", "Whether the container engine answers.", [({}, 0)])
            return
        metrics.add("berth_engine_up", "Whether the container engine answers.", [({}, 1)])
        used = [({"berth": one.name}, found) for one in running if (found := cgroups.use(one.id)) is not None]
        metrics.add("berth_running", "Berths that run.", [({}, len(running))])
        metrics.add(
            "berth_memory_bytes", "Memory in use, without page cache.", [(who, u.memory_bytes) for who, u in used]
        )
        metrics.add(
            "berth_memory_limit_bytes",
            "Memory that may be used.",
            [(who, u.memory_limit_bytes) for who, u in used if u.memory_limit_bytes is not None],
        )
        metrics.add(
            "berth_cpu_seconds_total", "Processor time since the start.", [(who, u.cpu_seconds) for who, u in used]
        )
        metrics.add(
            "berth_cpu_limit",
            "Processors that may be used.",
            [(who, u.cpu_limit) for who, u in used if u.cpu_limit is not None],
        )
        metrics.add(
            "berth_processes",
            "Processes and threads.",
            [(who, u.processes) for who, u in used if u.processes is not None],
        )


def _add_disks(metrics: Metrics, places: Sequence[str]) -> None:
    """A file system that holds several places is told once, by the first of them."""
    found: dict[int, tuple[str, os.statvfs_result]] = {}
    for place in places:
        try:
            found.setdefault(Path(place).stat().st_dev, (place, os.statvfs(place)))
        except OSError:  # not there, or not yet
            continue
    disks = [(path, space) for path, space in found.values() if space.f_blocks]
    metrics.add(
        "berth_disk_size_bytes",
        "Size of the file system that holds the path.",
        # Without what only root may fill: a disk is full to everybody else when that alone is left.
        [({"path": path}, (space.f_blocks - space.f_bfree + space.f_bavail) * space.f_frsize) for path, space in disks],
    )
    metrics.add(
        "berth_disk_available_bytes",
        "Space that is left.",
        [({"path": path}, space.f_bavail * space.f_frsize) for path, space in disks],
    )


class _Handler(http.server.BaseHTTPRequestHandler):
    exporter: Exporter

    def do_GET(self) -> None:
        if self.path != "/metrics":
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return
        content = self.exporter.text().encode()
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """A line for each scrape would fill the journal."""


def server(settings: Settings) -> http.server.ThreadingHTTPServer:
    """The exporter, listening on the loopback address."""
    exporter = Exporter(settings)
    exporter.start()
    handler = type("Handler", (_Handler,), {"exporter": exporter})
    return http.server.ThreadingHTTPServer(("127.0.0.1", settings.ports.berths), handler)


def serve(settings: Settings) -> None:
    """Answer for ever."""
    server(settings).serve_forever()
