"""What the status page shows, put together from the hub's own knowledge and Prometheus."""

import asyncio
import math
import time
from dataclasses import dataclass, field
from typing import Any

from berth_hub.monitoring.plot import Line, Span, draw
from berth_hub.monitoring.prometheus import NoAnswerError, Prometheus

SPANS = {"day": (86400, 300), "week": (7 * 86400, 1800)}
"""Seconds that a plot shows, and between two of its values."""


def size(count: float) -> str:
    """A number of bytes in the largest binary unit that leaves at least 1, such as `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def number(count: float) -> str:
    """A small number, without digits that say nothing."""
    return f"{count:.2f}".rstrip("0").rstrip(".")


def seconds(count: float) -> str:
    """A duration."""
    return f"{number(count)} s"


def percent(part: float) -> str:
    """A percentage."""
    return f"{part:.0f} %"


@dataclass
class Use:
    """What one berth uses; None: not known, or not limited."""

    memory: float | None = None
    memory_limit: float | None = None
    cpu: float | None = None
    cpu_limit: float | None = None
    home: float | None = None


@dataclass
class Figures:
    """What Prometheus tells.

    Attributes:
        problem: Why it tells nothing; empty if it does.
        alerts: What is wrong.
        use: What berths use, by the name of the container without `berth-`.
        disks: Path, bytes in use, size.
        memory: Of the host: bytes in use, size; None if not known.
        load: The host's load of the last five minutes.
        cores: The host's processors.
        certificate_days: Left of the proxy's certificate.
        start_median, start_slow: Seconds that the last day's starts took: half of them, 95 % of them.
        starts: Servers started in the last day.
        plots: Title, legend and SVG, by name of the span.
    """

    problem: str = ""
    alerts: list[dict[str, str]] = field(default_factory=list)
    use: dict[str, Use] = field(default_factory=dict)
    disks: list[tuple[str, float, float]] = field(default_factory=list)
    memory: tuple[float, float] | None = None
    load: float | None = None
    cores: float | None = None
    certificate_days: float | None = None
    start_median: float | None = None
    start_slow: float | None = None
    starts: float | None = None
    plots: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


_STARTS = 'jupyterhub_server_spawn_duration_seconds_bucket{status="success"}'

_BY_BERTH = {
    "memory": "berth_memory_bytes",
    "memory_limit": "berth_memory_limit_bytes",
    "cpu": "rate(berth_cpu_seconds_total[2m])",
    "cpu_limit": "berth_cpu_limit",
    "home": "berth_home_bytes",
}

_SINGLE = {
    "load": "node_load5",
    "cores": 'count(node_cpu_seconds_total{mode="idle"})',
    "certificate_days": "(berth_certificate_expires_seconds - time()) / 86400",
    "start_median": f"histogram_quantile(0.5, sum by (le) (increase({_STARTS}[1d])))",
    "start_slow": f"histogram_quantile(0.95, sum by (le) (increase({_STARTS}[1d])))",
    "starts": 'sum(increase(jupyterhub_server_spawn_duration_seconds_count{status="success"}[1d]))',
}


@dataclass(frozen=True)
class _Plot:
    """A plot: what it shows, how values are written, and the query of each line, by its name.

    `RATE` in a query becomes the time between two values.
    """

    title: str
    unit: Any
    queries: dict[str, str]


_PLOTS = (
    _Plot("Berths that run", number, {"berths": "berth_running"}),
    _Plot(
        "Memory",
        size,
        {
            "host, in use": "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes",
            "all berths": "sum(berth_memory_bytes)",
        },
    ),
    _Plot(
        "Processors in use",
        number,
        {
            "host": 'sum(rate(node_cpu_seconds_total{mode!~"idle|iowait|steal"}[RATE]))',
            "all berths": "sum(rate(berth_cpu_seconds_total[RATE]))",
        },
    ),
    _Plot(
        "How long a start takes",
        seconds,
        {
            "half take less": f"histogram_quantile(0.5, sum by (le) (increase({_STARTS}[RATE])))",
            "95 % take less": f"histogram_quantile(0.95, sum by (le) (increase({_STARTS}[RATE])))",
        },
    ),
    _Plot("Starts that failed", number, {"failed": "increase(berth_failed_starts_total[RATE])"}),
    _Plot("Disk in use", percent, {"{path}": "100 * (1 - berth_disk_available_bytes / berth_disk_size_bytes)"}),
)


async def collect(prometheus: Prometheus, now: float | None = None) -> Figures:
    """Ask for everything at once; if Prometheus does not answer, that is what is told.

    Args:
        prometheus: Whom to ask.
        now: Seconds since 1970; by default the present.
    """
    moment = time.time() if now is None else now
    made = Figures(plots={name: [] for name in SPANS})
    try:
        made.alerts = await prometheus.alerts()
        await asyncio.gather(
            _by_berth(prometheus, made),
            _single(prometheus, made),
            _host(prometheus, made),
            *(_plots(prometheus, made, name, moment) for name in SPANS),
        )
    except NoAnswerError as error:
        return Figures(problem=str(error))
    return made


async def _by_berth(prometheus: Prometheus, made: Figures) -> None:
    for attribute, query in _BY_BERTH.items():
        for labels, value in await prometheus.now(query):
            setattr(made.use.setdefault(labels["berth"], Use()), attribute, value)


async def _single(prometheus: Prometheus, made: Figures) -> None:
    for attribute, query in _SINGLE.items():
        found = await prometheus.now(query)
        # No start at all makes a quantile of nothing: NaN.
        if found and math.isfinite(found[0][1]):
            setattr(made, attribute, found[0][1])


async def _host(prometheus: Prometheus, made: Figures) -> None:
    total = await prometheus.now("node_memory_MemTotal_bytes")
    available = await prometheus.now("node_memory_MemAvailable_bytes")
    if total and available:
        made.memory = (total[0][1] - available[0][1], total[0][1])
    left = {labels["path"]: value for labels, value in await prometheus.now("berth_disk_available_bytes")}
    made.disks = [
        (labels["path"], all_of_it - left[labels["path"]], all_of_it)
        for labels, all_of_it in await prometheus.now("berth_disk_size_bytes")
        if labels["path"] in left
    ]


async def _plots(prometheus: Prometheus, made: Figures, name: str, now: float) -> None:
    length, step = SPANS[name]
    end = now - now % step
    span = Span(end - length, end, step)
    drawn = []
    for plot in _PLOTS:
        lines = []
        for label, query in plot.queries.items():
            found = await prometheus.over(query.replace("RATE", f"{step}s"), span.start, span.end, step)
            lines += [Line(label.format(**series.labels), series.points) for series in found]
        drawn.append(
            {
                "title": plot.title,
                "lines": [line.name for line in lines],
                "svg": draw(f"{plot.title}, last {name}", lines, span, plot.unit, 1024 if plot.unit is size else 10),
            }
        )
    made.plots[name] = drawn
