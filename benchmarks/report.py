"""Says what was measured: Markdown tables, and plots."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.plot import Series, draw
from benchmarks.programs import LEVEL, compressor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OURS, THEIRS = "hatch-connect", "rsconnect-python"
_COLORS = {OURS: "#0b6e4f", THEIRS: "#b5451b"}
_OPENED = ("pyproject.toml", "uv.lock")
RSS_UNIT = 1 << (20 if sys.platform == "darwin" else 10)
"""How much of `ru_maxrss` is a MiB."""
_NONE = "-"
_TIMES = (
    "work", OURS, THEIRS, "ratio", "floor", "of the floor", f"MiB, {OURS}", f"MiB, {THEIRS}",
)  # fmt: skip
_COUNTS = ("work", "client", "requests", "MiB sent", "processes besides git", *_OPENED)
_HOW = """\
Each run is a whole process. The commands of a row run in turn, after one run each that does not
count: the median (least to most) of the seconds. A ratio is the median of the ratios of runs beside
each other. Memory is the most that one process had.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process and what it waited for; `peak` in MiB."""

    seconds: float
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a client did in one run; `sent` in MiB, `noted` one line an opening or a process."""

    requests: int
    sent: float
    noted: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a case took: runs and counts by the name of who did it."""

    name: str
    command: str
    kind: str
    size: int
    runs: Mapping[str, Sequence[Run]]
    counts: Mapping[str, Counts]

    def seconds(self, name: str) -> float:
        """Return the median."""
        return median(run.seconds for run in self.runs[name])

    def times(self) -> Iterator[str]:
        """Yield the cells of the table of times."""
        floors = self.runs.keys() - {OURS, THEIRS}
        yield self.name
        yield _spread(self.runs[OURS])
        yield _spread(self.runs.get(THEIRS))
        yield self._ratio(THEIRS)
        yield "; ".join(f"{name}: {_short(self.seconds(name))}" for name in sorted(floors))
        yield "; ".join(f"{self._ratio(name)}x" for name in sorted(floors))
        for client in (OURS, THEIRS):
            yield f"{max(r.peak for r in self.runs[client]):.0f}" if client in self.runs else _NONE

    def counted(self) -> Iterator[tuple[str, ...]]:
        """Yield the rows of the table of counts."""
        for client, counts in self.counts.items():
            started = [line.removeprefix("process ") for line in counts.noted if " " in line]
            others = [name for name in started if name != "git"]
            opened = [str(list(counts.noted).count(name)) for name in _OPENED]
            about = [str(counts.requests), f"{counts.sent:.2f}", str(len(others))]
            yield (self.name, client, *about, *opened)

    def _ratio(self, name: str) -> str:
        pairs = zip(self.runs[OURS], self.runs.get(name, ()), strict=False)
        ratios = [ours.seconds / other.seconds for ours, other in pairs]
        return _short(median(ratios)) if ratios else _NONE


def report(rows: Sequence[Row], load: float) -> str:
    """Return the whole report, in Markdown; `load` is what the machine did before."""
    tables = [_table(_TIMES, [tuple(row.times()) for row in rows])]
    if counted := [cells for row in rows for cells in row.counted()]:
        tables.append(_table(_COUNTS, counted))
    return "\n".join(
        ["# Benchmarks", "", *(f"- {line}" for line in _machine(load)), "", _HOW, *tables]
    )


def plots(rows: Sequence[Row]) -> dict[str, str]:
    """Return SVGs by their name, of what has two points at least."""
    files = [row for row in rows if row.kind == "tree"]
    data = [row for row in rows if row.kind == "data"]
    drawn = {
        "files.svg": ("Small files", "files", files, ("bundle", "manifest --in-place")),
        "bytes.svg": ("A bundle of mixed data", "MiB", data, ("bundle",)),
    }
    return {
        name: draw(
            title,
            axis,
            [s for command in commands for s in _series(of, command, command != "bundle")],
        )
        for name, (title, axis, of, commands) in drawn.items()
        if len({row.size for row in of if row.command in commands}) > 1
    }


def _series(rows: Sequence[Row], command: str, dashed: bool) -> Iterator[Series]:  # noqa: FBT001 - of a line
    of = [row for row in rows if row.command == command]
    for client in (OURS, THEIRS):
        points = tuple((row.size, row.seconds(client)) for row in of if client in row.runs)
        if points:
            name = f"{client}, {command.partition(' ')[0]}"
            yield Series(name=name, color=_COLORS[client], points=points, dashed=dashed)


def _machine(load: float) -> Iterator[str]:
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    yield f"{_processor()}, {usable} cores, {memory:.0f} GiB, {platform.system()}"
    yield f"{platform.python_implementation()} {platform.python_version()}"
    packages = {name: _version(name) for name in (OURS, THEIRS, "hatchling", compressor())}
    yield ", ".join(f"{name} {found}" for name, found in packages.items() if found)
    yield f"compressor of the floor: {compressor()}, level {LEVEL[compressor()]}"
    yield f"load before the start: {load:.1f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".removesuffix(".")  # noqa: PLR2004 - 3 digits


def _spread(runs: Sequence[Run] | None) -> str:
    if not runs:
        return _NONE
    seconds = sorted(run.seconds for run in runs)
    return f"{_short(median(seconds))} s ({_short(seconds[0])} to {_short(seconds[-1])})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
