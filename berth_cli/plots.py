"""Plots of what ``berth bench`` found; the one module that needs matplotlib."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

OURS, OTHERS = "#d9480f", "#5c7cfa"

SIZE = (8, 3)
"""Of each host's part, in inches."""


def draw(reports: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """Draw what was found, one part for each host.

    Args:
        reports: What the bench reported, by host.
        file: Where the PNG goes.

    Raises:
        OSError: It cannot be written.
    """
    figure = Figure(figsize=(SIZE[0], SIZE[1] * len(reports)), layout="constrained")
    parts = figure.subplots(len(reports), squeeze=False)[:, 0]
    for part, (host, report) in zip(parts, reports.items(), strict=True):
        machine = report["machine"]
        part.set_title(f"berth bench {report['what']}: {host}, {machine['processors']} processors", loc="left")
        if report["what"] in _OF_FIGURES:
            _OF_FIGURES[report["what"]](part, report["figures"])
        else:
            {"storm": _storm, "scale": _scale}.get(report["what"], _every_figure)(part, report["seconds"])
        part.grid(visible=True, axis="x", alpha=0.3)
        part.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, format="png")


def _every_figure(part: Axes, series: Mapping[str, Sequence[float]]) -> None:
    """Every single figure as a dot, the median as a line through them."""
    for place, (name, values) in enumerate(reversed(list(series.items()))):
        color = _color(name)
        part.plot(values, [place] * len(values), "o", color=color, alpha=0.35)
        if values:
            part.plot([statistics.median(values)] * 2, [place - 0.3, place + 0.3], color=color, linewidth=2)
    part.set_yticks(range(len(series)), list(reversed(list(series))))
    part.set_ylim(-0.6, len(series) - 0.4)
    part.set_xlim(left=0)
    part.set_xlabel("seconds")


def _storm(part: Axes, series: Mapping[str, Sequence[float]]) -> None:
    """How many are in, over the time since all of them asked."""
    for name, values in series.items():
        if "(" not in name:
            ordered = sorted(values)
            part.step([0, *ordered], range(len(ordered) + 1), where="post", color=_color(name), label=name)
    part.set_xlim(left=0)
    part.set_ylim(bottom=0)
    part.set_xlabel("seconds since all of them asked")
    part.set_ylabel("users who are in")
    part.legend(frameon=False)


def _scale(part: Axes, series: Mapping[str, Sequence[float]]) -> None:
    """What a start takes, over how many others run."""
    found = [
        (int(beside[1]), values) for name, values in series.items() if (beside := re.search(r"beside (\d+)", name))
    ]
    for running, values in found:
        part.plot([running] * len(values), values, "o", color=OURS, alpha=0.35)
    part.plot([running for running, _ in found], [statistics.median(values) for _, values in found], color=OURS)
    part.set_ylim(bottom=0)
    part.set_xlabel("berths that run already")
    part.set_ylabel("seconds of a start")


def _fronts(part: Axes, figures: Mapping[str, Mapping[str, float | str]]) -> None:
    """What each front does in a second; what has none in front of it would dwarf them."""
    kinds = {"requests/s": 0.2, "messages/s": -0.2}
    fronts = [name for name, row in figures.items() if "messages/s" in row]
    for place, name in enumerate(reversed(fronts)):
        for kind, shift in kinds.items():
            count = float(figures[name][kind])
            part.barh(place + shift, count, 0.35, color=_color(name), alpha=1 if kind == "requests/s" else 0.6)
            part.annotate(f" {count:,.0f} {kind}", (count, place + shift), va="center")
    part.set_yticks(range(len(fronts)), list(reversed(fronts)))
    part.margins(x=0.25)
    part.set_xlabel("in a second")


def _memory(part: Axes, figures: Mapping[str, Mapping[str, float | str]]) -> None:
    """What each kind of process has in memory, and behind it in swap."""
    for place, (name, row) in enumerate(reversed(list(figures.items()))):
        share, swapped = float(row["MB by shares"]), float(row["MB in swap"])
        part.barh(place, share, 0.6, color=_color(name))
        part.barh(place, swapped, 0.6, left=share, color=_color(name), alpha=0.25)
        part.annotate(
            f" {share:.0f}" + (f" + {swapped:.0f} in swap" if swapped else ""), (share + swapped, place), va="center"
        )
    part.set_yticks(range(len(figures)), list(reversed(list(figures))))
    part.margins(x=0.25)
    part.set_xlabel("MB, shared pages by parts")


def _install(part: Axes, figures: Mapping[str, Mapping[str, float | str]]) -> None:
    """What each role took, one after the other."""
    ways = list(figures["all"])
    roles = [name for name in figures if name not in ("all", "first cell")]
    for place, way in enumerate(reversed(ways)):
        done = 0.0
        for number, role in enumerate(roles):
            seconds = float(figures[role].get(way, 0))
            part.barh(place, seconds, 0.6, left=done, color=f"C{number % 10}", label=None if place else role)
            done += seconds
        part.annotate(f" {float(figures['all'][way]):.0f}", (float(figures["all"][way]), place), va="center")
    part.set_yticks(range(len(ways)), list(reversed(ways)))
    part.margins(x=0.1)
    part.set_xlabel("seconds")
    part.legend(frameon=False, fontsize="x-small", ncols=4)


_OF_FIGURES = {"proxy": _fronts, "memory": _memory, "install": _install}
"""Those whose figures are no series of seconds."""


def _color(name: str) -> str:
    return OURS if name.startswith("berth") else OTHERS
