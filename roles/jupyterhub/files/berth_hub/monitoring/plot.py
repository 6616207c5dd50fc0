"""Line plots as SVG, drawn on the server: no script, no library, nothing for a content security policy to refuse."""

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 190
LEFT, RIGHT, TOP, BOTTOM = 58, 8, 10, 24

COLOURS = ("#0d6efd", "#fd7e14", "#198754", "#d63384", "#6f42c1")
"""Readable on a light and on a dark page."""

GAP_STEPS = 2.5
"""A line is broken where values are missing for longer than so many steps."""

LABELS_ACROSS = 6


@dataclass(frozen=True)
class Line:
    """One line of a plot: its name, and points of seconds since 1970 and value."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Span:
    """The time that a plot shows, in seconds since 1970, and the seconds between two of its values."""

    start: float
    end: float
    step: int


def draw(title: str, lines: Sequence[Line], span: Span, unit: Callable[[float], str], base: int = 10) -> str:
    """A plot; one without values says so.

    Args:
        title: What it shows; for screen readers, too.
        lines: At most as many as there are colours.
        span: The time that it shows.
        unit: Writes a value with its unit.
        base: Of the numbers that read well: 1024 for bytes.
    """
    lines = [Line(line.name, [point for point in line.points if math.isfinite(point[1])]) for line in lines]
    top = _round_up(max((value for line in lines for _, value in line.points), default=0.0), base)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img"',
        f' aria-label="{escape(title)}" font-size="11" font-family="sans-serif" fill="currentColor">',
        f"<title>{escape(title)}</title>",
    ]
    parts += [_level(top * part / 4, top, unit) for part in range(5)]
    parts += _moments(span)
    if not any(line.points for line in lines):
        parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no figures yet</text>')
    for line, colour in zip(lines, COLOURS, strict=False):
        parts += [
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"'
            ' stroke-linecap="round"/>'
            for path in _paths(line, span, top)
        ]
    return "".join([*parts, "</svg>"])


def _round_up(value: float, base: int) -> float:
    """The next larger number that reads well and can be quartered."""
    if value <= 0:
        return 1.0
    power = float(base) ** math.floor(math.log(value * 1.02, base))
    factors = (1, 2, 4, 6, 8, 10) if base == 10 else (1, *(2**exponent for exponent in range(1, 11)))
    return next((factor * power for factor in factors if factor * power >= value * 1.02), base * power)


def _x(moment: float, span: Span) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (moment - span.start) / (span.end - span.start)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)


def _level(value: float, top: float, unit: Callable[[float], str]) -> str:
    y = _y(value, top)
    return (
        f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="currentColor" stroke-opacity=".15"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(unit(value))}</text>'
    )


def _moments(span: Span) -> list[str]:
    days = span.end - span.start > 2 * 86400
    every = 86400 if days else 4 * 3600
    first = math.ceil(span.start / every) * every
    parts = []
    for number in range(LABELS_ACROSS + 2):
        moment = first + number * every
        if moment > span.end:
            break
        text = dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%a %d" if days else "%H:%M")
        x = _x(moment, span)
        # A label at the very edge would be cut.
        place = min(max(x, LEFT + 14), WIDTH - RIGHT - 18)
        parts.append(
            f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v4" stroke="currentColor" stroke-opacity=".5"/>'
            f'<text x="{place:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{text}</text>'
        )
    return parts


def _paths(line: Line, span: Span, top: float) -> list[str]:
    paths: list[str] = []
    before: float | None = None
    for moment, value in line.points:
        at = f"{_x(moment, span):.1f} {_y(value, top):.1f}"
        if before is None or moment - before > GAP_STEPS * span.step:
            # A point that stands alone is a dot: a line of no length with round ends.
            paths.append(f"M{at}h0")
        else:
            paths[-1] += f"L{at}"
        before = moment
    return paths
