"""Draws times as SVG: two logarithmic axes, one line a series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 230, 50, 60
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The points of one line, from left to right."""

    name: str
    color: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False


def draw(title: str, x_name: str, series: list[Series]) -> str:
    """Return the SVG of a plot of seconds."""
    xs = sorted({x for each in series for x, _ in each.points})
    ys = [y for each in series for _, y in each.points]
    across = _scale(xs[0], xs[-1], _LEFT, _WIDTH - _RIGHT)
    marks = list(_marks(min(ys), max(ys)))
    up = _scale(marks[0], marks[-1], _HEIGHT - _BOTTOM, _TOP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"',
        ' font-family="system-ui, sans-serif" font-size="13" fill="#333">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#fff"/>',
        _text(_LEFT, 28, title, 'font-size="16"'),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 15, x_name, 'text-anchor="middle"'),
    ]
    for y in marks:
        lines.append(f'<path d="M{_LEFT} {up(y):.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        lines.append(_text(_LEFT - 8, up(y) + 4, f"{y:g} s", 'text-anchor="end"'))
    below = _HEIGHT - _BOTTOM + 20
    lines.extend(_text(across(x), below, f"{x:,g}", 'text-anchor="middle"') for x in xs)
    ends = _apart([up(each.points[-1][1]) for each in series])
    for each, end in zip(series, ends, strict=True):
        lines.extend(_line(each, across, up))
        lines.append(_text(_WIDTH - _RIGHT + 12, end + 4, each.name, f'fill="{each.color}"'))
    return "\n".join([*lines, "</svg>", ""])


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    length = math.log(high / low) or 1
    return lambda value: start + math.log(value / low) / length * (end - start)


def _marks(low: float, high: float) -> Iterator[float]:
    """Yield 1, 2 and 5 of each power of ten, from the last below to the first above."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [step * 10.0**exponent for exponent in exponents for step in _STEPS]
    first = max(mark for mark in every if mark <= low)
    last = min(mark for mark in every if mark > high)
    yield from (mark for mark in every if first <= mark <= last)


def _apart(ends: list[float]) -> list[float]:
    """Move labels down that would cover one another."""
    moved, below = dict.fromkeys(range(len(ends)), 0.0), -math.inf
    for number in sorted(moved, key=lambda n: ends[n]):
        below = moved[number] = max(ends[number], below + 16)
    return list(moved.values())


def _line(
    series: Series, across: Callable[[float], float], up: Callable[[float], float]
) -> Iterator[str]:
    places = [(f"{across(x):.1f}", f"{up(y):.1f}") for x, y in series.points]
    dash = ' stroke-dasharray="5 4"' if series.dashed else ""
    points = " ".join(",".join(place) for place in places)
    stroke = f'stroke="{series.color}" stroke-width="2"{dash}'
    yield f'<polyline points="{points}" fill="none" {stroke}/>'
    yield from (f'<circle cx="{x}" cy="{y}" r="3" fill="{series.color}"/>' for x, y in places)


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'
